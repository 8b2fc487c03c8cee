// Finds a short list of strikes with which a seed still fails.
#pragma once
#include <functional>
#include <string>

#include "tests/sim/world.h"

namespace tenon::sim {

struct Shrunk {
  Outcome outcome;  // of the shortest list that was found
  StrikeNumbers strikes;
  size_t runs = 0;
};

// Delta debugging over the strikes of a failed run, with at most that many runs. Only a run that fails in the same
// words, up to the first number in them, counts as the same failure. `progress` hears of each shorter list.
Shrunk Shrink(const Outcome& failed, Mutant mutant, size_t most_runs,
              const std::function<void(const Shrunk&)>& progress = nullptr);

}  // namespace tenon::sim
