// Rules that no transcript can show: they are about chance, or about an answer that comes later than it may.
#include <gtest/gtest.h>

#include <set>

#include "tests/raft/cluster.h"

namespace tenon::raft {
namespace {

// Thesis 3.4: timeouts are drawn from [T, 2T), anew for every term, so that split votes are rare and do not repeat.
TEST(ElectionTimeout, IsDrawnAnewForEachTermFromOneToTwoTimeouts) {
  constexpr int kTicks = 10;
  Raft raft({.id = 1, .election_ticks = kTicks, .pre_vote = false, .conf = {.voters = {1, 2, 3}}});
  std::set<int> seen;
  for (int election = 0; election < 300; election++) {
    const Term before = raft.term();
    int ticks = 0;
    while (raft.term() == before) raft.Tick(), ticks++;
    ASSERT_GE(ticks, kTicks);
    ASSERT_LT(ticks, 2 * kTicks);
    seen.insert(ticks);
  }
  EXPECT_EQ(seen.size(), size_t{kTicks}) << "each length occurs";
}

// The same, for members that ask first: as a term is not raised by asking, their timeout stays until one is.
TEST(ElectionTimeout, MembersWithOtherSeedsDiffer) {
  std::set<int> seen;
  for (uint64_t seed = 0; seed < 20; seed++) {
    Raft raft({.id = 1, .election_ticks = 10, .seed = seed, .conf = {.voters = {1, 2, 3}}});
    int ticks = 0;
    while (raft.role() == Role::kFollower) raft.Tick(), ticks++;
    seen.insert(ticks);
  }
  EXPECT_GT(seen.size(), 4u);
}

class SlowDisk : public testing::Test {
 protected:
  // What leader `from` sends in `term` to a follower whose log is to be `terms`, from its first entry on.
  Message Append(MemberId from, Term term, std::vector<uint64_t> terms) {
    Message m{.type = MessageType::kApp, .to = 2, .from = from, .term = term};
    for (size_t i = 0; i < terms.size(); i++) m.entries.push_back({.term = Term(terms[i]), .index = Index(i + 1)});
    return m;
  }
  // Takes what is to be written; the answers are given when the test says so.
  std::vector<Message> BeginWrite() { return raft.TakeReady().after_append; }
  void EndWrite(const std::vector<Message>& answers) {
    for (const Message& m : answers) {
      if (m.to != 2) continue;
      const Status own = raft.Step(m);
      ASSERT_TRUE(own.ok()) << own;
    }
  }
  Index stable() { return raft.log().unstable().offset() - 1; }

  Raft raft{{.id = 2, .conf = {.voters = {1, 2, 3, 4}}}};
};

// The answer of an earlier term is ignored, so a later write of the same entries' term must attest them too.
TEST_F(SlowDisk, ALaterWriteAttestsWhatAnIgnoredAnswerWould) {
  ASSERT_TRUE(raft.Step(Append(1, Term(1), {1, 1})).ok());
  const auto entries = BeginWrite();
  Message vote{.type = MessageType::kVote, .to = 2, .from = 3, .term = Term(2), .log_term = Term(1), .index = Index(2)};
  vote.context = kCampaignTransfer;
  ASSERT_TRUE(raft.Step(vote).ok());
  const auto hard_state = BeginWrite();
  EndWrite(entries);
  EXPECT_EQ(stable(), Index(0));
  EndWrite(hard_state);
  EXPECT_EQ(stable(), Index(2));
}

// Thesis 4.1: one change at a time, so a change in the log says that the one before is committed. Members 1 to 3 were
// replaced by 3 to 5; power failed while 3 wrote the end of the joint configuration, and its commit index is lost.
TEST(TornWrite, TheChangeBeforeTheLastOneIsCommitted) {
  std::vector<Entry> entries = {Proposal(""), ConfProposal("explicit r1 r2 v4 v5"), Proposal("x"), ConfProposal("")};
  for (size_t i = 0; i < entries.size(); i++) entries[i].term = Term(1), entries[i].index = Index(i + 1);
  Raft raft({.id = 3,
             .pre_vote = false,
             .hard_state = {Term(1), 0, Index(1)},
             .entries = entries,
             .conf = {.voters = {1, 2, 3}},
             .applied = Index(1)});
  EXPECT_EQ(raft.commit(), Index(2));
  raft.Campaign();
  EXPECT_EQ(raft.role(), Role::kFollower) << "first the change is applied";
  raft.ApplyConfChange(Index(2), ParseConfChange("explicit r1 r2 v4 v5"));
  ASSERT_TRUE(raft.Step(raft.AppliedMessage(Index(2))).ok());
  raft.Campaign();
  ASSERT_EQ(raft.role(), Role::kCandidate);
  raft.TakeReady();
  for (const MemberId voter : {1, 2, 3}) {
    const Message vote{.type = MessageType::kVoteResp, .to = 3, .from = voter, .term = Term(2)};
    ASSERT_TRUE(raft.Step(vote).ok());
  }
  EXPECT_EQ(raft.role(), Role::kCandidate) << "the old majority alone is none";
  ASSERT_TRUE(raft.Step({.type = MessageType::kVoteResp, .to = 3, .from = 4, .term = Term(2)}).ok());
  EXPECT_EQ(raft.role(), Role::kLeader);
}

// One that led a term before that term was on its own disk would forget it in a crash, and be elected into it once more
// by the same votes: two entries of one index and term.
TEST(OwnVote, IsOnDiskBeforeItLeads) {
  Raft raft({.id = 1, .pre_vote = false, .conf = {.voters = {1, 2, 3}}});
  raft.Campaign();
  const std::vector<Message> after_append = raft.TakeReady().after_append;
  for (const MemberId voter : {2, 3}) {
    ASSERT_TRUE(raft.Step({.type = MessageType::kVoteResp, .to = 1, .from = voter, .term = Term(1)}).ok());
  }
  EXPECT_EQ(raft.role(), Role::kCandidate) << "its own disk is slow";
  for (const Message& m : after_append) {
    if (m.to == 1) ASSERT_TRUE(raft.Step(m).ok());
  }
  EXPECT_EQ(raft.role(), Role::kLeader);
}

// A leader offers a snapshot without its configuration: who needs the state fetches both. A follower that has the
// entries after all, and whose answer for them was lost, says so; or the leader offers the same for ever.
TEST_F(SlowDisk, AnOfferedSnapshotIsDeclinedByWhoHasItsEntries) {
  ASSERT_TRUE(raft.Step(Append(1, Term(1), {1, 1})).ok());
  EndWrite(BeginWrite());
  Message offer{.type = MessageType::kSnap, .to = 2, .from = 1, .term = Term(1)};
  offer.snapshot = SnapshotMeta{Index(2), Term(1), {}};
  ASSERT_TRUE(raft.Step(offer).ok());
  EXPECT_EQ(raft.commit(), Index(2));
  const std::vector<Message> answers = BeginWrite();
  ASSERT_EQ(answers.back().type, MessageType::kAppResp);
  EXPECT_EQ(answers.back().index, Index(2));
}

// Thesis 3.8: what a member promises leaves only when it is on disk.
TEST_F(SlowDisk, PromisesWaitForTheDiskAndNothingElseDoes) {
  ASSERT_TRUE(raft.Step(Append(1, Term(1), {1})).ok());
  ASSERT_TRUE(raft.Step({.type = MessageType::kHeartbeat, .to = 2, .from = 1, .term = Term(1)}).ok());
  const Ready ready = raft.TakeReady();
  ASSERT_EQ(ready.messages.size(), 1u);
  EXPECT_EQ(ready.messages[0].type, MessageType::kHeartbeatResp);
  ASSERT_EQ(ready.after_append.size(), 2u);
  EXPECT_EQ(ready.after_append[0].type, MessageType::kAppResp);
  EXPECT_EQ(ready.after_append[1].type, MessageType::kStorageAppendResp);
  EXPECT_TRUE(ready.must_sync);
}

}  // namespace
}  // namespace tenon::raft
