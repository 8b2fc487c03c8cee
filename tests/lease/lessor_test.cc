// What a lease promises: its grant, renewal, end, checkpoints, and what a restart keeps.
#include "tests/lease/lessor_fixture.h"

namespace tenon::lease_module {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(LessorTest, GrantsOnceAndNotForTooLong) {
  EXPECT_EQ(Grant(5, 10), TENON_OK);
  EXPECT_EQ(Grant(5, 20), TENON_EXISTS);
  EXPECT_EQ(Grant(6, 9'000'000'000), TENON_OK);
  EXPECT_EQ(Grant(7, 9'000'000'001), TENON_RANGE);
  EXPECT_EQ(Grant(5, 9'000'000'001), TENON_RANGE);
  // etcd's row: 8 bytes of id, leasepb.Lease.
  EXPECT_EQ(rows[std::string("\0\0\0\0\0\0\0\5", 8)], std::string("\x08\x05\x10\x0a"));
  EXPECT_EQ(kTable.revoke(self, &context, 7, TakeKey, nullptr, nullptr), TENON_NOT_FOUND);
  EXPECT_THAT(Revoke(5), IsEmpty());
  EXPECT_EQ(rows.size(), 1u);
}

TEST_F(LessorTest, ARevokeNamesTheKeysInOrder) {
  Grant(5, 10);
  Grant(6, 10);
  for (const char* key : {"c", "a", "b", "d"}) EXPECT_EQ(kTable.attach(self, 5, Slice(key)), TENON_OK);
  kTable.attach(self, 5, Slice("a"));  // again
  kTable.detach(self, 5, Slice("d"));
  kTable.detach(self, 6, Slice("a"));  // not its key
  kTable.detach(self, 9, Slice("a"));  // no such lease
  EXPECT_EQ(kTable.attach(self, 9, Slice("a")), TENON_NOT_FOUND);
  EXPECT_THAT(Keys(5), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Revoke(5), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Revoke(6), IsEmpty());
}

TEST_F(LessorTest, ALeaseEndsAfterItsTimeAndNeverBefore) {
  kTable.promote(self, 3, kSecond);
  Grant(5, 10);
  Pass(9.95);
  EXPECT_THAT(Proposed(), IsEmpty());
  Pass(0.3);
  EXPECT_THAT(Proposed(), ElementsAre("revoke 5 in term 3"));
  Pass(100);
  EXPECT_THAT(Proposed(), ElementsAre("revoke 5 in term 3")) << "once is enough";
  Apply();
  Pass(100);
  EXPECT_THAT(Proposed(), IsEmpty());
}

TEST_F(LessorTest, OnlyThePrimaryEndsLeases) {
  Grant(5, 1);
  Pass(100);
  EXPECT_THAT(Proposed(), IsEmpty());
  kTable.promote(self, 3, 2 * kSecond);
  Pass(2.9);
  EXPECT_THAT(Proposed(), IsEmpty()) << "all of it, and the extension";
  kTable.demote(self);
  Pass(100);
  EXPECT_THAT(Proposed(), IsEmpty());
  kTable.promote(self, 4, 0);
  Pass(1.2);
  EXPECT_THAT(Proposed(), ElementsAre("revoke 5 in term 4"));
}

TEST_F(LessorTest, ARenewedLeaseLivesOn) {
  kTable.promote(self, 3, 0);
  Grant(5, 10);
  for (int i = 0; i < 20; i++) {
    Pass(9);
    Renew(5);
  }
  EXPECT_THAT(Proposed(), IsEmpty());
  EXPECT_EQ(renewed, std::vector<std::string>(20, "10"));
  EXPECT_EQ(Left(5), 9);
  Pass(10.2);
  EXPECT_THAT(Proposed(), ElementsAre("revoke 5 in term 3"));
  EXPECT_EQ(Left(5), 0);
}

TEST_F(LessorTest, ARenewalOfAnEndedLeaseWaitsForItsEnd) {
  kTable.promote(self, 3, 0);
  Grant(5, 1);
  Pass(1.3);
  Renew(5);
  Renew(6);
  EXPECT_THAT(renewed, ElementsAre("not found")) << "of 6";
  Apply();
  EXPECT_THAT(renewed, ElementsAre("not found", "not found"));
  Grant(5, 1);
  Pass(1.3);
  Renew(5);
  kTable.demote(self);
  Renew(5);
  EXPECT_THAT(renewed, ElementsAre("not found", "not found", "unavailable", "unavailable"));
}

// etcd#20813: a renewal that waited for its checkpoint to be cleared said OK, although the lease was revoked meanwhile.
TEST_F(LessorTest, Issue20813ARenewalUnderWayDoesNotOutliveARevoke) {
  kTable.promote(self, 3, 0);
  Grant(5, 1000);
  Pass(300.2);
  Apply();
  Renew(5);
  ASSERT_THAT(Proposed(), ElementsAre("checkpoint 5=0 in term 3"));
  EXPECT_THAT(renewed, IsEmpty());
  Revoke(5);
  Apply();
  EXPECT_THAT(renewed, ElementsAre("not found"));
  Renew(5);
  EXPECT_THAT(renewed, ElementsAre("not found", "not found"));
}

TEST_F(LessorTest, ARevokeThatFailedIsTriedAgain) {
  kTable.promote(self, 3, 0);
  Grant(5, 1);
  Pass(1.3);
  Complete(TENON_EXHAUSTED);
  EXPECT_THAT(Proposed(), IsEmpty());
  Pass(1.3);
  EXPECT_THAT(Proposed(), ElementsAre("revoke 5 in term 3"));
  kTable.promote(self, 4, 10 * kSecond);
  Complete(TENON_UNAVAILABLE);  // of a former office: not our business any more
  Pass(5);
  EXPECT_THAT(Proposed(), IsEmpty());
}

TEST_F(LessorTest, AClientMayBeFaster) {
  kTable.promote(self, 3, 0);
  Grant(5, 1);
  Pass(0.5);
  Revoke(5);
  Grant(5, 100);
  Pass(2);
  EXPECT_THAT(Proposed(), IsEmpty()) << "the new one of that id lives";
}

TEST_F(LessorTest, ManyRevokesAreUnderWayAtOnceAndNotMore) {
  End();
  Create({{"max-revokes", "10"}});
  kTable.promote(self, 3, 0);
  for (int64_t id = 1; id <= 100; id++) Grant(id, 1);
  Pass(1.3);
  size_t applied = 0;
  while (!proposals.empty()) {
    EXPECT_LE(proposals.size(), 10u);
    Apply();
    applied++;
    Pass(0);
  }
  EXPECT_EQ(applied, 100u);
}

TEST_F(LessorTest, AHundredThousandEndTogether) {
  kTable.promote(self, 3, 0);
  for (int64_t id = 1; id <= 100'000; id++) Grant(id, 1);
  Pass(1.3);
  size_t applied = 0;
  for (; !proposals.empty(); applied++) {
    Apply();
    Pass(0);
  }
  EXPECT_EQ(applied, 100'000u) << "without the clock going on";
}

TEST_F(LessorTest, LongLeasesHaveCheckpoints) {
  kTable.promote(self, 3, 0);
  Grant(5, 1000);
  Grant(6, 300);
  Pass(300.2);
  EXPECT_EQ(Proposed()[0], "checkpoint 5=700 in term 3");
  EXPECT_THAT(Proposed(), ElementsAre("checkpoint 5=700 in term 3", "revoke 6 in term 3"));
  Apply();
  Apply();
  Pass(300.2);
  ASSERT_EQ(Proposed().size(), 1u);
  EXPECT_THAT(Proposed()[0], ::testing::AnyOf("checkpoint 5=400 in term 3", "checkpoint 5=399 in term 3"));
  Apply();

  // The next primary goes on from there, also after a restart.
  Restart();
  kTable.promote(self, 4, 0);
  EXPECT_LE(Left(5), 400);
  EXPECT_GE(Left(5), 398);

  // Before the holder may rely on all of it again, the log says so.
  Renew(5);
  EXPECT_THAT(renewed, IsEmpty());
  EXPECT_THAT(Proposed(), ElementsAre("checkpoint 5=0 in term 4"));
  Apply();
  EXPECT_THAT(renewed, ElementsAre("1000"));
  Restart();
  kTable.promote(self, 5, 0);
  EXPECT_EQ(Left(5), 999);
}

TEST_F(LessorTest, ARenewalUndoesACheckpointThatIsOnItsWay) {
  kTable.promote(self, 3, 0);
  Grant(5, 1000);
  Pass(300.2);
  ASSERT_THAT(Proposed(), ElementsAre("checkpoint 5=700 in term 3"));
  Renew(5);
  EXPECT_THAT(renewed, IsEmpty()) << "a crash behind the checkpoint would take 300 s from its holder";
  EXPECT_THAT(Proposed(), ElementsAre("checkpoint 5=700 in term 3", "checkpoint 5=0 in term 3"));
  Apply();
  Apply();
  EXPECT_THAT(renewed, ElementsAre("1000"));
  Restart();
  kTable.promote(self, 4, 0);
  EXPECT_EQ(Left(5), 999);
}

TEST_F(LessorTest, ARenewalUndoesACheckpointWhoseFateIsNotKnown) {
  kTable.promote(self, 3, 0);
  Grant(5, 1000);
  Pass(300.2);
  Complete(TENON_UNAVAILABLE);  // it may be in the log all the same
  Renew(5);
  EXPECT_THAT(renewed, IsEmpty());
  EXPECT_THAT(Proposed(), ElementsAre("checkpoint 5=0 in term 3"));
  Complete(TENON_UNAVAILABLE);
  Renew(5);
  EXPECT_THAT(Proposed(), ElementsAre("checkpoint 5=0 in term 3"));
  Apply();
  EXPECT_THAT(renewed, ElementsAre("unavailable", "1000"));
  Renew(5);
  EXPECT_THAT(renewed, ElementsAre("unavailable", "1000", "1000"));
  EXPECT_THAT(Proposed(), IsEmpty());
}

TEST_F(LessorTest, ARestartForgetsNothing) {
  Grant(5, 10);
  Grant(-1, 20);
  Grant(6, 30);
  Revoke(6);
  Restart();
  EXPECT_EQ(Left(5), 10);
  EXPECT_EQ(Left(-1), 20);
  EXPECT_EQ(Left(6), -1);
  EXPECT_THAT(Keys(5), IsEmpty()) << "the kernel attaches them";
}

TEST_F(LessorTest, ADamagedRowIsRefused) {
  rows["12345678"] = "\xff";
  tenon_error error{sizeof error};
  EXPECT_NE(kTable.recover(self, &context, &error), TENON_OK);
  rows.clear();
}

// It is made a slice at a time, and the table grows under it.
TEST_F(LessorTest, TheListHasEachLeaseOnceWhileOthersComeAndGo) {
  constexpr int64_t kStay = 20000;
  for (int64_t id = 1; id <= kStay; id++) Grant(id, 1000);
  std::atomic<bool> over{false};
  std::thread apply([&] {
    for (int64_t id = kStay + 1; !over; id++) {
      Grant(id, 1000);
      if (id % 4 == 0) Revoke(id);
    }
  });
  for (int i = 0; i < 20; i++) {
    std::vector<int64_t> ids;
    kTable.list(
        self,
        [](void* to, const tenon_lease_info* info) -> tenon_status {
          static_cast<std::vector<int64_t>*>(to)->push_back(info->id);
          return TENON_OK;
        },
        &ids);
    std::sort(ids.begin(), ids.end());
    EXPECT_EQ(std::adjacent_find(ids.begin(), ids.end()), ids.end());
    ASSERT_GE(ids.size(), size_t{kStay});
    EXPECT_EQ(ids[kStay - 1], kStay) << "one that was there all the time is missing";
  }
  over = true;
  apply.join();
}

TEST_F(LessorTest, TheListIsByWhatIsLeft) {
  kTable.promote(self, 3, 0);
  Grant(1, 30);
  Grant(2, 10);
  Pass(5);
  Grant(3, 8);
  Renew(2);
  std::vector<int64_t> ids;
  kTable.list(
      self,
      [](void* to, const tenon_lease_info* info) -> tenon_status {
        static_cast<std::vector<int64_t>*>(to)->push_back(info->id);
        return TENON_OK;
      },
      &ids);
  EXPECT_THAT(ids, ElementsAre(3, 2, 1));
}

}  // namespace
}  // namespace tenon::lease_module
