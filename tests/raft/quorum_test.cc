#include "kernel/raft/quorum.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace tenon::raft {
namespace {

uint64_t Reached(const std::vector<uint64_t>& numbers) {
  std::vector<MemberId> voters;
  for (size_t i = 0; i < numbers.size(); i++) voters.push_back(i);
  return MajorityReached(voters, [&](MemberId id) { return numbers[id]; });
}

TEST(Quorum, MajorityHasReached) {
  EXPECT_EQ(Reached({7}), 7u);
  EXPECT_EQ(Reached({7, 9}), 7u);
  EXPECT_EQ(Reached({7, 9, 0}), 7u);
  EXPECT_EQ(Reached({1, 2, 3, 4}), 2u);
  EXPECT_EQ(Reached({1, 2, 3, 4, 5, 6, 7, 8, 9}), 5u);
  EXPECT_EQ(Reached({}), UINT64_MAX);
}

// Against the definition: the greatest number that more than half of the voters have reached.
TEST(Quorum, MajorityHasReachedByDefinition) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; round++) {
    std::vector<uint64_t> numbers(1 + random() % 11);
    for (uint64_t& n : numbers) n = random() % 6;
    uint64_t greatest = 0;
    for (uint64_t candidate = 0; candidate < 6; candidate++) {
      size_t count = 0;
      for (uint64_t n : numbers) count += n >= candidate;
      if (count > numbers.size() / 2) greatest = candidate;
    }
    ASSERT_EQ(Reached(numbers), greatest);
  }
}

VoteResult Vote(const ConfState& conf, const std::map<MemberId, bool>& votes) {
  return JointVote(conf, [&](MemberId id) -> std::optional<bool> {
    const auto it = votes.find(id);
    if (it == votes.end()) return std::nullopt;
    return it->second;
  });
}

TEST(Quorum, VotesAreWonByMoreThanHalf) {
  const ConfState conf{.voters = {1, 2, 3}};
  EXPECT_EQ(Vote(conf, {{1, true}}), VoteResult::kPending);
  EXPECT_EQ(Vote(conf, {{1, true}, {3, true}}), VoteResult::kWon);
  EXPECT_EQ(Vote(conf, {{1, false}, {3, false}}), VoteResult::kLost);
  EXPECT_EQ(Vote(conf, {{1, true}, {9, true}}), VoteResult::kPending) << "9 is no voter";
  EXPECT_EQ(Vote({.voters = {1, 2}}, {{1, true}, {2, false}}), VoteResult::kLost);
}

TEST(Quorum, JointNeedsBothHalves) {
  const ConfState conf{.voters = {1, 2}, .voters_outgoing = {2, 3, 4}};
  EXPECT_EQ(Vote(conf, {{1, true}, {2, true}}), VoteResult::kPending);
  EXPECT_EQ(Vote(conf, {{1, true}, {2, true}, {3, true}}), VoteResult::kWon);
  EXPECT_EQ(Vote(conf, {{1, true}, {2, true}, {3, false}, {4, false}}), VoteResult::kLost);
  EXPECT_EQ(JointReached(conf, [](MemberId id) { return id * 10; }), 10u);
}

}  // namespace
}  // namespace tenon::raft
