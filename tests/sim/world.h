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

// Something that was made to go wrong. Its number and the seed say what it is, whatever other strikes there are.
struct StrikeDone {
  uint64_t number, at_ns;
  std::string words;  // empty: it found nothing to strike
};
using StrikeNumbers = std::vector<uint64_t>;        // ascending
inline constexpr uint64_t kLastStrike = 1'000'000;  // the one that comes when all others are over

struct Outcome {
  uint64_t seed = 0;
  size_t members = 1;
  Counts counts;
  uint64_t trace_hash = 0;
  std::string violation;  // empty: all is well
  std::vector<StrikeDone> strikes;
};

// How many members a seed has, if nobody says: one, three, sometimes five.
size_t MembersOf(uint64_t seed);
// Runs a seed to its end, or to the first thing that is wrong. Sets the log's level and the handler of failed CHECKs.
// `only`: no strikes but these; none given: all.
Outcome RunSeed(uint64_t seed, size_t members, Mutant mutant = Mutant::kNone, bool verbose = false,
                const StrikeNumbers& only = {});

class World {
 public:
  World(uint64_t seed, size_t members, Mutant mutant, StrikeNumbers only);
  ~World();
  void Run();  // throws a Violation

  const Counts& counts();
  const Trace& trace() const { return trace_; }
  const std::vector<StrikeDone>& strikes() const { return strikes_; }

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
  std::string Members() const;  // what each is at, behind a failure
  void WaitUntilReady();
  void WaitForWatchers();
  void WaitForLeases();
  void WaitUntilEqual();
  void CheckAll();

  // ---- faults: faults.cc ----
  void NextStrike();
  // Each says in words what it did; nothing: it could do nothing.
  std::string Strike(Fault fault, Random& random);
  std::string StrikeNetwork(Fault fault, Random& random);
  std::string StrikeFounding(Random& random);
  std::string StickDisk(Random& random);
  std::string Part(size_t one, size_t other, uint64_t until_ns, Random& random);
  void Shift(uint64_t times, Random random);
  bool Enough() const;
  bool DamageCopy(Machine& m, Random& random);
  std::string StrikeRare(Fault fault, Random& random);
  bool IsStruck(uint64_t number) const;
  bool May(Fault fault) const;
  void EndFaults();
  void NextAudit();

  // ---- differences.cc ----
  void DifferInCalm();
  std::string PlantDifference(Random& random);
  void WatchDifference(Machine& m, uint64_t comparable_since_ns, uint64_t looks);
  bool AllAgree() const;

  Machine& AnyMachine(Random& random) { return *machines_[random.Below(machines_.size())]; }
  bool alone() const { return machines_.size() == 1; }

  const uint64_t seed_;
  const StrikeNumbers only_;
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
  uint64_t begin_ns_ = 0, strike_ns_ = 0, next_strike_ = 0;
  std::vector<StrikeDone> strikes_;
  uint64_t paused_ns_ = 0;  // when all stood still last
  bool calm_ = false;
};

}  // namespace tenon::sim
