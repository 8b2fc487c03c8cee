// sim N [--seed S] [--members M] [--verbose]: N seeds from S on (default 1), a summary, and how to replay what failed.
// Without --members each seed draws how many it has.
// `sim 1 --seed S` runs the one seed S.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/sim/report.h"
#include "tests/sim/world.h"

int main(int argc, char** argv) {
  uint64_t seeds = 0, first = 1, members = 0;
  bool verbose = false, usage = argc < 2;
  for (int i = 1; i < argc; i++) {
    if (std::strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
      first = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--members") == 0 && i + 1 < argc) {
      members = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--verbose") == 0) {
      verbose = true;
    } else if (seeds == 0 && (seeds = std::strtoull(argv[i], nullptr, 10)) > 0) {
    } else {
      usage = true;
    }
  }
  if (usage || seeds == 0) {
    std::fprintf(stderr, "usage: sim N [--seed S] [--members M] [--verbose]\n");
    return 2;
  }
  tenon::sim::Batch batch;
  for (uint64_t seed = first; seed < first + seeds; seed++) {
    const tenon::sim::Outcome outcome = tenon::sim::RunSeed(seed, members > 0 ? members : tenon::sim::MembersOf(seed),
                                                            tenon::sim::Mutant::kNone, verbose);
    batch.Add(outcome);
    if (!outcome.violation.empty()) {
      std::fputs(tenon::sim::Failure(outcome).c_str(), stdout);
      std::fflush(stdout);
    }
  }
  std::fputs(batch.Summary().c_str(), stdout);
  return batch.failed() > 0 || (seeds >= 20 && !batch.Idle().empty()) ? 1 : 0;
}
