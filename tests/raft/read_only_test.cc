#include "kernel/raft/read_only.h"

#include <gtest/gtest.h>

namespace tenon::raft {
namespace {

const ConfState kThree{.voters = {1, 2, 3}};

std::vector<uint64_t> Contexts(const std::vector<ReadRequest>& requests) {
  std::vector<uint64_t> out;
  for (const ReadRequest& r : requests) out.push_back(r.context);
  return out;
}
using Numbers = std::vector<uint64_t>;

TEST(ReadOnly, AQuorumConfirmsAllReadsBefore) {
  ReadOnly reads;
  EXPECT_EQ(reads.round(), 0u);
  reads.Add({1, 10, Index(5)});
  reads.Add({1, 11, Index(6)});
  EXPECT_EQ(reads.round(), 2u);
  reads.Ack(1, 2);
  EXPECT_TRUE(reads.Advance(kThree).empty());
  reads.Ack(3, 1);
  EXPECT_EQ(Contexts(reads.Advance(kThree)), Numbers{10});
  reads.Ack(3, 2);
  EXPECT_EQ(Contexts(reads.Advance(kThree)), Numbers{11});
  EXPECT_EQ(reads.round(), 0u);
}

// raft#397: the numbers go on, so an answer that took its time says nothing about a read that came later.
TEST(ReadOnly, ALateAnswerConfirmsNoLaterRead) {
  ReadOnly reads;
  reads.Add({1, 10, Index(5)});
  reads.Ack(1, 1);
  reads.Ack(2, 1);
  EXPECT_EQ(Contexts(reads.Advance(kThree)), Numbers{10});
  reads.Add({1, 10, Index(9)});
  reads.Ack(1, reads.round());
  reads.Ack(3, 1);
  EXPECT_TRUE(reads.Advance(kThree).empty());
}

TEST(ReadOnly, AnswersOutOfOrderDoNotTakeBack) {
  ReadOnly reads;
  for (uint64_t i = 1; i <= 3; i++) reads.Add({1, i, Index(i)});
  reads.Ack(1, 3);
  reads.Ack(2, 3);
  reads.Ack(2, 1);
  EXPECT_EQ(Contexts(reads.Advance(kThree)), (Numbers{1, 2, 3}));
}

}  // namespace
}  // namespace tenon::raft
