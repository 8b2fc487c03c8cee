// The planted mistakes: what each does, whose it was, and which checker must find it.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kernel/base/mutant.h"
#include "tests/sim/world.h"

namespace tenon::sim {

struct PlantedBug {
  std::string_view name;
  tenon::Mutant kernel;  // one of the two
  Mutant twin;
  std::string_view what;
  std::string_view origin;  // a real bug of etcd, etcd's raft or Jepsen's reports; empty: a rule of the thesis, or ours
  size_t members;
  std::string_view words;  // of the checker whose work it is; empty: any may find it
  uint64_t known_seed;     // from here on sim_mutant_test looks for it: it is near
};

std::span<const PlantedBug> PlantedBugs();

struct Found {
  uint64_t seeds = 0;  // that were needed, the finding one included; 0: it was not found
  uint64_t seed = 0;
  std::string violation;
  std::string another;  // what else was found before
};
// Runs seeds from `first` on, `most` at the most, until one finds the bug in the words of its checker.
Found Find(const PlantedBug& bug, uint64_t first, uint64_t most);

}  // namespace tenon::sim
