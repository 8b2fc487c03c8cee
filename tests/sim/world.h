// One seed: a cluster of one or several members, their clients, and what goes wrong.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/checker.h"
#include "tests/sim/clients.h"
#include "tests/sim/faults.h"
#include "tests/sim/lease_holders.h"
#include "tests/sim/lease_ledger.h"
#include "tests/sim/log_watch.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/serving.h"
#include "tests/sim/watchers.h"

namespace tenon::sim {

struct Outcome {
  uint64_t seed = 0;
  size_t members = 1;
  Counts counts;
  uint64_t trace_hash = 0;
  std::string violation;  // empty: all is well
};

// How many members a seed has, if nobody says: one, three, sometimes five.
size_t MembersOf(uint64_t seed);
// Runs a seed to its end, or to the first thing that is wrong. Sets the log's level and the handler of failed CHECKs.
Outcome RunSeed(uint64_t seed, size_t members, Mutant mutant = Mutant::kNone, bool verbose = false);

class World {
 public:
  World(uint64_t seed, size_t members, Mutant mutant);
  ~World();
  void Run();  // throws a Violation

  const Counts& counts();
  const Trace& trace() const { return trace_; }

 private:
  // ---- lives: lives.cc ----
  void StartMember(Machine& m);
  void Ready(Machine& m);
  void End(Machine& m);  // of a life: the process is gone
  void Kill(Machine& m);
  void LosePower(Machine& m);
  void StopOrderly(Machine& m);
  void StartLater(Machine& m, uint64_t most_ms);
  void AfterStep();
  void LookAfter(Machine& m);
  void Witness(Machine& m);
  void CountStart(Machine& m);
  void CheckOtherEngine(Machine& m);

  void Steps(const std::function<bool()>& until, std::string_view what);
  void WaitUntilReady();
  void WaitForWatchers();
  void WaitForLeases();
  void WaitUntilEqual();
  void CheckAll();

  // ---- faults: faults.cc ----
  void NextFault();
  void Strike(Fault fault);
  void StrikeNetwork(Fault fault);
  void Part(size_t one, size_t other, uint64_t until_ns);
  void Shift(uint64_t times);
  void StickDisk();
  bool Enough() const;
  bool DamageCopy(Machine& m);
  void EndFaults();
  void NextAudit();

  Machine& AnyMachine() { return *machines_[random_.Below(machines_.size())]; }
  bool alone() const { return machines_.size() == 1; }

  Counts counts_;
  Trace trace_;
  Random random_;
  Scheduler scheduler_;
  Scheduler::Queue& queue_;  // the world's own
  const Mutant mutant_;
  LogWatch logs_;
  LeaseLedger ledger_;
  Network network_;
  std::vector<std::unique_ptr<Machine>> machines_;
  Serving serving_;
  std::vector<Fault> enabled_;
  Checker checker_;
  LeaseHolders lease_holders_;
  Clients clients_;
  Watchers watchers_;
  int lives_ = 0;
  uint64_t paused_ns_ = 0;  // when all stood still last
  bool calm_ = false;
};

}  // namespace tenon::sim
