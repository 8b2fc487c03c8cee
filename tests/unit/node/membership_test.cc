// Members as rows and as JSON.
#include "kernel/cluster/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/cluster/founding.h"
#include "kernel/cluster/version.h"
#include "tests/support/store_fixture.h"

namespace tenon::cluster {
namespace {

using ::testing::HasSubstr;

TEST(MembershipTest, MemberComesBackFromItsJson) {
  Member m;
  m.id = 0xffffffffffffffff;
  m.name = "n1 \"quoted\"";
  m.peer_urls = {"http://a:1", "http://b:2"};
  m.client_urls = {"http://c:3"};
  m.learner = true;
  const Member again = FromJson(ToJson(m)).value();
  EXPECT_EQ(again.id, m.id);
  EXPECT_EQ(again.name, m.name);
  EXPECT_EQ(again.peer_urls, m.peer_urls);
  EXPECT_EQ(again.client_urls, m.client_urls);
  EXPECT_TRUE(again.learner);
}

TEST(MembershipTest, NameThatIsNoTextIsWrittenAsText) {
  Member m;
  m.name = "caf\xe9";
  EXPECT_EQ(FromJson(ToJson(m)).value().name, "caf\xef\xbf\xbd");
}

TEST(MembershipTest, WhatIsNoMemberIsRefused) {
  for (const char* text : {"", "{", "[]", "7", "null", "{}", R"({"id":"x","peerURLs":[]})", R"({"id":1,"peerURLs":7})",
                           R"({"id":1,"peerURLs":[1]})", R"({"id":1,"peerURLs":[],"isLearner":"no"})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(FromJson(text).status())) << text;
  }
}

using raft::ConfChangeType;

MemberChange Change(ConfChangeType type, MemberId id, std::vector<std::string> peer_urls = {}) {
  MemberChange change;
  change.type = type;
  change.member.id = id;
  change.member.peer_urls = std::move(peer_urls);
  return change;
}

MemberChange Promotion(MemberId id) {
  MemberChange change = Change(ConfChangeType::kAddNode, id);
  change.promote = true;
  return change;
}

struct Fixture {
  Fixture() { EXPECT_TRUE(members.Restore(*s.engine, s.tables).ok()); }
  void Apply(const MemberChange& change) {
    ASSERT_TRUE(members.Validate(change).ok()) << members.Validate(change);
    members.Apply(DecodeMemberChange(Encode(change)).value(), s.batch);
  }
  void Start(MemberId id) { members.SetAttributes(id, fmt::format("n{}", id), {"http://c"}, s.batch); }

  testing::StoreFixture s;
  Membership members{1, 2};
};

TEST(MembershipTest, MembersAndVersionAreThereAfterARestart) {
  Fixture f;
  f.Apply(Change(ConfChangeType::kAddNode, 2, {"http://a:1"}));
  f.Apply(Change(ConfChangeType::kAddNode, 0x99, {"http://a:2"}));
  f.Apply(Change(ConfChangeType::kRemoveNode, 0x99));
  f.members.SetAttributes(2, "n", {"http://c:1"}, f.s.batch);
  f.members.SetAttributes(3, "unknown", {}, f.s.batch);
  ASSERT_TRUE(f.members.SetVersion({3, 7}, f.s.batch).ok());
  f.s.Commit();
  Membership after(1, 2);
  ASSERT_TRUE(after.Restore(*f.s.engine, f.s.tables).ok());
  ASSERT_EQ(after.List().size(), 1u);
  EXPECT_EQ(after.List()[0].name, "n");
  EXPECT_EQ(after.version(), (Version{3, 7}));
  EXPECT_TRUE(after.IsRemoved(0x99));
  EXPECT_FALSE(after.IsRemoved(2));
}

TEST(MembershipTest, TheVersionOnlyRisesAndOlderServersAreKeptOut) {
  Fixture f;
  Membership newer(1, 2, {3, 8});
  ASSERT_TRUE(newer.Restore(*f.s.engine, f.s.tables).ok());
  ASSERT_TRUE(newer.SetVersion({3, 8}, f.s.batch).ok());
  ASSERT_TRUE(newer.SetVersion({3, 7}, f.s.batch).ok());
  EXPECT_EQ(newer.version(), (Version{3, 8}));
  f.s.Commit();
  Membership same(1, 2, {3, 8}), older(1, 2, {3, 7});
  ASSERT_TRUE(same.Restore(*f.s.engine, f.s.tables).ok());
  EXPECT_EQ(same.version(), (Version{3, 8})) << "the lower one is not stored either";
  const Status refused = older.Restore(*f.s.engine, f.s.tables);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(Message(refused),
              HasSubstr("invalid downgrade; server version is lower than determined cluster version"));
  EXPECT_TRUE(absl::IsFailedPrecondition(Membership(1, 2, {3, 7}).SetVersion({3, 8}, f.s.batch)));
}

TEST(DecideVersionTest, TheLeastOfAllOnceAllAreKnownAndNeverLower) {
  using V = std::vector<std::optional<Version>>;
  const Version v7{3, 7}, v8{3, 8}, v10{3, 10}, next{4, 0};
  EXPECT_EQ(DecideVersion(std::nullopt, V{v8, std::nullopt}), kLeastVersion);
  EXPECT_EQ(DecideVersion(std::nullopt, V{v10, v8, next}), v8);
  EXPECT_EQ(DecideVersion(v7, V{v8, std::nullopt, v8}), std::nullopt);
  EXPECT_EQ(DecideVersion(v7, V{v8, v7, v8}), std::nullopt);
  EXPECT_EQ(DecideVersion(v7, V{v8, v8, v10}), v8);
  EXPECT_EQ(DecideVersion(v8, V{v10, next}), v10);
  EXPECT_EQ(DecideVersion(v8, V{v7, v8}), std::nullopt) << "a cluster does not go back";
}

TEST(MembershipTest, ChangesThatDoNotFitAreRefusedWithEtcdsWords) {
  Fixture f;
  f.Apply(Change(ConfChangeType::kAddNode, 2, {"http://a:1"}));
  f.Apply(Change(ConfChangeType::kAddLearnerNode, 3, {"http://a:2"}));
  const auto refusal = [&](const MemberChange& change) { return std::string(Message(f.members.Validate(change))); };
  EXPECT_EQ(refusal(Change(ConfChangeType::kAddNode, 2, {"http://a:9"})), "etcdserver: member ID already exist");
  EXPECT_EQ(refusal(Change(ConfChangeType::kAddNode, 4, {"http://b", "http://a:1"})),
            "etcdserver: Peer URLs already exists");
  EXPECT_EQ(refusal(Change(ConfChangeType::kAddLearnerNode, 4, {"http://b"})),
            "etcdserver: too many learner members in cluster");
  EXPECT_EQ(refusal(Change(ConfChangeType::kUpdateNode, 4, {"http://b"})), "etcdserver: member not found");
  EXPECT_EQ(refusal(Change(ConfChangeType::kUpdateNode, 3, {"http://a:1"})), "etcdserver: Peer URLs already exists");
  EXPECT_EQ(refusal(Change(ConfChangeType::kRemoveNode, 4)), "etcdserver: member not found");
  EXPECT_EQ(refusal(Promotion(2)), "etcdserver: can only promote a learner member");
  EXPECT_EQ(refusal(Promotion(4)), "etcdserver: member not found");
  f.Apply(Promotion(3));
  EXPECT_FALSE(f.members.Find(3)->learner);
  f.Apply(Change(ConfChangeType::kRemoveNode, 3));
  EXPECT_EQ(refusal(Change(ConfChangeType::kAddNode, 3, {"http://b"})), "etcdserver: member not found");  // for ever
}

// etcd#21736: an update wrote the whole record, and the learner was a voter in the table and a learner in raft.
TEST(MembershipTest, UpdateOfALearnerLeavesItALearner) {
  Fixture f;
  f.Apply(Change(ConfChangeType::kAddNode, 2, {"http://a:1"}));
  f.Apply(Change(ConfChangeType::kAddLearnerNode, 3, {"http://a:2"}));
  f.Apply(Change(ConfChangeType::kUpdateNode, 3, {"http://a:3"}));
  EXPECT_TRUE(f.members.Find(3)->learner);
  EXPECT_EQ(f.members.Find(3)->peer_urls, std::vector<std::string>{"http://a:3"});
}

TEST(MembershipTest, StrictReconfigurationAsksForAQuorumThatHasStarted) {
  Fixture f;
  f.Apply(Change(ConfChangeType::kAddNode, 2, {"http://a:2"}));
  EXPECT_FALSE(f.members.IsReadyToAddVoter());
  f.Start(2);
  EXPECT_TRUE(f.members.IsReadyToAddVoter());  // one may become two
  EXPECT_FALSE(f.members.IsReadyToRemove(2));  // nobody would be left
  f.Apply(Change(ConfChangeType::kAddNode, 3, {"http://a:3"}));
  EXPECT_FALSE(f.members.IsReadyToAddVoter());  // 1 of 3
  EXPECT_FALSE(f.members.IsReadyToRemove(2));   // 0 of 1
  EXPECT_TRUE(f.members.IsReadyToRemove(3));    // 1 of 1
  f.Start(3);
  EXPECT_TRUE(f.members.IsReadyToAddVoter());
  f.Apply(Change(ConfChangeType::kAddLearnerNode, 4, {"http://a:4"}));
  EXPECT_TRUE(f.members.IsReadyToPromote(4));
}

TEST(MembershipTest, FoundersHaveEtcdsIds) {
  const std::vector<Member> members = FoundingMembers(
      {{"a", {"http://127.0.0.1:2380"}}, {"b", {"http://127.0.0.1:2381"}}, {"c", {"http://127.0.0.1:2382"}}}, "token");
  ASSERT_EQ(members.size(), 3u);
  EXPECT_LT(members[0].id, members[1].id);
  EXPECT_EQ(FoundingConf(members).voters.size(), 3u);
  EXPECT_EQ(DecodeMemberChange(FoundingEntries(members)[2].bytes())->member.name, members[2].name);
}

TEST(MembershipTest, ConfStateComesBackFromItsJson) {
  raft::ConfState conf;
  conf.voters = {1, 2, 0xffffffffffffffff};
  conf.learners = {7};
  EXPECT_EQ(ConfStateFromJson(ToJson(conf)).value(), conf);
  EXPECT_TRUE(absl::IsDataLoss(ConfStateFromJson("{\"voters\":1}").status()));
}

}  // namespace
}  // namespace tenon::cluster
