// The only user of raft: an event loop that carries out Ready. The loop is in node.cc, what becomes of proposals in
// proposals.cc, of linearizable reads in reads.cc.
//
// Everything that happens to raft arrives in one inbox and is taken in one go: proposals, reads, ticks, messages of the
// other members, and the answers of the log writer. All proposals that wait become one append; one turn makes one piece
// of work for the log writer.
// While the applier has entries waiting behind those it carries out, proposals wait too: an append of theirs could not
// be answered sooner, and the later one is larger, so there are fewer syncs. So do more than the applier should have
// before it: thousands of clients at once are served in several batches, none is refused.
// Nobody waits here for room: a full queue answers `too many requests`.
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/apply/applier.h"
#include "kernel/apply/proposal.h"
#include "kernel/base/status.h"
#include "kernel/cluster/member_change.h"
#include "kernel/metrics/metrics.h"
#include "kernel/node/log_writer.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"
#include "kernel/ports/peers.h"
#include "kernel/raft/raft.h"
#include "kernel/wal/wal.h"

namespace tenon::node {

class Node {
 public:
  struct Options {
    uint64_t tick_ns = 100'000'000;               // --heartbeat-interval
    uint64_t request_timeout_ns = 7'000'000'000;  // 5 s + 2 x election timeout, as in etcd
    uint64_t max_unapplied = 5000;           // committed and not applied: beyond, proposals are refused, as in etcd
    uint64_t max_waiting_bytes = 256 << 20;  // of proposals in the inbox: beyond, they are refused too
    uint64_t max_batch = 1500;               // proposals in one append
    uint64_t max_ahead = 4500;               // appended and not applied: beyond, proposals wait in the inbox
    uint64_t log_entries_kept = 1000;        // in memory behind the applied index, of a cluster of one
    uint64_t log_entries_for_followers =
        10'000;                             // the same, for members that are behind; further back they get a state
    uint64_t log_bytes_kept = 64 << 20;     // of either: large entries are kept for a shorter time
    uint64_t max_batch_bytes = 4 << 20;     // of proposals that go to the leader together
    uint64_t max_message_bytes = 64 << 20;  // of messages in the inbox: beyond, they are dropped
  };
  struct Parts {
    std::unique_ptr<wal::Wal> wal;
    raft::Config raft;                                                              // what the disk held
    std::optional<std::pair<std::vector<raft::Entry>, raft::ConfState>> bootstrap;  // a new cluster's first entries
    apply::Applier& applier;
    Clock& clock;
    Executor& executor;  // the node thread
    Executor& wal_executor;
    metrics::Registry& metrics;
    std::function<void(Status)> fatal;
    Peers* peers = nullptr;  // null: nobody is ever reached
    // A follower whose log cannot be continued from ours needs a state at or behind the message's snapshot: fetch it,
    // and give the message back to Restored. Null: it is dropped.
    std::function<void(raft::Message)> fetch_state = nullptr;
    // A change of members was carried out; node 0: it did not fit. [apply]
    std::function<void(const cluster::MemberChange&)> member_changed = nullptr;
    // The state that raft restored is recorded in the log: this member must be opened anew. [wal]
    std::function<void()> restored = nullptr;
  };
  using ReadDone = absl::AnyInvocable<void(Status)>;

  Node(Parts parts, Options options);

  // Called on the node thread when this member, as the leader of a term, has applied all that came before that, or no
  // longer leads. Set before Start.
  void OnRole(std::function<void(bool leads, Term)> fn) { on_role_ = std::move(fn); }
  // Begins to tick; a sole voter campaigns at once. [main]
  void Start();
  // Refuses new work, answers what waits with `server stopped`, and leaves a log from which a start is quick. [main]
  void Stop();

  void Propose(std::shared_ptr<const apply::Proposal> proposal);  // [any]
  // `done` OK: what is applied now includes all that was acknowledged before this call. Often here and now. [any]
  void ReadBarrier(ReadDone done);
  // The engine holds everything up to `index` in a crash-proof way: the log before it may go. [any]
  void Persisted(Index index);

  // ---- between members ----
  // As PeerHandler::Deliver. [any]
  Status Deliver(const PeerSender& from, std::string_view message);
  // Another member's proposals (a raftpb.Message MsgProp), appended if this member leads: the answer is where
  // (tenonpb.ProposeResponse). FailedPrecondition: it does not lead, nothing was appended. [any]
  void Forwarded(std::string request, PeerHandler::Done done);
  void Unreachable(MemberId id);  // [any]
  // A fetched state is on disk: `message` names it now. No other is asked for until raft took it or refused it. [any]
  void Restored(raft::Message message);
  // This member's state is not to be trusted: it votes and appends, and leads no more. [any]
  void Abstain();
  // The file that StateFetch names has a state of this cluster, at an index that this log reaches or will reach: when
  // that is committed here, or the leader says that we need one, the log is told to go on from there, and
  // Parts::restored is called. [any]
  void Adopt(raft::SnapshotMeta state);
  // Makes `to` the leader. NotLeader; Timeout: it did not become it in the time of an election. [any]
  void MoveLeader(MemberId to, absl::AnyInvocable<void(Status)> done);
  // Before a stop: a leader looks for the best other voter and hands over. `done` when somebody else leads, at once if
  // there is nobody to take over, at the latest after the time of an election. [any]
  void HandOver(absl::AnyInvocable<void()> done);
  // What the leader knows of a member's log: the part of its own that the member has. NotLeader, MemberNotFound. [any]
  struct Reach {
    Index match, leader_match;
    bool learner;
  };
  void ReachOf(MemberId id, absl::AnyInvocable<void(Result<Reach>)> done);
  // The same after Stop, and on disk when it returns. [main]
  void Checkpoint(Index index);

  struct State {
    MemberId leader = 0;
    raft::Role role = raft::Role::kFollower;
    Term term;
    Index commit;
  };
  State state() const;  // a little old [any]
  uint64_t log_bytes_written() const { return log_writer_.bytes_written(); }

 private:
  using Proposals = std::vector<std::shared_ptr<const apply::Proposal>>;
  // Proposals that went their way together.
  struct Batch {
    uint64_t start_ns, deadline_ns;
    Proposals proposals;  // null: answered
    Index first;          // of their entries, in order; 0: in no log yet
    Term term;
  };
  using BatchPtr = std::shared_ptr<Batch>;
  struct Transfer {
    MemberId to;  // 0: whoever is best
    uint64_t deadline_ns;
    absl::AnyInvocable<void(Status)> done;
  };
  struct Inbox {
    Proposals proposals;
    uint64_t proposal_bytes = 0;
    std::vector<ReadDone> reads;
    std::vector<raft::Message> own;       // the log writer's answers
    std::vector<raft::Message> messages;  // of the other members
    uint64_t message_bytes = 0;
    std::vector<std::pair<Index, raft::ConfChange>> changes;
    std::vector<absl::AnyInvocable<void()>> jobs;  // whatever else must happen on this thread
    bool tick = false;
    bool applied = false;
    std::optional<Index> persisted;
  };

  // node.cc
  template <class Fn>
  void Put(Fn&& fn);  // changes the inbox, wakes the loop
  void Turn();
  void OnTick();
  void TakeMessage(raft::Message&& message);
  void TakeApplied(Index applied);
  void CompactLog();
  void TakePersisted(Index index);
  void TakeTransfers(uint64_t now);
  void WatchFetches(uint64_t now);
  bool LeadsWithoutDisk(uint64_t now);
  void TakeAdopted();
  void Restore(raft::Message message);
  void Carry(raft::Ready ready);
  void Send(std::vector<raft::Message>&& messages);
  void PublishState();
  bool IsSoleVoter() const;
  bool Leads() const { return raft_.role() == raft::Role::kLeader; }
  MemberId BestTransferee() const;
  Term TermOf(Index index) const;

  // proposals.cc
  void TakeProposals(Proposals& proposals);  // leaves what is too many
  bool IsAhead() const;                      // of the applier, so far that proposals had better wait
  bool Hold(Proposals& proposals);
  void PutBack(Proposals& proposals, bool hold);
  void Release();
  void Place(const BatchPtr& batch);
  void PlaceAsLeader(const BatchPtr& batch);
  void Forward(const BatchPtr& batch);
  void OnForwarded(const BatchPtr& batch, const Status& status, const std::string& answer);
  void Park(BatchPtr batch) { parked_.push_back(std::move(batch)); }
  void PlaceParked();
  void Fail(Batch& batch, const Status& status);
  void ExpireProposals(uint64_t now);
  BatchPtr Lost(Batch& batch);
  Status TimeoutError(uint64_t start_ns) const;

  // reads.cc
  struct ReadRound {
    uint64_t deadline_ns, retry_ns;
    std::vector<ReadDone> reads;
  };
  void TakeReads(std::vector<ReadDone>& reads);
  void StartRound(ReadRound round);
  void RetryReads(uint64_t now, bool leader_changed);
  void OnReadState(const raft::ReadState& read);

  // For answers that come when nobody is there any more.
  struct Door {
    std::mutex mutex;
    Node* node;  // null: closed
  };
  const std::shared_ptr<Door> door_;

  raft::Raft raft_;
  apply::Applier& applier_;
  Clock& clock_;
  Executor& executor_;
  const std::function<void(Status)> fatal_;
  Peers* const peers_;
  const std::function<void(raft::Message)> fetch_state_;
  std::function<void(bool, Term)> on_role_;
  const Options options_;
  const uint64_t election_ns_;  // the least time without a leader before somebody stands for election
  LogWriter log_writer_;

  std::mutex inbox_mutex_;
  Inbox inbox_;
  bool scheduled_ = false;
  bool holding_ = false;  // under inbox_mutex_: the inbox's proposals wait for Release or the next tick
  bool stopped_ = false;  // under inbox_mutex_

  // [node]
  std::deque<BatchPtr> waiting_;  // by deadline
  std::vector<BatchPtr> parked_;  // of those: nobody takes them now
  bool place_parked_ = false;     // once a tick, and when the leader changes: who refused is not asked at once again
  std::map<uint64_t, ReadRound> rounds_;  // by context
  std::vector<ReadRound> unasked_;        // no leader to ask
  std::vector<Transfer> transfers_;
  uint64_t next_context_;
  std::optional<raft::HardState> deferred_state_;
  std::vector<std::pair<Index, Term>> terms_;  // first index of each term that the kept log may still name
  uint64_t leader_elected_ns_ = 0;             // when this member last heard of a new one
  std::map<MemberId, uint64_t> fetching_;      // leader: who needs a state, and when we last said so
  std::atomic<bool> fetched_{false};           // a state is on disk that raft does not know of yet
  bool handing_over_ = false;                  // the disk has kept this leader waiting for too long
  std::optional<raft::SnapshotMeta> adopted_;  // a state on disk: waits until it is committed here
  std::optional<uint64_t> abstains_since_ns_;
  bool restoring_ = false;  // the log is about to begin with a fetched state: nothing else counts
  Term leads_;              // the term in which OnRole was told that we lead; 0: we do not

  // What others may look at.
  std::atomic<bool> reads_are_current_{false};  // sole voter, leader, and its term's first entry is applied
  std::atomic<uint64_t> leader_{0}, term_{0}, commit_{0};
  std::atomic<uint8_t> role_{0};

  metrics::Gauge committed_metric_, pending_metric_, has_leader_, is_leader_;
  metrics::Counter failed_metric_, leader_changes_metric_, reads_failed_metric_, slow_reads_metric_;
};

template <class Fn>
void Node::Put(Fn&& fn) {
  std::lock_guard lock(inbox_mutex_);
  fn(inbox_);
  if (!std::exchange(scheduled_, true)) executor_.Post([this] { Turn(); });
}

}  // namespace tenon::node
