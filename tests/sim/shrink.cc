#include "tests/sim/shrink.h"

#include <algorithm>
#include <utility>

namespace tenon::sim {
namespace {

// What a violation is about: members, indexes and times are others in a shorter run.
std::string_view Kind(const std::string& violation) {
  return std::string_view(violation).substr(0, violation.find_first_of("0123456789"));
}

}  // namespace

Shrunk Shrink(const Outcome& failed, Mutant mutant, size_t most_runs,
              const std::function<void(const Shrunk&)>& progress) {
  Shrunk best{failed, {}, 0};
  for (const StrikeDone& s : failed.strikes) best.strikes.push_back(s.number);
  const auto fails_with = [&](const StrikeNumbers& strikes) {
    best.runs++;
    Outcome outcome = RunSeed(failed.seed, failed.members, mutant, false, strikes);
    if (outcome.violation.empty() || Kind(outcome.violation) != Kind(failed.violation)) return false;
    best.outcome = std::move(outcome);
    best.strikes = strikes;
    if (progress) progress(best);
    return true;
  };
  StrikeNumbers struck;
  for (const StrikeDone& s : failed.strikes) {
    if (!s.words.empty()) struck.push_back(s.number);
  }
  if (!struck.empty() && struck.size() < best.strikes.size()) fails_with(struck);
  // An empty list would mean all of them, so one stays.
  for (size_t parts = 2; best.strikes.size() > 1 && best.runs < most_runs;) {
    const size_t n = best.strikes.size(), size = (n + parts - 1) / parts;
    bool shorter = false;
    for (size_t at = 0; at < n && best.runs < most_runs && !shorter; at += size) {
      StrikeNumbers rest = best.strikes;
      rest.erase(rest.begin() + static_cast<ptrdiff_t>(at),
                 rest.begin() + static_cast<ptrdiff_t>(std::min(at + size, n)));
      shorter = !rest.empty() && fails_with(rest);
    }
    if (shorter) {
      parts = std::max<size_t>(parts - 1, 2);
    } else if (size == 1) {
      break;
    } else {
      parts = std::min(2 * parts, n);
    }
  }
  return best;
}

}  // namespace tenon::sim
