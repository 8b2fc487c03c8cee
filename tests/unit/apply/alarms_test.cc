// Alarms: raised once, kept over a restart, given back as etcd gives them.
#include "kernel/apply/alarms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/store_fixture.h"

namespace tenon::apply {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AlarmsTest : public ::testing::Test {
 protected:
  AlarmsTest() { EXPECT_TRUE(alarms.Restore(*s.engine, s.tables.alarm).ok()); }

  std::vector<std::string> Show(const std::vector<AlarmMember>& list) {
    std::vector<std::string> out;
    for (const AlarmMember& m : list) out.push_back(fmt::format("{}:{}", m.memberid(), AlarmType_Name(m.alarm())));
    return out;
  }
  std::vector<std::string> Do(AlarmRequest::AlarmAction action, AlarmType type, uint64_t member = 0) {
    AlarmRequest r;
    r.set_action(action);
    r.set_alarm(type);
    r.set_memberid(member);
    const auto list = alarms.Apply(r, s.batch);
    s.Commit();
    return Show(list);
  }

  testing::StoreFixture s;
  Alarms alarms;
};

TEST_F(AlarmsTest, RaisedAlarmStaysOverARestartUntilItIsTakenBack) {
  EXPECT_THAT(Do(AlarmRequest::ACTIVATE, NOSPACE, 5), ElementsAre("5:NOSPACE"));
  EXPECT_TRUE(alarms.Has(NOSPACE));
  EXPECT_FALSE(alarms.Has(CORRUPT));
  Alarms again;
  ASSERT_TRUE(again.Restore(*s.engine, s.tables.alarm).ok());
  EXPECT_TRUE(again.Has(NOSPACE));
  EXPECT_THAT(Do(AlarmRequest::DEACTIVATE, NOSPACE, 5), ElementsAre("5:NOSPACE"));
  EXPECT_FALSE(alarms.Has(NOSPACE));
  Alarms third;
  ASSERT_TRUE(third.Restore(*s.engine, s.tables.alarm).ok());
  EXPECT_FALSE(third.Has(NOSPACE));
}

TEST_F(AlarmsTest, OneMembersAlarmIsNotAnothers) {
  Do(AlarmRequest::ACTIVATE, NOSPACE, 1);
  Do(AlarmRequest::ACTIVATE, NOSPACE, 0xffffffffffffffff);
  Do(AlarmRequest::ACTIVATE, CORRUPT, 1);
  EXPECT_THAT(Do(AlarmRequest::DEACTIVATE, NOSPACE, 2), IsEmpty());
  EXPECT_THAT(Do(AlarmRequest::GET, NOSPACE), ElementsAre("1:NOSPACE", "18446744073709551615:NOSPACE"));
  Do(AlarmRequest::DEACTIVATE, NOSPACE, 1);
  EXPECT_TRUE(alarms.Has(NOSPACE));
  EXPECT_THAT(Do(AlarmRequest::GET, NONE), ElementsAre("18446744073709551615:NOSPACE", "1:CORRUPT"));
}

TEST_F(AlarmsTest, RaisingTwiceIsRaisingOnce) {
  Do(AlarmRequest::ACTIVATE, CORRUPT, 3);
  EXPECT_THAT(Do(AlarmRequest::ACTIVATE, CORRUPT, 3), ElementsAre("3:CORRUPT"));
  EXPECT_THAT(Do(AlarmRequest::GET, NONE), ElementsAre("3:CORRUPT"));
}

TEST_F(AlarmsTest, NoneIsNothingToRaise) {
  EXPECT_THAT(Do(AlarmRequest::ACTIVATE, NONE, 3), IsEmpty());
  EXPECT_THAT(Do(AlarmRequest::DEACTIVATE, NONE, 3), IsEmpty());
  EXPECT_THAT(Do(AlarmRequest::GET, NONE), IsEmpty());
}

TEST_F(AlarmsTest, DamagedRowIsSaid) {
  s.batch.Put(s.tables.alarm, "\xff\xff", std::string_view());
  s.Commit();
  Alarms again;
  EXPECT_TRUE(absl::IsDataLoss(again.Restore(*s.engine, s.tables.alarm)));
}

}  // namespace
}  // namespace tenon::apply
