// One member of a cluster: everything between an engine and the outside world on one side and the API on the other.
//
// The data directory, the log and its recovery, the store with its index snapshot, the applier, the node, the
// persister and the disk watch, put together in the one order that is right. It knows no plugin, no listener, no
// configuration file and starts no thread: kernel.cc runs it on the real disk and clock, tests/sim on seeded twins.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/apply/alarms.h"
#include "kernel/apply/applier.h"
#include "kernel/apply/proposal.h"
#include "kernel/apply/quota.h"
#include "kernel/base/status.h"
#include "kernel/cluster/founding.h"
#include "kernel/cluster/ids.h"
#include "kernel/cluster/membership.h"
#include "kernel/lease/module.h"
#include "kernel/member/data_dir.h"
#include "kernel/metrics/metrics.h"
#include "kernel/mvcc/index_snapshot.h"
#include "kernel/mvcc/store.h"
#include "kernel/mvcc/watch_hub.h"
#include "kernel/member/healer.h"
#include "kernel/node/corruption_watch.h"
#include "kernel/node/disk_watch.h"
#include "kernel/node/no_space.h"
#include "kernel/node/node.h"
#include "kernel/node/peer_desk.h"
#include "kernel/node/persister.h"
#include "kernel/node/version_watch.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/disk.h"
#include "kernel/ports/executor.h"
#include "kernel/ports/peers.h"
#include "kernel/snapshot/state_fetch.h"
#include "kernel/snapshot/state_source.h"
#include "kernel/snapshot/stream_files.h"
#include "kernel/storage/engine.h"
#include "kernel/wal/wal.h"

namespace tenon {

class Member {
 public:
  // Outlives the member.
  struct World {
    Disk& disk;
    Clock& clock;
    metrics::Registry& metrics;
    Executor &node, &wal, &apply, &persist, &worker;
    Executor& watch;    // the watch hub's own
    Executor& history;  // reads the engine for watchers that are behind; may be shared with other readers
    // The member must stop at once: the disk or the engine is not to be trusted. [any]; may not return.
    std::function<void(const Status&)> fatal;
    lease::Module* leases = nullptr;  // null: no module; then the engine must not hold leases
    Peers* peers = nullptr;           // null: this member is alone, and stays it
    // The state on disk was replaced by a fetched one: close this member and open it again. [any]
    std::function<void()> restart = nullptr;
    // This member was removed from the cluster for ever: stop it. [any]
    std::function<void()> removed = nullptr;
  };
  // Of a cluster that is there already, as one of its members told. A log that began must be this member's.
  struct Join {
    uint64_t cluster_id = 0;
    MemberId self = 0;
    std::vector<cluster::Member> members;
  };

  struct Options {
    std::string data_dir, wal_dir;  // wal_dir empty: inside of data_dir
    std::string engine;             // its name, for the mark on the data directory
    // Made known to the cluster at each start.
    std::string name;
    std::vector<std::string> client_urls;
    // Only a member that never ran needs these. It joins, or it is one of the founders, by its name; none: the only
    // one.
    std::vector<std::string> peer_urls;
    std::string cluster_token;
    std::vector<cluster::Founder> founders;
    snapshot::StateFetch::Options fetch;
    std::optional<Join> join;
    // The state on disk is of no use, the log is: the state is set aside, and fetched from one of these members, as one
    // of them told.
    std::optional<std::vector<cluster::Member>> state_lost;
    Version version = OwnVersion();  // what this server says it is
    bool force_new_cluster = false;  // the others are removed for ever, and what only they had is lost

    uint64_t log_segment_bytes = wal::Options().segment_bytes;
    bool log_sync = true;  // false: --unsafe-no-fsync
    int election_ticks = 10;
    bool pre_vote = true;
    size_t record_cache_bytes = 32 << 20;
    uint64_t view_max_age_ns = 60'000'000'000;
    mvcc::IndexSnapshot::Options index_snapshot;
    mvcc::WatchHub::Options watch;
    apply::Applier::Options apply;
    node::Node::Options node;
    uint64_t persist_interval_ns = 5'000'000'000;
    uint64_t persist_log_bytes = 64 << 20;
    uint64_t disk_watermark = 0;          // free bytes below which the disk counts as full; 0: never
    std::optional<tenon_quota_v1> quota;  // the quota module, if there is one,
    void* quota_self = nullptr;           // which outlives the member
    uint64_t quota_bytes = 0;             // 0: no limit
  };

  // Locks and reads the data directory; `engine` is not open yet. Errors are sentences for the operator. [main]
  static Result<std::unique_ptr<Member>> Open(World world, std::unique_ptr<storage::Engine> engine, Options options);
  // As when the process ends: nothing is finished, nobody is answered. What is posted to the threads must be gone.
  ~Member();

  // Begins to run. `ready`: the log is replayed, the member has made itself known and takes requests; or an error,
  // and it never will. [main]; `ready` is called on one of the threads.
  void Start(absl::AnyInvocable<void(const Status&)> ready);
  // Ends what runs, along the path of a write, and leaves the disk as a quick start wants it. `join` returns when
  // nothing runs on the apply thread and on whatever reads from the store. [main]
  void Stop(const std::function<void()>& join);
  // After Stop, when no thread runs any more: closes the engine. [main]
  Status Close();

  // ---- [any] ----
  void Propose(apply::Field field, const google::protobuf::MessageLite& message, apply::Operation operation,
               apply::Proposal::Done done) {
    Propose(field, message.SerializeAsString(), std::move(operation), Term(), std::move(done));
  }
  // `message`: the operation's bytes. `term`: see apply::Request.
  void Propose(apply::Field field, std::string_view message, apply::Operation operation, Term term,
               apply::Proposal::Done done);
  // May a request that adds `bytes` go in, as full as the disk is?
  bool Admit(uint64_t bytes) { return disk_watch_->Admit(bytes); }
  // Null: there is none. Whoever it refuses is answered once RaiseNoSpace calls `done`: the alarm is up.
  apply::Quota* quota() { return quota_.get(); }
  void RaiseNoSpace(absl::AnyInvocable<void()> done) { no_space_->RaiseForQuota(std::move(done)); }
  const DataDir& data() const { return data_; }
  storage::Engine& engine() { return *engine_; }
  mvcc::Store& store() { return *store_; }
  mvcc::WatchHub& watch() { return *watch_; }
  const mvcc::IndexSnapshot& index_snapshot() const { return *index_snapshot_; }
  apply::Alarms& alarms() { return alarms_; }
  cluster::Membership& membership() { return *membership_; }
  cluster::RequestIds& ids() { return *ids_; }
  apply::Applier& applier() { return *applier_; }
  node::Node& node() { return *node_; }
  // What other members ask; more may be added. They are served from Start to Stop.
  node::PeerDesk& peer_desk() { return *peer_desk_; }
  Peers* peers() { return world_.peers; }
  // Adds, removes, changes, promotes a member. `done`: etcd's words, or OK once it is applied here. [any]
  void ProposeChange(cluster::MemberChange change, absl::AnyInvocable<void(Status)> done);
  // Is another member's state being fetched, because this one's is not to be trusted? [any]
  bool healing() const { return healer_ != nullptr && healer_->healing(); }
  // Is it the log that a failed Open complains of: damaged, lost, or shorter than what was applied? Then it may lack
  // what this member acknowledged. [any]
  static bool IsOfLog(const Status& status);
  // After Open failed with another DataLoss: is the log whole, and of a cluster of several members? Then state_lost may
  // help. An error says what is wrong with the log. [main]
  static Result<bool> LogOutlivesState(Disk& disk, const Options& options);
  // Before a stop: see Node::HandOver. [main]
  void HandOver();

 private:
  struct Log;  // what recovery finds
  Member(World world, Options options, DataDir data)
      : world_(std::move(world)), options_(std::move(options)), data_(std::move(data)) {}
  Status OpenStore();
  Status OpenLeases();
  Result<Log> OpenLog(const apply::AppliedState& applied);
  Result<Log> FoundLog(const apply::AppliedState& applied, const wal::Options& wal_options);
  Result<Log> RecoverLog(const apply::AppliedState& applied, const wal::Options& wal_options);
  Status LeaveOthers(const raft::ConfState& applied_conf, Log& log);
  static Status SetStateAside(Disk& disk, const DataDir& data);
  void BeginHealing();
  Status OpenNode();
  void OpenTransfer();
  void FetchState(raft::Message message);
  void ServePeers();
  void OnMemberChanged(const cluster::MemberChange& change);
  void AwaitReplay();
  void Announce();
  void Ready(const Status& status);

  const World world_;
  const Options options_;
  DataDir data_;
  std::unique_ptr<storage::Engine> engine_;
  storage::Tables tables_{};
  std::optional<snapshot::StreamFiles> streams_;  // of an engine that keeps nothing on disk
  std::optional<mvcc::IndexSnapshot> index_snapshot_;
  std::unique_ptr<mvcc::Store> store_;
  std::unique_ptr<mvcc::WatchHub> watch_;
  apply::Alarms alarms_;
  std::unique_ptr<cluster::Membership> membership_;
  std::unique_ptr<cluster::RequestIds> ids_;
  std::unique_ptr<apply::Quota> quota_;
  std::unique_ptr<apply::Applier> applier_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<node::PeerDesk> peer_desk_;
  std::unique_ptr<node::CorruptionWatch> corruption_watch_;  // of several members
  std::unique_ptr<node::VersionWatch> version_watch_;
  std::unique_ptr<snapshot::StateSource> state_source_;
  std::unique_ptr<snapshot::StateFetch> state_fetch_;
  std::unique_ptr<Healer> healer_;  // of several members
  std::unique_ptr<node::Persister> persister_;
  std::unique_ptr<node::NoSpace> no_space_;
  std::unique_ptr<node::DiskWatch> disk_watch_;

  absl::AnyInvocable<void(const Status&)> ready_;
  // What is still to be said to the cluster, last one first. [worker]
  std::vector<std::pair<apply::Field, apply::Operation>> announcements_;
  std::atomic<bool> started_{false}, stopped_{false};
};

}  // namespace tenon
