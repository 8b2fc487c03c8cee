// One life of a member: kernel/member over the simulated world.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "kernel/base/status.h"
#include "kernel/member/member.h"
#include "kernel/metrics/metrics.h"
#include "tests/sim/engine.h"
#include "tests/sim/lease_twin.h"
#include "tests/sim/network.h"
#include "tests/sim/scheduler.h"

namespace tenon::sim {

struct MemberOptions : tenon::Member::Options {
  bool own_wal_thread = false;
  int64_t lease_checkpoint_interval_s = 300;
};

// The member's threads; they outlive its lives, with empty queues.
struct Threads {
  Threads(Scheduler& s, MachineClock& clock)
      : node(s.NewQueue(&clock)),
        wal(s.NewQueue(&clock)),
        apply(s.NewQueue(&clock)),
        persist(s.NewQueue(&clock)),
        worker(s.NewQueue(&clock)),
        reader(s.NewQueue(&clock)),
        watch(s.NewQueue(&clock)),
        pool(s.NewQueue(&clock)),
        net(s.NewQueue(&clock)) {}
  void Clear() {
    for (Scheduler::Queue* queue : {&node, &wal, &apply, &persist, &worker, &reader, &watch, &pool, &net})
      queue->Clear();
  }
  Scheduler::Queue &node, &wal, &apply, &persist, &worker, &reader, &watch, &pool, &net;
};

class Member {
 public:
  static constexpr const char* kDirectory = "/data";
  static constexpr const char* kWalDirectory = "/data/member/wal";
  static constexpr const char* kStreamDirectory = "/data/member/snap";
  static constexpr const char* kIndexDirectory = "/data/member/index";

  // It does not run yet.
  static Result<std::unique_ptr<Member>> Open(Scheduler& scheduler, MachineClock& clock, Threads& threads,
                                              SimDisk& disk, EngineDisk& engine_disk, LeaseLedger& ledger,
                                              Mutant mutant, const MemberOptions& options, Network::Port* port,
                                              std::function<void()> restart, std::function<void(const Status&)> fatal);
  // Fills the empty engine from the newest stream in the data directory, if there is one.
  static Status MoveInto(EngineDisk& engine_disk, SimDisk& disk);
  ~Member();  // as the process ends: nothing is finished, nothing is answered

  // `ready` is called on one of the threads once the member takes requests.
  void Start(absl::AnyInvocable<void()> ready);
  // An orderly stop. [main]
  void Stop();

  void Propose(apply::Field field, const google::protobuf::MessageLite& message, apply::Operation operation,
               apply::Proposal::Done done) {
    member_->Propose(field, message, std::move(operation), std::move(done));
  }
  node::Node& node() { return member_->node(); }
  MemberId id() const { return member_->membership().self(); }
  bool leads() { return node().state().role == raft::Role::kLeader; }
  apply::Applier& applier() { return member_->applier(); }
  mvcc::WatchHub& watch() { return member_->watch(); }
  mvcc::Store& store() { return member_->store(); }
  const mvcc::IndexSnapshot& index_snapshot() const { return member_->index_snapshot(); }
  const apply::Alarms& alarms() { return member_->alarms(); }
  bool healing() const { return member_->healing(); }
  lease::Module& leases() { return leases_->module(); }
  bool is_primary() const { return leases_->primary(); }
  storage::Engine& engine() { return member_->engine(); }
  Executor& reader() { return threads_.reader; }
  Executor& worker() { return threads_.worker; }
  bool admit(uint64_t bytes) { return member_->Admit(bytes); }

 private:
  Member(Scheduler& scheduler, Threads& threads, Network::Port* port)
      : scheduler_(scheduler), threads_(threads), port_(port) {}

  Scheduler& scheduler_;
  Threads& threads_;
  Network::Port* const port_;  // null: it is alone
  metrics::Registry metrics_;
  std::unique_ptr<SimEngine> engine_;
  std::unique_ptr<LeaseTwin> leases_;
  std::unique_ptr<tenon::Member> member_;
};

}  // namespace tenon::sim
