// A simulator that finds nothing proves nothing: each planted bug must be found within a bounded number of seeds.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "tests/sim/world.h"

namespace tenon::sim {
namespace {

// Runs seeds until one finds the bug, in the words of the checker whose work that is, and prints how many it took.
void ExpectFound(const char* name, Mutant mutant, std::string_view words = "") {
  constexpr uint64_t kMostSeeds = 60;
  std::string another;  // what else a seed found
  for (uint64_t seed = 1; seed <= kMostSeeds; seed++) {
    const Outcome outcome = RunSeed(seed, 1, mutant);
    if (outcome.violation.empty()) continue;
    if (outcome.violation.find(words) == std::string::npos) {
      another = outcome.violation;
      continue;
    }
    std::printf("%s: found by seed %llu: %s\n", name, static_cast<unsigned long long>(seed),
                outcome.violation.substr(0, 160).c_str());
    // It is the mutant that was found: without it the seed is clean.
    EXPECT_EQ(RunSeed(seed, 1).violation, "");
    return;
  }
  FAIL() << name << " lived through " << kMostSeeds << " seeds; found besides: " << another;
}

TEST(MutantTest, AcknowledgingBeforeTheSyncIsFound) { ExpectFound("ack before sync", Mutant::kAckBeforeSync); }
TEST(MutantTest, AnAppliedIndexOutsideTheBatchIsFound) {
  ExpectFound("index outside the batch", Mutant::kIndexOutsideBatch);
}
TEST(MutantTest, ALostCompactionMarkIsFound) { ExpectFound("compaction mark lost", Mutant::kCompactionMarkLost); }
TEST(MutantTest, ATombstoneThatGoesBeforeItsPutIsFound) { ExpectFound("tombstone dropped", Mutant::kTombstoneDropped); }
TEST(MutantTest, AStaleIndexIsFound) { ExpectFound("stale index", Mutant::kStaleIndex); }
TEST(MutantTest, ADamagedRecordTakenForTheEndIsFound) { ExpectFound("damage accepted", Mutant::kDamageAccepted); }
TEST(MutantTest, AnEventBeforeTheSyncIsFound) {
  ExpectFound("event before sync", Mutant::kEventBeforeSync, "was known before, from an event");
}
TEST(MutantTest, ProgressBeforeItsEventsIsFound) {
  ExpectFound("progress first", Mutant::kProgressFirst, "progress of");
}
TEST(MutantTest, ALostDeleteOfTheCompactRevisionIsFound) { ExpectFound("delete lost", Mutant::kDeleteLost, "watch: "); }
TEST(MutantTest, ADroppedFragmentIsFound) { ExpectFound("fragment dropped", Mutant::kFragmentDropped, "is missing"); }
TEST(MutantTest, AnEventThatIsToldTwiceAfterAReadingIsFound) {
  ExpectFound("duplicate", Mutant::kDuplicate, "after it was told of all");
}
TEST(MutantTest, ALostCheckpointIsFound) {
  ExpectFound("checkpoint lost", Mutant::kCheckpointLost, "s left after a start");
}
TEST(MutantTest, AKeyThatGoesWithItsFormerLeaseIsFound) { ExpectFound("moved key kept", Mutant::kMovedKeyKept, ""); }
TEST(MutantTest, AWatcherThatIsParkedForGoodIsFound) {
  ExpectFound("parked for good", Mutant::kParkedForGood, "the watchers to be told of everything");
}

}  // namespace
}  // namespace tenon::sim
