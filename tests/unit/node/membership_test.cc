// Members as rows and as JSON.
#include "kernel/cluster/membership.h"

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

TEST(MembershipTest, MembersAndVersionAreThereAfterARestart) {
  testing::StoreFixture s;
  Membership before(1, 2);
  ASSERT_TRUE(before.Restore(*s.engine, s.tables).ok());
  before.Add({2, "", {"http://a:1"}, {}, false}, s.batch);
  before.SetAttributes(2, "n", {"http://c:1"}, s.batch);
  before.SetAttributes(3, "unknown", {}, s.batch);
  before.SetVersion("3.7.0", s.batch);
  s.Commit();
  Membership after(1, 2);
  ASSERT_TRUE(after.Restore(*s.engine, s.tables).ok());
  ASSERT_EQ(after.List().size(), 1u);
  EXPECT_EQ(after.List()[0].name, "n");
  EXPECT_EQ(after.version(), "3.7.0");
}

}  // namespace
}  // namespace tenon::cluster
