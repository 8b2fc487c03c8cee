// A failure is worth little if nobody can see what led to it: the list of its strikes must become short, and say it
// all.
#include "tests/sim/shrink.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "tests/sim/report.h"

namespace tenon::sim {
namespace {

// A planted mistake, first seed that finds it, and what is left of its strikes.
void ExpectShrinks(Mutant mutant, size_t members) {
  for (uint64_t seed = 1; seed <= 60; seed++) {
    const Outcome failed = RunSeed(seed, members, mutant);
    if (failed.violation.empty() || failed.strikes.size() < 4) continue;
    const Shrunk shrunk = Shrink(failed, mutant, 60);
    std::printf("seed %llu: %zu of %zu strikes after %zu runs: %s\n%s", static_cast<unsigned long long>(seed),
                shrunk.strikes.size(), failed.strikes.size(), shrunk.runs, shrunk.outcome.violation.c_str(),
                Describe(shrunk.outcome.strikes).c_str());
    EXPECT_LT(shrunk.strikes.size(), failed.strikes.size());
    // The list is all that is needed, and it is the mistake that fails.
    EXPECT_EQ(RunSeed(seed, members, mutant, false, shrunk.strikes).violation, shrunk.outcome.violation);
    EXPECT_EQ(RunSeed(seed, members, Mutant::kNone, false, shrunk.strikes).violation, "");
    return;
  }
  FAIL() << "no seed found the planted mistake";
}

TEST(ShrinkTest, AFailureOfOneMemberIsShrunk) { ExpectShrinks(Mutant::kIndexOutsideBatch, 1); }
TEST(ShrinkTest, AFailureOfAClusterIsShrunk) { ExpectShrinks(Mutant::kIndexOutsideBatch, 3); }

TEST(ShrinkTest, AllStrikesByNumberAreTheSameRun) {
  for (uint64_t seed = 1; seed <= 6; seed++) {
    const size_t members = MembersOf(seed);
    const Outcome all = RunSeed(seed, members);
    StrikeNumbers numbers;
    for (const StrikeDone& s : all.strikes) numbers.push_back(s.number);
    EXPECT_EQ(RunSeed(seed, members, Mutant::kNone, false, numbers).trace_hash, all.trace_hash) << seed;
  }
}

TEST(ShrinkTest, AStrikeStaysWhatItIsWithoutTheOthers) {
  const Outcome all = RunSeed(7, 3);
  ASSERT_GE(all.strikes.size(), 4u);
  const StrikeDone& one = all.strikes[all.strikes.size() / 2];
  const Outcome alone = RunSeed(7, 3, Mutant::kNone, false, {one.number});
  ASSERT_EQ(alone.strikes.size(), 1u);
  EXPECT_EQ(alone.strikes[0].words, one.words);
}

}  // namespace
}  // namespace tenon::sim
