// The node's loop: what is said when, seen from the disk and from the caller.
#include "kernel/node/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <optional>
#include <thread>

#include "tests/support/member_fixture.h"

namespace tenon::node {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::MemberFixture;
constexpr const char* kTimeout = "etcdserver: request timed out";
constexpr const char* kStopped = "etcdserver: server stopped";

class NodeTest : public ::testing::Test {
 protected:
  // Stop waits for the node's thread, which is us.
  void Stop() {
    std::future<void> stopped = std::async(std::launch::async, [&] { m.node->Stop(); });
    while (stopped.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) m.Run();
  }
  MemberFixture m;
};

TEST_F(NodeTest, MemberLeadsItsClusterOfOne) {
  m.Lead();
  EXPECT_EQ(m.node->state().role, raft::Role::kLeader);
  EXPECT_EQ(m.membership.List().size(), 1u);
  EXPECT_THAT(m.fatals, IsEmpty());
}

TEST_F(NodeTest, ProposalGoesToDiskThenToApplyThenToTheCaller) {
  m.Lead();
  m.Put("put");
  while (m.node_thread.RunOne()) {
  }
  while (m.apply_thread.RunOne()) {
  }
  EXPECT_THAT(m.answers, IsEmpty());
  EXPECT_EQ(m.s.store->revision(), 1);
  ASSERT_TRUE(m.wal_thread.RunOne());  // synced
  EXPECT_THAT(m.answers, IsEmpty());
  while (m.node_thread.RunOne()) {
  }
  EXPECT_THAT(m.answers, IsEmpty());
  while (m.apply_thread.RunOne()) {
  }
  EXPECT_THAT(m.answers, ElementsAre("put:OK"));
  EXPECT_EQ(m.s.store->revision(), 2);
}

TEST_F(NodeTest, NothingIsAcknowledgedThatAPowerLossTakesAway) {
  m.Lead();
  for (int i = 0; i < 20; i++) {
    m.Put(fmt::format("{}", i), fmt::format("k{}", i));
    if (i % 3 == 0) m.Run();
  }
  m.node_thread.RunOne();
  const size_t acknowledged = m.answers.size();
  EXPECT_GT(acknowledged, 0u);
  m.disk.LosePower(MemoryDisk::Loss::kEverything);
  auto log = wal::Wal::Open(m.disk, "/member/wal", {}, Index(), {});
  ASSERT_TRUE(log.ok()) << log.status();
  size_t puts = 0;
  for (const raft::Entry& e : log->second.entries) puts += e.type == raft::EntryType::kNormal && !e.bytes().empty();
  EXPECT_GE(puts, acknowledged);
}

TEST_F(NodeTest, ProposalsThatWaitShareOneSync) {
  m.Lead();
  const auto syncs_for = [&](int puts) {
    const uint64_t before = m.disk.operations();
    for (int i = 0; i < puts; i++) m.Put("p");
    m.Run();
    return m.disk.operations() - before;
  };
  EXPECT_EQ(syncs_for(1), syncs_for(500));
  EXPECT_EQ(m.answers.size(), 501u);
}

// The first answer comes from inside the applier's turn: what is proposed there meets an applier at work.
class BacklogTest : public NodeTest {
 protected:
  void NodeAndDisk() {
    while (m.node_thread.RunOne() || m.wal_thread.RunOne()) {
    }
  }
  uint64_t Operations() const { return m.disk.operations(); }
};

TEST_F(BacklogTest, ProposalsWaitWhileTheApplierHasEntriesWaiting) {
  m.Lead();
  uint64_t before = 0, one = 0, held = 0;
  m.Put("first", "k", [&] {
    before = Operations();
    m.Put("second");
    NodeAndDisk();  // synced and committed: it waits for the end of this turn
    one = Operations() - before;
    m.Put("third");
    NodeAndDisk();
    m.Put("fourth");
    NodeAndDisk();
    held = Operations() - before - one;
  });
  m.Run();
  EXPECT_GT(one, 0u);
  EXPECT_EQ(held, 0u);
  EXPECT_EQ(Operations() - before, 2 * one);  // the two share a sync
  EXPECT_THAT(m.answers, ElementsAre("first:OK", "second:OK", "third:OK", "fourth:OK"));
}

TEST_F(BacklogTest, ApplierThatDoesNotComeBackKeepsNobodyWaitingForEver) {
  m.Lead();
  uint64_t held = 0, after_a_tick = 0;
  m.Put("first", "k", [&] {
    m.Put("second");
    NodeAndDisk();
    const uint64_t before = Operations();
    m.Put("third");
    NodeAndDisk();
    held = Operations() - before;
    m.s.clock.Advance(100'000'000);
    NodeAndDisk();
    after_a_tick = Operations() - before;
    for (int i = 0; i < 100; i++) {
      m.s.clock.Advance(100'000'000);
      NodeAndDisk();
    }
  });
  m.Run();
  EXPECT_EQ(held, 0u);
  EXPECT_GT(after_a_tick, 0u);
  EXPECT_THAT(m.answers, ElementsAre("first:OK", std::string("second:") + kTimeout, std::string("third:") + kTimeout));
}

TEST_F(NodeTest, FailedSyncStopsTheMemberAndNobodyIsToldOk) {
  m.Lead();
  m.disk.FailOperation(1, StatusCode::kInternal);  // 0 is the write
  m.Put("put");
  m.Run();
  EXPECT_EQ(m.fatals.size(), 1u);
  m.Put("later");
  m.Run();
  for (int i = 0; i < 100; i++) m.Tick();
  EXPECT_THAT(m.answers, ElementsAre(std::string("put:") + kTimeout, std::string("later:") + kTimeout));
  EXPECT_EQ(m.s.store->revision(), 1);
  EXPECT_EQ(m.fatals.size(), 1u);
}

TEST_F(NodeTest, FailedWriteStopsTheMemberToo) {
  m.Lead();
  m.disk.FailOperation(0, StatusCode::kResourceExhausted);
  m.Put("put");
  m.Run();
  EXPECT_EQ(m.fatals.size(), 1u);
  EXPECT_THAT(m.answers, IsEmpty());
}

TEST_F(NodeTest, CallerIsToldWhenItTakesTooLongAndNotTwice) {
  m.Lead();
  m.Put("slow");
  for (int i = 0; i < 80; i++) {  // the wal thread is stuck
    m.s.clock.Advance(100'000'000);
    while (m.node_thread.RunOne()) {
    }
  }
  EXPECT_THAT(m.answers, ElementsAre(std::string("slow:") + kTimeout));
  m.Run();
  EXPECT_EQ(m.answers.size(), 1u);
  EXPECT_EQ(m.s.store->revision(), 2);  // applied all the same, as in etcd
}

TEST(NodeMemoryTest, SlowRequestDoesNotKeepTheBytesOfThoseBehindIt) {
  Node::Options options;
  options.log_entries_kept = 0;  // raft keeps what it may need again: not our subject
  MemberFixture m(options);
  m.Lead();
  m.Put("before");
  m.Run();
  // A compaction that waits for its rows to go, which somebody still reads.
  std::optional<mvcc::ReadView> reader(std::in_place, *m.s.store);
  for (int i = 0; i < 3; i++) m.Put("before");
  m.Run();
  etcdserverpb::CompactionRequest compaction;
  compaction.set_revision(m.s.store->revision());
  compaction.set_physical(true);
  m.node->Propose(std::make_shared<const apply::Proposal>(
      apply::EncodeEntry(99, apply::Field::kCompaction, compaction.SerializeAsString()), apply::Request{99, compaction},
      [&](const Status& status, Bufs) { m.Say("slow", status); }));
  m.Put("between");
  m.Run();
  std::weak_ptr<const apply::Proposal> fast = m.Put("fast");
  m.Run();
  m.answers.clear();
  for (int i = 0; i < 1100; i++) m.Put("behind");
  m.Run();
  m.Put("last");  // now raft lets go of what is far behind
  m.Tick();
  EXPECT_TRUE(fast.expired());
  EXPECT_THAT(m.answers, ::testing::Not(::testing::Contains("slow:OK")));
  reader.reset();
  for (int i = 0; i < 10; i++) m.Tick();
  EXPECT_THAT(m.answers, ::testing::Contains("slow:OK"));
}

TEST_F(NodeTest, TooManyThatWaitForTheApplierAreRefusedAtOnce) {
  m.Lead();
  for (int i = 0; i < 5001; i++) m.Put("p");
  const auto node_and_disk = [&] {
    while (m.node_thread.RunOne() || m.wal_thread.RunOne()) {
    }
  };
  node_and_disk();
  m.s.clock.Advance(100'000'000);  // a tick lets those go that were held back
  node_and_disk();
  EXPECT_THAT(m.answers, IsEmpty());
  m.Put("late");
  EXPECT_THAT(m.answers, ElementsAre("late:etcdserver: too many requests"));
  m.Run();
  EXPECT_EQ(std::count(m.answers.begin(), m.answers.end(), "p:OK"), 5001);
}

TEST_F(NodeTest, TenThousandClientsAtOnceAreServedInSeveralBatches) {
  m.Lead();
  const auto operations_for = [&](int puts) {
    const uint64_t before = m.disk.operations();
    for (int i = 0; i < puts; i++) m.Put("p");
    m.Run();
    return m.disk.operations() - before;
  };
  const uint64_t one = operations_for(1);
  EXPECT_GE(operations_for(10'000), 3 * one);
  EXPECT_EQ(m.answers.size(), 10'001u);
  EXPECT_THAT(m.answers, ::testing::Each("p:OK"));
}

TEST(NodeLimitTest, BytesThatWaitAreBounded) {
  MemberFixture m({.max_waiting_bytes = 1000});
  m.Lead();
  for (int i = 0; i < 100; i++) m.Put("p", std::string(90, 'k'));
  const size_t refused = m.answers.size();
  EXPECT_THAT(m.answers, ::testing::Each("p:etcdserver: too many requests"));
  EXPECT_GE(refused, 89u);  // ten keys are 900 bytes, and each entry has some more
  EXPECT_LT(refused, 100u);
  m.Run();
  EXPECT_EQ(m.answers.size(), 100u);
  m.Put("after", std::string(90, 'k'));  // the room is free again
  m.Run();
  EXPECT_EQ(m.answers.back(), "after:OK");
}

TEST_F(NodeTest, ReadWaitsUntilTheMemberLeads) {
  m.Read("early");
  EXPECT_THAT(m.answers, IsEmpty());
  m.Lead();
  EXPECT_EQ(m.answers.size(), 1u);  // served, or told that there is no leader yet
  m.answers.clear();
  m.Read("now");
  EXPECT_THAT(m.answers, ElementsAre("now:OK"));
}

TEST_F(NodeTest, ReadBehindAnAcknowledgedWriteSeesIt) {
  m.Lead();
  m.Put("put");
  m.Run();
  m.Read("read");
  ASSERT_THAT(m.answers, ElementsAre("put:OK", "read:OK"));
  EXPECT_EQ(m.s.store->revision(), 2);
}

TEST_F(NodeTest, StopAnswersEveryoneOnce) {
  m.Lead();
  m.Put("proposed");
  while (m.node_thread.RunOne()) {
  }
  m.Put("waiting");
  Stop();
  m.Put("late");
  m.Run();
  ASSERT_EQ(m.answers.size(), 3u);
  EXPECT_THAT(m.answers, ::testing::Contains(std::string("late:") + kStopped));
  for (const char* name : {"proposed:", "waiting:"}) {
    EXPECT_EQ(
        std::count_if(m.answers.begin(), m.answers.end(), [&](const std::string& a) { return a.starts_with(name); }),
        1);
  }
}

TEST_F(NodeTest, WhoIsAnsweredByStopMayAskAgain) {
  m.Lead();
  bool asked = false;
  m.node->Propose(std::make_shared<const apply::Proposal>("x", apply::Request{}, [&](const Status&, Bufs) {
    asked = true;
    m.Put("again");
  }));
  std::future<void> stopped = std::async(std::launch::async, [&] { m.node->Stop(); });
  // Only the node's thread runs: the proposal is still waiting when it is told to stop.
  while (stopped.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    while (m.node_thread.RunOne()) {
    }
    m.wal_thread.RunOne();
  }
  EXPECT_TRUE(asked);
  EXPECT_THAT(m.answers, ElementsAre(std::string("again:") + kStopped));
}

TEST_F(NodeTest, CheckpointLeavesALogToRestartFrom) {
  m.Lead();
  for (int i = 0; i < 10; i++) m.Put("p");
  m.Run();
  const Index applied = m.applier->applied();
  m.node->Persisted(applied);
  m.Run();
  const auto snapshots = wal::Wal::Snapshots(m.disk, "/member/wal");
  ASSERT_TRUE(snapshots.ok()) << snapshots.status();
  EXPECT_EQ(snapshots->back().index, applied);
  EXPECT_EQ(snapshots->back().conf.voters, std::vector<MemberId>{MemberFixture::kSelf});
}

}  // namespace
}  // namespace tenon::node
