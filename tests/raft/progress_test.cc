#include "kernel/raft/progress.h"

#include <gtest/gtest.h>

namespace tenon::raft {
namespace {

TEST(Inflights, AnAnswerFreesAllBefore) {
  Inflights window({.messages = 3});
  for (uint64_t i : {2, 4, 6}) window.Add(Index(i), 1000);
  EXPECT_TRUE(window.full());
  window.FreeUpTo(Index(1));
  EXPECT_EQ(window.count(), 3u);
  window.FreeUpTo(Index(5));
  EXPECT_EQ(window.count(), 1u);
}

TEST(Inflights, BytesFillTheWindowToo) {
  Inflights window({.messages = 3, .bytes = 100});
  window.Add(Index(2), 99);
  EXPECT_FALSE(window.full());
  window.Add(Index(3), 1000);  // one message may cross the limit, else a large entry could never leave
  EXPECT_TRUE(window.full());
  window.FreeUpTo(Index(2));
  EXPECT_TRUE(window.full());
  window.FreeUpTo(Index(3));
  EXPECT_FALSE(window.full());
  EXPECT_EQ(window.bytes(), 0u);
}

TEST(Progress, ProbingSendsOneAtATime) {
  Progress p(Index(5), {.messages = 10});
  EXPECT_FALSE(p.paused());
  p.SentEntries(3, 10);
  EXPECT_TRUE(p.paused());
  EXPECT_EQ(p.next, Index(5)) << "not known to have arrived";
}

TEST(Progress, ReplicatingSendsAhead) {
  Progress p(Index(5), {.messages = 2});
  p.MaybeUpdate(Index(4));
  p.BecomeReplicate();
  p.SentEntries(3, 10);
  EXPECT_EQ(p.next, Index(8));
  EXPECT_FALSE(p.paused());
  p.SentEntries(1, 10);
  EXPECT_TRUE(p.paused()) << "the window is full";
}

TEST(Progress, OldRejectionsAreIgnored) {
  Progress p(Index(5), {.messages = 10});
  EXPECT_FALSE(p.MaybeDecrease(Index(3), Index(2))) << "not what we asked last";
  EXPECT_TRUE(p.MaybeDecrease(Index(4), Index(2)));
  EXPECT_EQ(p.next, Index(3));
  p.MaybeUpdate(Index(6));
  p.BecomeReplicate();
  EXPECT_FALSE(p.MaybeDecrease(Index(6), Index(2)));
  p.SentEntries(3, 10);
  EXPECT_TRUE(p.MaybeDecrease(Index(9), Index(2)));
  EXPECT_EQ(p.next, Index(7)) << "never below what is known to match";
}

TEST(Progress, AfterASnapshotProbingGoesOnBehindIt) {
  Progress p(Index(1), {.messages = 10});
  p.BecomeSnapshot(Index(20));
  EXPECT_TRUE(p.paused());
  p.BecomeProbe();
  EXPECT_EQ(p.next, Index(21));
}

TEST(Tracker, FollowsTheConfiguration) {
  Tracker tracker({.messages = 1});
  tracker.SwitchTo({.voters = {1, 2}, .learners = {3}}, Index(7));
  EXPECT_TRUE(tracker.Find(3)->is_learner);
  tracker.Find(2)->MaybeUpdate(Index(9));
  tracker.SwitchTo({.voters = {2, 3}}, Index(11));
  EXPECT_EQ(tracker.Find(1), nullptr);
  EXPECT_EQ(tracker.Find(2)->match, Index(9)) << "who stays keeps what it has";
  EXPECT_FALSE(tracker.Find(3)->is_learner);
}

TEST(Tracker, LearnersDoNotCount) {
  const ConfState conf{.voters = {1, 2, 3}, .learners = {4}};
  Tracker tracker({.messages = 1});
  tracker.SwitchTo(conf, Index(1));
  tracker.Find(1)->match = Index(5);
  tracker.Find(4)->match = Index(5);
  EXPECT_EQ(tracker.Committed(conf), Index(0));
  tracker.Find(2)->match = Index(3);
  EXPECT_EQ(tracker.Committed(conf), Index(3));
}

TEST(Tracker, QuorumIsActiveWhenAMajorityAnswered) {
  const ConfState conf{.voters = {1, 2, 3}};
  Tracker tracker({.messages = 1});
  tracker.SwitchTo(conf, Index(1));
  for (auto& [id, p] : tracker.all()) p.recent_active = id == 1;
  EXPECT_FALSE(tracker.QuorumActive(conf));
  tracker.Find(3)->recent_active = true;
  EXPECT_TRUE(tracker.QuorumActive(conf));
}

}  // namespace
}  // namespace tenon::raft
