// The sum of many seeds.
#pragma once
#include <string>
#include <vector>

#include "tests/sim/world.h"

namespace tenon::sim {

std::string ReplayCommand(uint64_t seed, size_t members, const StrikeNumbers& only = {});
// A strike a line, in words.
std::string Describe(const std::vector<StrikeDone>& strikes);
// What was wrong, and the command that replays it.
std::string Failure(const Outcome& outcome);

class Batch {
 public:
  void Add(const Outcome& outcome);
  uint64_t failed() const { return failed_; }
  // Fault kinds that never fired and checkers that never had anything to check.
  std::vector<std::string> Idle() const;  // none of those that the batch's members cannot have
  std::string Summary() const;
  const Counts& counts() const { return counts_; }

 private:
  uint64_t seeds_ = 0, failed_ = 0, hash_ = 0;
  bool clusters_ = false, singles_ = false;
  Counts counts_;
};

}  // namespace tenon::sim
