// One seed: a member, its clients, its disk, and what goes wrong.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/checker.h"
#include "tests/sim/clients.h"
#include "tests/sim/disk.h"
#include "tests/sim/engine.h"
#include "tests/sim/faults.h"
#include "tests/sim/lease_holders.h"
#include "tests/sim/lease_ledger.h"
#include "tests/sim/member.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/watchers.h"

namespace tenon::sim {

struct Outcome {
  uint64_t seed = 0;
  EngineKind engine = EngineKind::kPrefix;
  Counts counts;
  uint64_t trace_hash = 0;
  std::string violation;  // empty: all is well
};

// Runs a seed to its end, or to the first thing that is wrong. Sets the log's level and the handler of failed CHECKs.
Outcome RunSeed(uint64_t seed, Mutant mutant = Mutant::kNone, bool verbose = false);

class World {
 public:
  World(uint64_t seed, Mutant mutant);
  ~World();
  void Run();  // throws a Violation

  EngineKind engine() const { return engine_disk_.kind(); }
  const Counts& counts() const { return counts_; }
  const Trace& trace() const { return trace_; }

 private:
  // ---- lives ----
  void StartMember();
  void End();  // of a life: the process is gone
  void Kill();
  void LosePower();
  void StopOrderly();
  void AfterStep();
  void CountStart();
  void Steps(const std::function<bool()>& until, std::string_view what);
  void WaitUntilReady();
  void WaitForWatchers();
  void WaitForLeases();

  // ---- faults ----
  void NextFault();
  void Strike(Fault fault);
  bool Enough() const;
  bool DamageCopy();
  void EndFaults();

  void NextAudit();
  void CheckOtherEngine();

  Counts counts_;
  Trace trace_;
  Random random_;
  Scheduler scheduler_;
  Threads threads_;
  Scheduler::Queue& queue_;  // the world's own
  const Mutant mutant_;
  SimDisk disk_;
  EngineDisk engine_disk_;
  MemberOptions options_;
  std::vector<Fault> enabled_;
  LeaseLedger ledger_;
  Checker checker_;
  LeaseHolders lease_holders_;
  Clients clients_;
  Watchers watchers_;

  std::unique_ptr<Member> member_;
  int life_ = 0;
  bool ready_ = false, calm_ = false;
  bool stop_requested_ = false;      // an orderly stop, by main
  std::optional<Status> fatal_;      // said by this life
  std::optional<uint64_t> kill_in_;  // steps
  bool kill_loses_power_ = false;
};

}  // namespace tenon::sim
