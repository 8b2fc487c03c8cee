// One life of a member: what kernel/kernel.cc puts together, over the simulated world and without transports.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "kernel/apply/alarms.h"
#include "kernel/apply/applier.h"
#include "kernel/base/status.h"
#include "kernel/cluster/ids.h"
#include "kernel/cluster/membership.h"
#include "kernel/data_dir.h"
#include "kernel/metrics/metrics.h"
#include "kernel/mvcc/store.h"
#include "kernel/node/disk_watch.h"
#include "kernel/node/node.h"
#include "kernel/node/persister.h"
#include "kernel/storage/engine.h"
#include "tests/sim/engine.h"
#include "tests/sim/scheduler.h"

namespace tenon::sim {

struct MemberOptions {
  uint64_t segment_bytes = 64 << 10;
  bool own_wal_thread = false;
  size_t record_cache_bytes = 32 << 20;
  uint64_t view_max_age_ns = 60'000'000'000;
  uint64_t disk_watermark = 0;
  node::Node::Options node;
  node::Persister::Options persister;
};

// The member's threads; they outlive its lives, with empty queues.
struct Threads {
  explicit Threads(Scheduler& s)
      : node(s.NewQueue()),
        wal(s.NewQueue()),
        apply(s.NewQueue()),
        persist(s.NewQueue()),
        worker(s.NewQueue()),
        reader(s.NewQueue()) {}
  void Clear() {
    for (Scheduler::Queue* queue : {&node, &wal, &apply, &persist, &worker, &reader}) queue->Clear();
  }
  Scheduler::Queue &node, &wal, &apply, &persist, &worker, &reader;
};

class Member {
 public:
  static constexpr const char* kDirectory = "/data";
  static constexpr const char* kWalDirectory = "/data/member/wal";

  // As far as the node's start; it is not ready yet.
  static Result<std::unique_ptr<Member>> Open(Scheduler& scheduler, Threads& threads, SimDisk& disk,
                                              EngineDisk& engine_disk, MemberOptions options,
                                              std::function<void(Status)> fatal);
  ~Member();  // as the process ends: nothing is finished, nothing is answered

  // `ready` is called on one of the threads once the log is replayed and the member has made itself known.
  void BecomeReady(absl::AnyInvocable<void()> ready);
  // An orderly stop. [main]
  void Stop();

  void Propose(apply::Field field, const google::protobuf::MessageLite& message, apply::Operation operation,
               apply::Proposal::Done done);
  node::Node& node() { return *node_; }
  apply::Applier& applier() { return *applier_; }
  mvcc::Store& store() { return *store_; }
  Executor& reader() { return threads_.reader; }
  bool admit(uint64_t bytes) { return disk_watch_->Admit(bytes); }

 private:
  Member(Scheduler& scheduler, Threads& threads, SimDisk& disk, MemberOptions options,
         std::function<void(Status)> fatal)
      : scheduler_(scheduler), threads_(threads), disk_(disk), options_(options), fatal_(std::move(fatal)) {}
  Status OpenEngine(EngineDisk& engine_disk);
  Status OpenNode();
  void Announce();

  Scheduler& scheduler_;
  Threads& threads_;
  SimDisk& disk_;
  const MemberOptions options_;
  const std::function<void(Status)> fatal_;

  metrics::Registry metrics_;
  std::optional<DataDir> data_;
  std::unique_ptr<SimEngine> sim_engine_;
  std::unique_ptr<storage::Engine> engine_;
  storage::Tables tables_{};
  std::unique_ptr<mvcc::Store> store_;
  apply::Alarms alarms_;
  std::unique_ptr<cluster::Membership> membership_;
  std::unique_ptr<cluster::RequestIds> ids_;
  std::unique_ptr<apply::Applier> applier_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<node::Persister> persister_;
  std::unique_ptr<node::DiskWatch> disk_watch_;
  absl::AnyInvocable<void()> ready_;
};

}  // namespace tenon::sim
