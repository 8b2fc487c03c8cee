// The life of a cluster of one: every write waits for the disk, every read for the term.
#include <gtest/gtest.h>

#include "tests/raft/cluster.h"

namespace tenon::raft {
namespace {

class SingleVoter : public testing::Test {
 protected:
  void Start() { cluster.Add({.id = 1, .conf = {.voters = {1}}}); }
  void Lead() {
    Start();
    raft().Tick();
    cluster.Stabilize();
    ASSERT_EQ(raft().role(), Role::kLeader);
  }
  Member& member() { return cluster[1]; }
  Raft& raft() { return *member().raft; }
  std::vector<std::string> Texts(const std::vector<Entry>& entries) {
    std::vector<std::string> out;
    for (const Entry& e : entries) out.emplace_back(e.bytes());
    return out;
  }
  using Strings = std::vector<std::string>;

  Cluster cluster;
};

TEST_F(SingleVoter, LeadsAfterTheFirstTick) {
  Lead();
  EXPECT_EQ(raft().term(), Term(1));
  EXPECT_EQ(raft().applied(), Index(1));  // the empty entry of the term
}

TEST_F(SingleVoter, LeadsAtOnceWhenAsked) {
  Start();
  raft().Campaign();
  cluster.Stabilize();
  EXPECT_EQ(raft().role(), Role::kLeader);
}

TEST_F(SingleVoter, BootstrapAppliesTheFounder) {
  cluster.Add({.id = 1});
  raft().Bootstrap({ConfProposal("v1")}, {.voters = {1}});
  raft().Campaign();
  EXPECT_EQ(raft().role(), Role::kFollower) << "must not campaign before the founder is applied";
  Ready ready = raft().TakeReady();
  EXPECT_EQ(ready.hard_state, (HardState{Term(1), 0, Index(1)}));
  EXPECT_EQ(ready.entries.size(), 1u);
  EXPECT_TRUE(ready.must_sync);
  EXPECT_TRUE(ready.committed.empty()) << "not on disk yet";
  for (Message& m : ready.after_append) ASSERT_TRUE(raft().Step(m).ok());
  ready = raft().TakeReady();
  ASSERT_EQ(Texts(ready.committed), Strings{"v1"});
  EXPECT_EQ(raft().ApplyConfChange(Index(1), ParseConfChange("v1")), (ConfState{.voters = {1}}));
  ASSERT_TRUE(raft().Step(raft().AppliedMessage(Index(1))).ok());
  raft().Campaign();
  EXPECT_EQ(raft().role(), Role::kPreCandidate);
}

// etcd#14370.
TEST_F(SingleVoter, NothingCommitsBeforeItIsOnDisk) {
  Lead();
  ASSERT_TRUE(raft().Propose({Proposal("a"), Proposal("b")}).ok());
  Ready ready = raft().TakeReady();
  EXPECT_EQ(Texts(ready.entries), (Strings{"a", "b"}));
  EXPECT_TRUE(ready.must_sync);
  EXPECT_TRUE(ready.committed.empty());
  EXPECT_EQ(raft().commit(), Index(1));
  EXPECT_FALSE(raft().HasReady());
  for (Message& m : ready.after_append) ASSERT_TRUE(raft().Step(m).ok());
  EXPECT_EQ(raft().commit(), Index(3));
  ready = raft().TakeReady();
  EXPECT_EQ(Texts(ready.committed), (Strings{"a", "b"}));
  EXPECT_FALSE(ready.must_sync);
}

TEST_F(SingleVoter, SeveralWritesInFlightCommitInOrder) {
  Lead();
  ASSERT_TRUE(raft().Propose({Proposal("a")}).ok());
  cluster.ProcessReady(1);
  ASSERT_TRUE(raft().Propose({Proposal("b")}).ok());
  cluster.ProcessReady(1);
  ASSERT_EQ(member().writes.size(), 2u);
  cluster.ProcessAppend(1);
  EXPECT_EQ(raft().commit(), Index(2));
  cluster.ProcessReady(1);
  ASSERT_EQ(member().applies.size(), 1u);
  EXPECT_EQ(Texts(member().applies[0]), Strings{"a"});
  cluster.Stabilize();
  EXPECT_EQ(raft().applied(), Index(3));
}

TEST_F(SingleVoter, ProposalsOfOneTurnAnswerOnce) {
  Lead();
  for (int i = 0; i < 100; i++) ASSERT_TRUE(raft().Propose({Proposal("x")}).ok());
  const Ready ready = raft().TakeReady();
  EXPECT_EQ(ready.entries.size(), 100u);
  ASSERT_EQ(ready.after_append.size(), 2u);
  EXPECT_EQ(ready.after_append[0].type, MessageType::kAppResp);
  EXPECT_EQ(ready.after_append[0].index, Index(101));
  EXPECT_EQ(ready.after_append[1].type, MessageType::kStorageAppendResp);
}

TEST_F(SingleVoter, PayloadsAreSharedNotCopied) {
  Lead();
  Entry e = Proposal("a");
  const Payload* payload = e.payload.get();
  ASSERT_TRUE(raft().Propose({std::move(e)}).ok());
  const Ready ready = raft().TakeReady();
  EXPECT_EQ(ready.entries[0].payload.get(), payload);
  EXPECT_EQ(raft().log().At(Index(2)).payload.get(), payload);
}

TEST_F(SingleVoter, ReadWaitsForACommitOfTheTerm) {
  Start();
  raft().Campaign();
  while (raft().role() != Role::kLeader) {
    if (raft().HasReady())
      cluster.ProcessReady(1);
    else
      cluster.ProcessAppend(1);
  }
  ASSERT_TRUE(raft().ReadIndex(7).ok());
  Ready ready = raft().TakeReady();
  EXPECT_TRUE(ready.reads.empty());
  for (Message& m : ready.after_append) ASSERT_TRUE(raft().Step(m).ok());
  ready = raft().TakeReady();
  ASSERT_EQ(ready.reads.size(), 1u);
  EXPECT_EQ(ready.reads[0].context, 7u);
  EXPECT_EQ(ready.reads[0].index, Index(1));
}

// The commit index on disk may be old. A read that believed it would miss what was acknowledged before the crash.
TEST_F(SingleVoter, ReadAfterRestartSeesWhatWasAcknowledged) {
  Lead();
  ASSERT_TRUE(raft().Propose({Proposal("a")}).ok());
  cluster.ProcessReady(1);
  cluster.ProcessAppend(1);
  ASSERT_EQ(raft().commit(), Index(2));  // acknowledged, its commit index never written
  cluster.Crash(1);
  cluster.Restart(1);
  EXPECT_EQ(raft().commit(), Index(1));
  std::vector<ReadState> reads;
  cluster.on_ready = [&](Member&, const Ready& r) { reads.insert(reads.end(), r.reads.begin(), r.reads.end()); };
  raft().Campaign();
  while (raft().role() != Role::kLeader) {
    if (raft().HasReady())
      cluster.ProcessReady(1);
    else if (!member().writes.empty())
      cluster.ProcessAppend(1);
    else if (!member().applies.empty())
      cluster.ProcessApply(1);
  }
  ASSERT_TRUE(raft().ReadIndex(8).ok());
  cluster.Stabilize();
  ASSERT_EQ(reads.size(), 1u);
  EXPECT_GE(reads[0].index, Index(2));
}

TEST_F(SingleVoter, UnacknowledgedWriteMayVanish) {
  Lead();
  ASSERT_TRUE(raft().Propose({Proposal("a")}).ok());
  cluster.ProcessReady(1);
  cluster.Crash(1);
  cluster.Restart(1);
  EXPECT_EQ(raft().last_index(), Index(1));
}

TEST_F(SingleVoter, RestartContinuesBehindTheAppliedIndex) {
  Lead();
  for (int i = 0; i < 5; i++) ASSERT_TRUE(raft().Propose({Proposal("x")}).ok());
  cluster.Stabilize();
  cluster.Persist(1);
  cluster.Compact(1, Index(4));
  cluster.Crash(1);
  cluster.Restart(1);
  EXPECT_EQ(raft().first_index(), Index(5));
  EXPECT_EQ(raft().applied(), Index(6));
  raft().Tick();
  cluster.Stabilize();
  EXPECT_EQ(raft().role(), Role::kLeader);
  EXPECT_EQ(raft().term(), Term(2));
  EXPECT_EQ(raft().applied(), Index(7));
}

// The persisted state machine may be ahead of the commit index on disk, never the other way round at a loss.
TEST_F(SingleVoter, CommitStartsAtTheAppliedIndexIfThatIsGreater) {
  const std::vector<Entry> entries{{Term(1), Index(1)}, {Term(1), Index(2)}, {Term(1), Index(3)}};
  Raft raft({.id = 1,
             .hard_state = {Term(1), 1, Index(1)},
             .entries = entries,
             .conf = {.voters = {1}},
             .applied = Index(2)});
  EXPECT_EQ(raft.commit(), Index(2));
  EXPECT_EQ(raft.TakeReady().hard_state, (HardState{Term(1), 1, Index(2)}));
}

// Power failed between the entries of a new term and its hard state.
TEST_F(SingleVoter, TermIsAtLeastThatOfTheLog) {
  Raft raft({.id = 1,
             .hard_state = {Term(1), 1, Index(1)},
             .entries = {{Term(1), Index(1)}, {Term(2), Index(2)}},
             .conf = {.voters = {1}}});
  EXPECT_EQ(raft.term(), Term(2));
  EXPECT_EQ(raft.vote(), 0u);
}

TEST_F(SingleVoter, TooMuchUncommittedIsRefused) {
  cluster.Add({.id = 1, .max_uncommitted_bytes = 10, .conf = {.voters = {1}}});
  raft().Tick();
  cluster.Stabilize();
  EXPECT_TRUE(raft().Propose({Proposal(std::string(100, 'x'))}).ok()) << "any size while nothing waits";
  EXPECT_EQ(raft().Propose({Proposal("y")}).code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(raft().Propose({Proposal("")}).ok());
  cluster.Stabilize();
  EXPECT_TRUE(raft().Propose({Proposal("y")}).ok());
}

TEST_F(SingleVoter, WithoutALeaderNothingIsAccepted) {
  Start();
  EXPECT_EQ(raft().Propose({Proposal("a")}).code(), StatusCode::kUnavailable);
  EXPECT_EQ(raft().ReadIndex(1).code(), StatusCode::kUnavailable);
}

TEST_F(SingleVoter, LocalMessagesFromOutsideAreRefused) {
  Lead();
  EXPECT_EQ(raft().Step({.type = MessageType::kHup, .from = 2}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(raft().Step({.type = MessageType::kStorageAppendResp, .from = 2}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(raft().Step({.type = MessageType::kAppResp, .from = 2, .term = Term(9)}).code(), StatusCode::kNotFound);
  EXPECT_EQ(raft().term(), Term(1));
}

TEST_F(SingleVoter, MalformedAppendIsRefused) {
  Start();
  Message m{.type = MessageType::kApp, .to = 1, .from = 2, .term = Term(3)};
  m.entries = {{Term(3), Index(1)}, {Term(3), Index(3)}};
  EXPECT_EQ(raft().Step(m).code(), StatusCode::kInvalidArgument);
  m.entries = {{Term(4), Index(1)}};
  EXPECT_EQ(raft().Step(m).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(raft().Step({.type = MessageType::kSnap, .from = 2, .term = Term(3)}).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tenon::raft
