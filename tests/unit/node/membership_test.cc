// Members as rows and as JSON.
#include "kernel/cluster/membership.h"

#include "kernel/cluster/founding.h"

#include <gtest/gtest.h>

#include "tests/support/store_fixture.h"

namespace tenon::cluster {
namespace {

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
  f.members.SetVersion("3.7.0", f.s.batch);
  f.s.Commit();
  Membership after(1, 2);
  ASSERT_TRUE(after.Restore(*f.s.engine, f.s.tables).ok());
  ASSERT_EQ(after.List().size(), 1u);
  EXPECT_EQ(after.List()[0].name, "n");
  EXPECT_EQ(after.version(), "3.7.0");
  EXPECT_TRUE(after.IsRemoved(0x99));
  EXPECT_FALSE(after.IsRemoved(2));
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
