// sim N [--seed S] [--members M] [--only-faults A,B,...] [--shrink RUNS] [--verbose]: N seeds from S on (default 1), a
// summary, and how to replay what failed: with all of its strikes, and with as few as RUNS runs (default 100) can find.
// Without --members each seed draws how many it has.
// `sim 1 --seed S` runs the one seed S, with --only-faults with these strikes alone.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/sim/report.h"
#include "tests/sim/shrink.h"
#include "tests/sim/world.h"

namespace {

using namespace tenon::sim;

StrikeNumbers Numbers(const char* text) {
  StrikeNumbers numbers;
  for (char* end = nullptr; *text != '\0'; text = *end == ',' ? end + 1 : end) {
    numbers.push_back(std::strtoull(text, &end, 10));
    if (end == text) return {};
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

void PrintShortest(const Outcome& failed, size_t most_runs) {
  const Shrunk shrunk = Shrink(failed, Mutant::kNone, most_runs, [](const Shrunk& s) {
    std::printf("  run %zu: %zu strikes are enough\n", s.runs, s.strikes.size());
    std::fflush(stdout);
  });
  std::printf("  %zu of %zu strikes lead to: %s\n%s  replay: %s\n", shrunk.strikes.size(), failed.strikes.size(),
              shrunk.outcome.violation.c_str(), Describe(shrunk.outcome.strikes).c_str(),
              ReplayCommand(failed.seed, failed.members, shrunk.strikes).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seeds = 0, first = 1, members = 0, shrink_runs = 100;
  StrikeNumbers only;
  bool verbose = false, usage = argc < 2;
  for (int i = 1; i < argc; i++) {
    if (std::strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
      first = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--members") == 0 && i + 1 < argc) {
      members = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--only-faults") == 0 && i + 1 < argc) {
      only = Numbers(argv[++i]);
      usage |= only.empty();
    } else if (std::strcmp(argv[i], "--shrink") == 0 && i + 1 < argc) {
      shrink_runs = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--verbose") == 0) {
      verbose = true;
    } else if (seeds == 0 && (seeds = std::strtoull(argv[i], nullptr, 10)) > 0) {
    } else {
      usage = true;
    }
  }
  if (usage || seeds == 0) {
    std::fprintf(stderr, "usage: sim N [--seed S] [--members M] [--only-faults A,B,...] [--shrink RUNS] [--verbose]\n");
    return 2;
  }
  Batch batch;
  for (uint64_t seed = first; seed < first + seeds; seed++) {
    const Outcome outcome = RunSeed(seed, members > 0 ? members : MembersOf(seed), Mutant::kNone, verbose, only);
    batch.Add(outcome);
    if (verbose) std::fputs(Describe(outcome.strikes).c_str(), stdout);
    if (outcome.violation.empty()) continue;
    std::fputs(Failure(outcome).c_str(), stdout);
    std::fflush(stdout);
    if (only.empty() && shrink_runs > 0) PrintShortest(outcome, shrink_runs);
  }
  std::fputs(batch.Summary().c_str(), stdout);
  return batch.failed() > 0 || (seeds >= 20 && !batch.Idle().empty()) ? 1 : 0;
}
