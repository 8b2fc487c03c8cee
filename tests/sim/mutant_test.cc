// A simulator that finds nothing proves nothing: each planted mistake must be found, and be the reason.
//
// Each begins at a seed known to be near one that finds it, so that this stays quick; sim-mutants tells how many seeds
// each needs.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/sim/mutants.h"

namespace tenon::sim {
namespace {

constexpr uint64_t kMostSeeds = 60;

class MutantTest : public ::testing::TestWithParam<PlantedBug> {};

TEST_P(MutantTest, IsFound) {
  const PlantedBug& bug = GetParam();
  const Found found = Find(bug, bug.known_seed, kMostSeeds);
  ASSERT_GT(found.seeds, 0u) << bug.name << " lived through " << kMostSeeds
                             << " seeds; found besides: " << found.another;
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(found.seed), found.violation.substr(0, 160).c_str());
  // It is the mutant that was found: without it the seed is clean.
  EXPECT_EQ(RunSeed(found.seed, bug.members > 0 ? bug.members : MembersOf(found.seed)).violation, "");
}

INSTANTIATE_TEST_SUITE_P(Each, MutantTest, ::testing::ValuesIn(PlantedBugs().begin(), PlantedBugs().end()),
                         [](const auto& info) {
                           std::string name(info.param.name);
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace tenon::sim
