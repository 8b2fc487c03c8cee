// Seeds without a bug find nothing, and a seed is a promise: the same one runs the same way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace tenon::sim {
namespace {

TEST(SimTest, NothingIsWrongInManySeedsAndNoFaultOrCheckerIsIdle) {
  Batch batch;
  for (uint64_t seed = 1; seed <= 200; seed++) {
    const Outcome outcome = RunSeed(seed, 1);
    batch.Add(outcome);
    EXPECT_EQ(outcome.violation, "") << Failure(outcome);
    if (!outcome.violation.empty()) continue;
    uint64_t fired = 0, kinds = 0;
    for (const uint64_t n : outcome.counts.faults) fired += n, kinds += n > 0;
    EXPECT_GE(fired, 8u) << seed;
    EXPECT_GE(kinds, 4u) << seed;
    EXPECT_GE(outcome.counts.operations, 500u) << seed;
    EXPECT_GE(outcome.counts.simulated_ms, 30'000u) << seed;
  }
  std::fputs(batch.Summary().c_str(), stdout);
  EXPECT_THAT(batch.Idle(), ::testing::IsEmpty());
}

TEST(SimTest, NothingIsWrongInManyClustersAndNoFaultOrCheckerIsIdle) {
  Batch batch;
  for (uint64_t seed = 1; seed <= 100; seed++) {
    const Outcome outcome = RunSeed(seed, seed % 4 == 0 ? 5 : 3);
    batch.Add(outcome);
    EXPECT_EQ(outcome.violation, "") << Failure(outcome);
  }
  std::fputs(batch.Summary().c_str(), stdout);
  EXPECT_THAT(batch.Idle(), ::testing::IsEmpty());
}

TEST(SimTest, TheSameSeedRunsTheSameWay) {
  uint64_t former = 0;
  for (uint64_t seed = 1001; seed <= 1020; seed++) {
    const Outcome once = RunSeed(seed, MembersOf(seed)), again = RunSeed(seed, MembersOf(seed));
    EXPECT_EQ(once.trace_hash, again.trace_hash) << seed;
    EXPECT_NE(once.trace_hash, former) << seed;
    former = once.trace_hash;
  }
}

}  // namespace
}  // namespace tenon::sim
