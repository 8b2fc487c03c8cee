// One machine: what outlives the lives of its member, and the life that it has now.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "tests/sim/disk.h"
#include "tests/sim/engine.h"
#include "tests/sim/member.h"
#include "tests/sim/network.h"
#include "tests/sim/scheduler.h"

namespace tenon::sim {

struct Machine {
  Machine(size_t index, Scheduler& scheduler, LogWatch& logs, Trace& trace, Counts& counts, Mutant mutant,
          EngineKind engine, int64_t drift_ppm, Random random, MemberOptions options)
      : index(index),
        clock(scheduler, drift_ppm),
        threads(scheduler, clock),
        disk(index, random.Next(), scheduler, logs, trace, counts, mutant),
        engine_disk(engine, random.Next(), mutant),
        options(std::move(options)) {
    disk.OnRemoved(std::string(Member::kDirectory) + "/member/engine", [this] {
      engine_disk.Wipe();
      differs = false;
    });
  }

  // It takes requests and nothing is about to end it.
  bool well() const {
    return member != nullptr && ready && !fatal && !kill_in && !stop_requested && !disk.power_is_off();
  }

  const size_t index;
  MachineClock clock;
  Threads threads;
  SimDisk disk;
  EngineDisk engine_disk;
  const MemberOptions options;

  std::unique_ptr<Network::Port> port;  // null: it is alone, or has no life
  std::unique_ptr<Member> member;
  int life = 0;
  int64_t floor_at_start = 0;  // what was known then: it may not serve less
  bool differs = false;        // its state is another history's, by our doing: nobody is to ask it
  bool ready = false;
  bool stop_requested = false;      // an orderly stop, by main
  std::optional<Status> fatal;      // said by this life
  std::optional<uint64_t> kill_in;  // steps
  bool kill_loses_power = false;
};

}  // namespace tenon::sim
