// Clients that hold leases: they are granted some, keep a part of them alive, look at them, list them.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "tests/sim/lease_ledger.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/serving.h"

namespace tenon::sim {

class LeaseHolders {
 public:
  LeaseHolders(Scheduler& scheduler, Scheduler::Queue& queue, const Serving& serving, LeaseLedger& ledger,
               Counts& counts, Trace& trace, uint64_t seed);

  void Start();
  void Quiet() { quiet_ = true; }  // nobody is granted or keeps alive anything
  // One that was granted, which may have ended; 0: none was.
  int64_t RandomLease(Random& random) const;

 private:
  struct Held {
    int64_t ttl_s = 0;
    bool kept = false;  // alive by its holder
  };
  void Turn();
  void Grant(Machine& to);
  void Renew(Machine& to, int64_t lease);
  void LookAt(Machine& to, int64_t lease);
  void List(Machine& to);
  // Runs `judge` when the answer has crossed the network, unless the member died before it let go of it.
  void Answer(size_t machine, int life, std::function<void()> judge);

  Scheduler& scheduler_;
  Scheduler::Queue& queue_;
  const Serving& serving_;
  LeaseLedger& ledger_;
  Counts& counts_;
  Trace& trace_;
  Random random_;
  const uint64_t think_ns_, most_, kept_percent_;
  const int64_t longest_s_;
  std::map<int64_t, Held> held_;
  int64_t next_id_ = 0;
  bool quiet_ = false;
};

}  // namespace tenon::sim
