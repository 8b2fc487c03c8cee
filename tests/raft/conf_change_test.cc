#include "kernel/raft/conf_change.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/raft/cluster.h"
#include "tests/raft/render.h"

namespace tenon::raft {
namespace {

// What a series of changes makes of an empty configuration; the error if one does not fit.
std::string After(std::initializer_list<const char*> changes) {
  ConfState conf;
  for (const char* words : changes) {
    Result<ConfState> next = Apply(conf, ParseConfChange(words));
    if (!next.ok()) return std::string(tenon::Message(next.status()));
    conf = *std::move(next);
  }
  return Render(conf);
}

TEST(ConfChange, OneAtATime) {
  EXPECT_EQ(After({"v1", "v2", "l3"}), "voters=(1 2) learners=(3)");
  EXPECT_EQ(After({"v1", "l3", "v3"}), "voters=(1 3)") << "promoted";
  EXPECT_EQ(After({"v1", "v2", "l2"}), "voters=(1) learners=(2)") << "demoted";
  EXPECT_EQ(After({"v1", "v2", "r2", "r9"}), "voters=(1)");
  EXPECT_EQ(After({"v1", "v1", "u1", "v0"}), "voters=(1)") << "nothing to do";
}

TEST(ConfChange, SeveralGoThroughAJointConfiguration) {
  EXPECT_EQ(After({"v1", "v2 r1 l3"}), "voters=(2)&(1) learners=(3) autoleave");
  EXPECT_EQ(After({"v1", "v2 r1 l3", ""}), "voters=(2) learners=(3)");
  EXPECT_EQ(After({"v1", "explicit v2"}), "voters=(1 2)&(1)");
  EXPECT_EQ(After({"v1", "implicit v2"}), "voters=(1 2)&(1) autoleave");
}

TEST(ConfChange, ADemotedVoterVotesUntilTheEnd) {
  EXPECT_EQ(After({"v1", "v2", "explicit l2"}), "voters=(1)&(1 2) learners_next=(2)");
  EXPECT_EQ(After({"v1", "v2", "explicit l2", ""}), "voters=(1) learners=(2)");
}

TEST(ConfChange, WhatDoesNotFitIsRefusedInEtcdsWords) {
  EXPECT_EQ(After({"v1", "r1"}), "removed all voters");
  EXPECT_EQ(After({"v1", ""}), "can't leave a non-joint config");
  EXPECT_EQ(After({"v1 v2"}), "can't make a zero-voter config joint");
  EXPECT_EQ(After({"v1", "explicit v2", "v3"}), "can't apply simple config change in joint config");
  EXPECT_EQ(After({"v1", "explicit v2", "explicit v3"}), "config is already joint");
}

// Whatever is applied in whatever order: nobody is two things, and there is always a voter.
TEST(ConfChange, InvariantsHoldOverRandomChanges) {
  std::mt19937 random(1);
  ConfState conf{.voters = {1}};
  int applied = 0;
  for (int round = 0; round < 20000; round++) {
    ConfChange change;
    change.transition = static_cast<ConfChangeTransition>(random() % 3);
    for (uint64_t i = random() % 4; i > 0; i--)
      change.changes.push_back({static_cast<ConfChangeType>(random() % 4), random() % 6});
    Result<ConfState> next = Apply(conf, change);
    if (!next.ok()) continue;
    applied++;
    conf = *std::move(next);
    ASSERT_TRUE(Validate(conf).ok());
    ASSERT_FALSE(conf.voters.empty());
    ASSERT_EQ(conf, Sorted(conf));
  }
  EXPECT_GT(applied, 2000);
}

}  // namespace
}  // namespace tenon::raft
