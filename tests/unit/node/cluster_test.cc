// Three nodes that reach each other: what each says to its callers, seen at the disks and the messages between them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "kernel/node/corruption_watch.h"
#include "kernel/node/version_watch.h"
#include "tests/support/member_fixture.h"

namespace tenon::node {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::MemberFixture;

class Cluster;

// What member `self` sends arrives at once, unless a link is cut.
class Wire : public Peers {
 public:
  Wire(Cluster& cluster, MemberId self) : cluster_(cluster), self_(self) {}
  void Serve(PeerHandler*) override {}
  void Set(MemberId, const std::vector<std::string>&) override {}
  void Send(std::vector<PeerMessage> messages) override;
  void Call(MemberId to, std::string_view url, std::string_view method, std::string request, uint64_t timeout_ns,
            Done done) override;
  uint64_t ActiveSinceNs(MemberId id) override;

 private:
  Cluster& cluster_;
  const MemberId self_;
};

class Cluster : public ::testing::Test {
 protected:
  explicit Cluster(Version server = OwnVersion()) {
    std::vector<cluster::Member> founders;
    for (MemberId id = 1; id <= 3; id++) {
      founders.push_back({id, fmt::format("n{}", id), {fmt::format("http://n{}", id)}, {}, false});
    }
    for (MemberId id = 1; id <= 3; id++) {
      wires.push_back(std::make_unique<Wire>(*this, id));
      Node::Options options;
      options.log_entries_for_followers = 100;
      members.push_back(
          std::make_unique<MemberFixture>(founders, id, &*wires.back(), options, mvcc::Store::Options(), server));
      MemberFixture& m = *members.back();
      watches.push_back(std::make_unique<CorruptionWatch>(
          CorruptionWatch::Parts{m.reader_thread, *m.node, *m.applier, m.alarms, m.membership, m.ids, *wires.back(),
                                 [this, id](std::string_view) { healed.insert(id); }, [] { return false; }}));
      version_watches.push_back(std::make_unique<VersionWatch>(
          VersionWatch::Parts{m.reader_thread, *m.node, m.membership, m.ids, &*wires.back()}));
      m.node->Start();
      watches.back()->Start();
    }
  }

  MemberFixture& At(MemberId id) { return *members[id - 1]; }
  // Until nobody has anything to do.
  void Run() {
    for (bool any = true; any;) {
      any = false;
      for (auto& m : members) any |= RunOne(*m);
    }
  }
  bool RunOne(MemberFixture& m) {
    bool any = m.node_thread.RunOne() || m.apply_thread.RunOne() || m.reader_thread.RunOne() || m.watch_thread.RunOne();
    if (!stuck.contains(m.membership.self())) any |= m.wal_thread.RunOne();
    return any;
  }
  void Tick(int n = 1) {
    for (int i = 0; i < n; i++) {
      for (auto& m : members) m->s.clock.Advance(100'000'000);
      Run();
    }
  }
  MemberId Leader() {
    for (auto& m : members) {
      if (m->node->state().role == raft::Role::kLeader && !dead.contains(m->membership.self()))
        return m->membership.self();
    }
    return 0;
  }
  MemberId ElectLeader() {
    for (int i = 0; i < 100 && Leader() == 0; i++) Tick();
    EXPECT_NE(Leader(), 0u);
    Tick(2);
    return Leader();
  }
  MemberId Follower() { return Leader() == 1 ? 2 : 1; }
  bool Reaches(MemberId from, MemberId to) { return !dead.contains(from) && !dead.contains(to); }

 public:
  std::vector<std::unique_ptr<Wire>> wires;
  std::vector<std::unique_ptr<MemberFixture>> members;
  std::vector<std::unique_ptr<CorruptionWatch>> watches;
  std::vector<std::unique_ptr<VersionWatch>> version_watches;  // a test starts them
  std::map<MemberId, std::string> says_version;                // instead of its own
  std::set<MemberId> dead;                                     // cut off from everyone
  std::set<MemberId> healed;                                   // who was told that its state is the odd one
  std::set<MemberId> stuck;                                    // disks that do not answer
  bool lose_answers = false;
  std::vector<raft::MessageType> sent;

  friend class Wire;
};

void Wire::Send(std::vector<PeerMessage> messages) {
  for (PeerMessage& m : messages) {
    cluster_.sent.push_back(static_cast<raft::MessageType>(m.type));
    if (!cluster_.Reaches(self_, m.to)) continue;
    std::string scratch;
    EXPECT_TRUE(cluster_.At(m.to).node->Deliver({1, self_}, m.bytes.Flatten(scratch)).ok());
  }
}

void Wire::Call(MemberId to, std::string_view, std::string_view method, std::string request, uint64_t, Done done) {
  if (!cluster_.Reaches(self_, to)) {
    return cluster_.At(self_).reader_thread.Post(
        [done = std::move(done)]() mutable { done(absl::UnavailableError("not sent"), {}); });
  }
  if (method == "Heal") {
    cluster_.healed.insert(to);
    return;
  }
  if (method == "StateHash") {
    return cluster_.At(self_).reader_thread.Post(
        [&watch = *cluster_.watches[to - 1], done = std::move(done)]() mutable { done(Ok(), watch.Answer()); });
  }
  if (method == "Version") {
    std::string answer = cluster_.version_watches[to - 1]->Answer();
    if (const auto said = cluster_.says_version.find(to); said != cluster_.says_version.end()) {
      tenonpb::VersionResponse response;
      response.set_server(said->second);
      answer = response.SerializeAsString();
    }
    return cluster_.At(self_).reader_thread.Post(
        [answer = std::move(answer), done = std::move(done)]() mutable { done(Ok(), std::move(answer)); });
  }
  EXPECT_EQ(method, "Propose");
  cluster_.At(to).node->Forwarded(std::move(request), [this, done = std::move(done)](Status s, std::string a) mutable {
    if (!cluster_.lose_answers) done(std::move(s), std::move(a));
  });
}

uint64_t Wire::ActiveSinceNs(MemberId id) { return cluster_.Reaches(self_, id) ? 1 : 0; }

TEST_F(Cluster, OneLeadsAndAllApplyTheSame) {
  const MemberId leader = ElectLeader();
  At(leader).Put("put");
  Tick(2);
  EXPECT_THAT(At(leader).answers, ElementsAre("put:OK"));
  for (auto& m : members) {
    EXPECT_EQ(m->s.store->revision(), 2);
    EXPECT_EQ(m->membership.List().size(), 3u);
    EXPECT_EQ(m->node->state().leader, leader);
    EXPECT_THAT(m->fatals, IsEmpty());
  }
}

TEST_F(Cluster, AWriteIsNotAcknowledgedBeforeAQuorumHasItOnDisk) {
  const MemberId leader = ElectLeader();
  for (MemberId id = 1; id <= 3; id++) {
    if (id != leader) stuck.insert(id);
  }
  At(leader).Put("put");
  Run();
  EXPECT_THAT(At(leader).answers, IsEmpty());
  stuck.erase(Follower());
  Run();
  EXPECT_THAT(At(leader).answers, ElementsAre("put:OK"));
}

TEST_F(Cluster, NothingIsAppliedBeforeItIsInTheMembersOwnLog) {
  const MemberId leader = ElectLeader();
  stuck.insert(leader);
  At(leader).Put("put");
  Run();
  EXPECT_THAT(At(leader).answers, IsEmpty());
  EXPECT_EQ(At(leader).s.store->revision(), 1);
  EXPECT_EQ(At(Follower()).node->state().commit, At(leader).node->state().commit);  // the others are a quorum
  stuck.clear();
  Run();
  EXPECT_THAT(At(leader).answers, ElementsAre("put:OK"));
}

TEST_F(Cluster, AFollowersWriteIsAnsweredByTheFollower) {
  ElectLeader();
  const MemberId follower = Follower();
  At(follower).Put("put");
  Tick(2);
  EXPECT_THAT(At(follower).answers, ElementsAre("put:OK"));
  At(follower).Read("read");
  Tick(2);
  EXPECT_THAT(At(follower).answers, ElementsAre("put:OK", "read:OK"));
}

TEST_F(Cluster, AWriteWithoutALeaderWaitsForOne) {
  At(1).Put("early");
  At(1).Read("read");
  Run();
  EXPECT_THAT(At(1).answers, IsEmpty());
  ElectLeader();
  Tick(3);
  EXPECT_THAT(At(1).answers, ::testing::UnorderedElementsAre("early:OK", "read:OK"));
}

TEST_F(Cluster, AWriteThatALostLeaderTookGoesToTheNextOne) {
  const MemberId leader = ElectLeader();
  dead.insert(leader);
  At(leader).Put("lost");  // appended there, and nowhere else
  Run();
  for (int i = 0; i < 100 && Leader() == 0; i++) Tick();
  ASSERT_NE(Leader(), 0u);
  At(Leader()).Put("next");
  Tick(2);
  dead.clear();
  Tick(5);
  EXPECT_THAT(At(leader).answers, ElementsAre("lost:OK"));
  for (auto& m : members) EXPECT_EQ(m->s.store->revision(), 3);  // each once
}

TEST_F(Cluster, AWriteWhoseFateIsUnknownTimesOutAndIsNotRepeated) {
  ElectLeader();
  const MemberId follower = Follower();
  lose_answers = true;
  At(follower).Put("put");
  Tick(2);
  EXPECT_THAT(At(follower).answers, ElementsAre("put:OK"));  // its entry came all the same
  EXPECT_EQ(At(follower).s.store->revision(), 2);
}

TEST_F(Cluster, WithoutAQuorumAWriteTimesOutWithEtcdsWords) {
  const MemberId leader = ElectLeader();
  dead = {Follower(), 6 - leader - Follower()};
  At(leader).Put("put");
  Tick(75);
  ASSERT_EQ(At(leader).answers.size(), 1u);
  EXPECT_THAT(At(leader).answers[0], ::testing::StartsWith("put:etcdserver: request timed out"));
}

TEST_F(Cluster, ALinearizableReadNeedsTheQuorumAndIsAskedAnew) {
  ElectLeader();
  const MemberId follower = Follower();
  dead.insert(follower);
  At(follower).Read("read");
  Run();
  EXPECT_THAT(At(follower).answers, IsEmpty());
  dead.clear();
  Tick(8);  // the question was lost
  EXPECT_THAT(At(follower).answers, ElementsAre("read:OK"));
}

TEST_F(Cluster, LeadershipIsMoved) {
  const MemberId leader = ElectLeader(), other = Follower();
  std::vector<Status> answers;
  At(other).node->MoveLeader(leader, [&](const Status& s) { answers.push_back(s); });
  At(leader).node->MoveLeader(other, [&](const Status& s) { answers.push_back(s); });
  Tick(3);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(Message(answers[0]), "etcdserver: not leader");
  EXPECT_TRUE(answers[1].ok()) << answers[1];
  EXPECT_EQ(Leader(), other);
}

TEST_F(Cluster, AStopHandsLeadershipOverAndWritesGoOn) {
  const MemberId leader = ElectLeader();
  bool done = false;
  At(leader).node->HandOver([&] { done = true; });
  At(leader).Put("meanwhile");
  Tick(3);
  EXPECT_TRUE(done);
  EXPECT_NE(Leader(), leader);
  EXPECT_THAT(At(leader).answers, ElementsAre("meanwhile:OK"));
}

TEST_F(Cluster, ALeaderWhoseDiskDoesNotAnswerHandsOver) {
  const MemberId leader = ElectLeader();
  stuck.insert(leader);
  At(leader).Put("put");
  Tick(15);
  EXPECT_NE(Leader(), leader);
  EXPECT_NE(Leader(), 0u);
  EXPECT_EQ(At(leader).node->state().role, raft::Role::kFollower);
  stuck.clear();
  Tick(3);
  EXPECT_THAT(At(leader).answers, ElementsAre("put:OK"));
}

TEST_F(Cluster, ALeaderWithoutDiskAndWithoutOthersLeadsNoMore) {
  const MemberId leader = ElectLeader();
  stuck.insert(leader);
  dead = {Follower(), 6 - leader - Follower()};
  At(leader).Put("put");
  Tick(21);
  EXPECT_EQ(At(leader).node->state().role, raft::Role::kFollower);
}

TEST_F(Cluster, AMemberIsRemovedAndTheOthersGoOn) {
  const MemberId leader = ElectLeader(), gone = Follower();
  cluster::MemberChange change;
  change.request_id = 77;
  change.type = raft::ConfChangeType::kRemoveNode;
  change.member.id = gone;
  apply::Request request;
  request.id = 77;
  At(leader).node->Propose(std::make_shared<const apply::Proposal>(
      cluster::Encode(change), request, [&](const Status& s, Bufs) { At(leader).Say("remove", s); },
      raft::EntryType::kConfChange));
  Tick(3);
  dead.insert(gone);
  At(leader).Put("put");
  Tick(2);
  EXPECT_THAT(At(leader).answers, ElementsAre("remove:OK", "put:OK"));
  EXPECT_EQ(At(leader).membership.List().size(), 2u);
  EXPECT_TRUE(At(leader).membership.IsRemoved(gone));
}

TEST_F(Cluster, AFollowerThatTheLogDoesNotReachFetchesAStateAndBeginsThere) {
  const MemberId leader = ElectLeader(), behind = Follower();
  dead.insert(behind);
  Tick(12);
  for (int i = 0; i < 1300; i++) At(leader).Put("put");
  Tick(3);
  dead.clear();
  Tick(12);
  ASSERT_FALSE(At(behind).asked_to_fetch.empty());
  raft::Message message = At(behind).asked_to_fetch[0];
  EXPECT_LE(message.snapshot->index, At(leader).applier->applied());
  const raft::ConfState conf = {{1, 2, 3}, {}, {}, {}, false};
  message.snapshot = {At(leader).applier->applied(), At(leader).applier->applied_term(), conf};
  At(behind).node->Restored(message);
  Run();
  EXPECT_EQ(At(behind).restored, 1);
  bool handed_over = false;  // it is stopped now, and must answer whoever stops it
  At(behind).node->HandOver([&] { handed_over = true; });
  Run();
  EXPECT_TRUE(handed_over);
  EXPECT_EQ(wal::Wal::Snapshots(At(behind).disk, "/member/wal").value().back().index, message.snapshot->index);
}

// How a member heals: the state is of an index that it has, or will have.
TEST_F(Cluster, AnAdoptedStateIsNamedByTheLogOnceItsIndexIsCommitted) {
  const MemberId leader = ElectLeader(), healing = Follower();
  At(healing).node->Abstain();
  const Index next = At(leader).applier->applied() + 1;
  At(healing).node->Adopt({next, At(leader).applier->applied_term(), {{1, 2, 3}, {}, {}, {}, false}});
  Tick();
  EXPECT_EQ(At(healing).restored, 0);
  At(leader).Put("put");
  Tick();
  EXPECT_EQ(At(healing).restored, 1);
  EXPECT_EQ(wal::Wal::Snapshots(At(healing).disk, "/member/wal").value().back().index, next);
}

// Its log was away for too long: the state that it fetched is what the leader wants it to have, and no second is asked.
TEST_F(Cluster, AnAdoptedStateServesWhenTheLeaderSendsToOne) {
  const MemberId leader = ElectLeader(), healing = Follower();
  dead.insert(healing);
  Tick(12);
  for (int i = 0; i < 1300; i++) At(leader).Put("put");
  Tick(3);
  const Index there = At(leader).applier->applied();
  At(healing).node->Adopt({there, At(leader).applier->applied_term(), {{1, 2, 3}, {}, {}, {}, false}});
  dead.clear();
  Tick(12);
  EXPECT_TRUE(At(healing).asked_to_fetch.empty());
  EXPECT_EQ(At(healing).restored, 1);
  EXPECT_EQ(wal::Wal::Snapshots(At(healing).disk, "/member/wal").value().back().index, there);
}

// A start refused the log: the checkpoint's state went out behind a newer one.
TEST_F(Cluster, ACheckpointBetweenWritesLeavesALogThatCanBeRead) {
  const MemberId leader = ElectLeader();
  MemberFixture& m = At(leader);
  m.Put("applied");
  Tick();
  stuck.insert(leader);
  m.Put("waits");
  Run();
  m.node->Persisted(m.applier->applied());
  Run();
  for (const char* name : {"more", "and more"}) {  // the others commit them meanwhile
    m.Put(name);
    Run();
  }
  stuck.clear();
  Tick();
  EXPECT_EQ(m.answers.size(), 4u);
  const auto log = wal::Wal::Open(m.disk, "/member/wal", {}, Index(0), MemberFixture::kLog);
  EXPECT_TRUE(log.ok()) << log.status();
}

// What a damaged engine, a bug, or a bit that flipped would do: this member's next rows are not the others'.
void Damage(MemberFixture& m) {
  mvcc::WriteTxn(*m.s.store, m.s.batch).Put("only here", "", 0);
  m.s.Commit();
}

TEST_F(Cluster, AMemberWhoseStateDiffersIsNamed) {
  const MemberId leader = ElectLeader(), damaged = Follower();
  for (int i = 0; i < 70; i++) At(leader).Put("put");
  Tick(10);
  EXPECT_FALSE(At(leader).alarms.Has(etcdserverpb::CORRUPT));
  Damage(At(damaged));
  for (int i = 0; i < 70; i++) At(leader).Put("put");
  Tick(10);
  for (auto& m : members) {
    const auto alarms = m->alarms.List(etcdserverpb::CORRUPT);
    ASSERT_EQ(alarms.size(), 1u);
    EXPECT_EQ(alarms[0].memberid(), damaged);
  }
  EXPECT_THAT(healed, ElementsAre(damaged)) << "most agree with the leader";
  At(leader).answers.clear();
  At(leader).Put("refused");
  Tick(2);
  EXPECT_THAT(At(leader).answers, ElementsAre("refused:etcdserver: corrupt cluster"));
}

TEST_F(Cluster, ALeaderThatDiffersFromAllOthersIsTheDamagedOne) {
  const MemberId leader = ElectLeader();
  Damage(At(leader));
  for (int i = 0; i < 70; i++) At(leader).Put("put");
  Tick(10);
  const auto alarms = At(Follower()).alarms.List(etcdserverpb::CORRUPT);
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_EQ(alarms[0].memberid(), leader);
  EXPECT_THAT(healed, ElementsAre(leader));
}

TEST_F(Cluster, AnAlarmOfAMemberThatAgreesIsTakenBack) {
  const MemberId leader = ElectLeader(), named = Follower();
  At(leader).Put("put");
  etcdserverpb::AlarmRequest raise;
  raise.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  raise.set_memberid(named);
  raise.set_alarm(etcdserverpb::CORRUPT);
  apply::Request request{77, raise};
  std::string entry = apply::EncodeEntry(request.id, apply::Field::kAlarm, raise.SerializeAsString());
  At(leader).node->Propose(
      std::make_shared<const apply::Proposal>(std::move(entry), std::move(request), [](const Status&, Bufs) {}));
  Tick();
  EXPECT_TRUE(At(leader).alarms.Has(etcdserverpb::CORRUPT));
  Tick(10);
  EXPECT_FALSE(At(leader).alarms.Has(etcdserverpb::CORRUPT));
}

// ---- versions ----

class Upgraded : public Cluster {
 protected:
  Upgraded() : Cluster(Version{3, 8}) {}
  std::vector<std::optional<Version>> Versions() {
    std::vector<std::optional<Version>> out;
    for (auto& m : members) out.push_back(m->membership.version());
    return out;
  }
  static constexpr Version k37{3, 7}, k38{3, 8};
};

TEST_F(Upgraded, TheClusterIsOfANewVersionOnceItsLastMemberIs) {
  const MemberId leader = ElectLeader(), other = Follower();
  says_version[other] = "3.7.0";
  for (auto& w : version_watches) w->Start();
  Tick(2);
  EXPECT_THAT(Versions(), ElementsAre(k37, k37, k37));
  says_version[other] = "nonsense";
  Tick(50);
  EXPECT_THAT(Versions(), ElementsAre(k37, k37, k37));
  dead = {other};
  says_version.clear();
  Tick(50);
  EXPECT_EQ(At(leader).membership.version(), k37) << "who does not answer may be an old one";
  dead.clear();
  Tick(50);
  EXPECT_THAT(Versions(), ElementsAre(k38, k38, k38));
  EXPECT_THAT(At(other).fatals, IsEmpty());
}

TEST_F(Cluster, AServerThatTheClusterHasLeftBehindStops) {
  const MemberId leader = ElectLeader(), other = Follower();
  membershippb::ClusterVersionSetRequest set;
  set.set_ver("3.8.0");
  apply::Request request{77, set};
  std::string entry = apply::EncodeEntry(request.id, apply::Field::kClusterVersionSet, set.SerializeAsString());
  At(leader).node->Propose(
      std::make_shared<const apply::Proposal>(std::move(entry), std::move(request), [](const Status&, Bufs) {}));
  Tick(2);
  ASSERT_FALSE(At(other).fatals.empty());
  EXPECT_THAT(Message(At(other).fatals[0]), ::testing::HasSubstr("invalid downgrade"));
}

// Whoever cannot be trusted with the state votes and appends, and the others find a leader.
TEST_F(Cluster, ALeaderThatAbstainsHandsOverAndNeverLeadsAgain) {
  const MemberId former = ElectLeader();
  At(former).node->Abstain();
  Tick(3);
  const MemberId next = Leader();
  ASSERT_NE(next, former);
  ASSERT_NE(next, 0u);
  // With the third away its vote and its log make the quorum, but it does not stand itself.
  const MemberId third = 6 - former - next;
  dead.insert(third);
  At(next).Put("put");
  Tick(2);
  EXPECT_THAT(At(next).answers, ElementsAre("put:OK"));
  dead.clear();
  Tick(20);
  const MemberId now = Leader();
  dead = {now};
  Tick(60);
  EXPECT_EQ(Leader(), next + third - now) << "with the vote of the one that abstains";
  dead = {third, next};
  Tick(100);
  EXPECT_NE(At(former).node->state().role, raft::Role::kLeader);
}

// ---- whose state is the odd one ----

using Verdict = StateComparison::Verdict;
using Places = StateComparison::Places;

TEST(StateComparisonTest, MostDecide) {
  const auto judge = [](size_t members, std::map<MemberId, Index> agree, std::map<MemberId, Places> differ) {
    return StateComparison{members, std::move(agree), std::move(differ)}.Judge();
  };
  const Index at(64);
  const Places kOther{{at, 7}}, kThird{{at, 8}};
  EXPECT_EQ(judge(3, {{2, at}}, {{3, kOther}}), Verdict::kMostAgree);
  EXPECT_EQ(judge(3, {}, {{2, kOther}, {3, kOther}}), Verdict::kLeaderIsOdd);
  EXPECT_EQ(judge(3, {}, {{2, kOther}, {3, kThird}}), Verdict::kNobodyKnows);
  EXPECT_EQ(judge(3, {}, {{2, kOther}}), Verdict::kNobodyKnows) << "the third is away";
  EXPECT_EQ(judge(2, {}, {{2, kOther}}), Verdict::kNobodyKnows);
  EXPECT_EQ(judge(4, {{2, at}}, {{3, kOther}, {4, kOther}}), Verdict::kNobodyKnows);
  EXPECT_EQ(judge(5, {{2, at}, {3, at}}, {{4, kOther}, {5, kThird}}), Verdict::kMostAgree);
  EXPECT_EQ(judge(5, {{2, at}}, {{3, kOther}, {4, kOther}, {5, kOther}}), Verdict::kLeaderIsOdd);
  // Who was restarted has no mark yet, and is known by what it has applied.
  const Places both{{at, 7}, {Index(70), 9}}, now{{Index(70), 9}}, else_now{{Index(70), 10}};
  EXPECT_EQ(judge(3, {}, {{2, both}, {3, now}}), Verdict::kLeaderIsOdd);
  EXPECT_EQ(judge(3, {}, {{2, both}, {3, else_now}}), Verdict::kNobodyKnows);
}

}  // namespace
}  // namespace tenon::node
