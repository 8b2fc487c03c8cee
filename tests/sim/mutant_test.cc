// A simulator that finds nothing proves nothing: each planted bug must be found within a bounded number of seeds.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "tests/sim/world.h"

namespace tenon::sim {
namespace {

// Runs seeds until one finds the bug, and prints how many it took.
void ExpectFound(const char* name, Mutant mutant) {
  constexpr uint64_t kMostSeeds = 60;
  for (uint64_t seed = 1; seed <= kMostSeeds; seed++) {
    const Outcome outcome = RunSeed(seed, mutant);
    if (outcome.violation.empty()) continue;
    std::printf("%s: found by seed %llu: %s\n", name, static_cast<unsigned long long>(seed),
                outcome.violation.substr(0, 160).c_str());
    // It is the mutant that was found: without it the seed is clean.
    EXPECT_EQ(RunSeed(seed).violation, "");
    return;
  }
  FAIL() << name << " lived through " << kMostSeeds << " seeds";
}

TEST(MutantTest, AcknowledgingBeforeTheSyncIsFound) { ExpectFound("ack before sync", Mutant::kAckBeforeSync); }
TEST(MutantTest, AnAppliedIndexOutsideTheBatchIsFound) {
  ExpectFound("index outside the batch", Mutant::kIndexOutsideBatch);
}
TEST(MutantTest, ALostCompactionMarkIsFound) { ExpectFound("compaction mark lost", Mutant::kCompactionMarkLost); }
TEST(MutantTest, ATombstoneThatGoesBeforeItsPutIsFound) { ExpectFound("tombstone dropped", Mutant::kTombstoneDropped); }
TEST(MutantTest, AStaleIndexIsFound) { ExpectFound("stale index", Mutant::kStaleIndex); }
TEST(MutantTest, ADamagedRecordTakenForTheEndIsFound) { ExpectFound("damage accepted", Mutant::kDamageAccepted); }

}  // namespace
}  // namespace tenon::sim
