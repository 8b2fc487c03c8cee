// The alarm NOSPACE and who holds it up: a full disk, the quota, an operator; over restarts.
#include "kernel/node/no_space.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/member_fixture.h"

namespace tenon::node {
namespace {

using testing::MemberFixture;

constexpr const char* kDiskMark = "/member/nospace";
constexpr const char* kQuotaMark = "/member/nospace-quota";

class NoSpaceTest : public ::testing::Test {
 protected:
  NoSpaceTest() {
    m.Lead();
    Restart();
  }
  // All that a restart of the process changes for the alarm: what its owner remembers.
  void Restart() {
    if (!lives.empty()) lives.back()->Stop();
    lives.push_back(
        std::make_unique<NoSpace>(NoSpace::Parts{m.disk, kDiskMark, kQuotaMark, m.reader_thread, *m.node, ids,
                                                 MemberFixture::kSelf, m.alarms, [this] { return recovered; }}));
    lives.back()->Start();
    m.Run();
  }
  void RefuseForQuota() {
    lives.back()->RaiseForQuota([this] { EXPECT_TRUE(Alarm()) << "whoever is refused can see why"; });
    m.Run();
  }
  void TellDisk(bool full) {
    lives.back()->TellDisk(full);
    m.Run();
  }
  void Look(int times = 2) {
    for (int i = 0; i < times; i++) m.Tick(500'000'000);
  }
  void Operator(etcdserverpb::AlarmRequest::AlarmAction action) {
    etcdserverpb::AlarmRequest request;
    request.set_action(action);
    request.set_memberid(MemberFixture::kSelf);
    request.set_alarm(etcdserverpb::NOSPACE);
    apply::Request r{ids.Next(), request};
    std::string entry = apply::EncodeEntry(r.id, apply::Field::kAlarm, request.SerializeAsString());
    m.node->Propose(
        std::make_shared<const apply::Proposal>(std::move(entry), std::move(r), [](const Status&, Bufs) {}));
    m.Run();
  }
  bool Alarm() { return m.alarms.Has(etcdserverpb::NOSPACE); }
  bool Marked(const char* mark) { return *m.disk.Exists(mark); }

  MemberFixture m;
  cluster::RequestIds ids{MemberFixture::kSelf, 1};
  bool recovered = false;
  std::vector<std::unique_ptr<NoSpace>> lives;
};

TEST_F(NoSpaceTest, TheQuotasAlarmGoesWhenThereIsRoomAgain) {
  RefuseForQuota();
  EXPECT_TRUE(Alarm());
  Look();
  EXPECT_TRUE(Alarm());
  recovered = true;
  Look();
  EXPECT_FALSE(Alarm());
  EXPECT_FALSE(Marked(kQuotaMark));
}

TEST_F(NoSpaceTest, ItGoesAlsoWhenARestartCameBetween) {
  RefuseForQuota();
  Restart();
  Look();
  EXPECT_TRUE(Alarm());
  recovered = true;
  Restart();
  Look();
  EXPECT_FALSE(Alarm());
}

TEST_F(NoSpaceTest, ManyRefusalsAreOneProposal) {
  const Index before = m.applier->applied();
  int answered = 0;
  for (int i = 0; i < 100; i++) lives.back()->RaiseForQuota([&] { answered++; });
  m.Run();
  for (int i = 0; i < 100; i++) lives.back()->RaiseForQuota([&] { answered++; });
  m.Run();
  EXPECT_EQ(answered, 200);
  EXPECT_EQ(m.applier->applied(), before + 1);
}

TEST_F(NoSpaceTest, DisarmedByAnOperatorItWaitsForTheNextRefusal) {
  RefuseForQuota();
  Operator(etcdserverpb::AlarmRequest::DEACTIVATE);
  Look(4);
  EXPECT_FALSE(Alarm());
  EXPECT_FALSE(Marked(kQuotaMark));
  RefuseForQuota();
  EXPECT_TRUE(Alarm());
}

TEST_F(NoSpaceTest, AnOperatorsAlarmStays) {
  Operator(etcdserverpb::AlarmRequest::ACTIVATE);
  RefuseForQuota();
  TellDisk(true);
  recovered = true;
  Look();
  TellDisk(false);
  Look();
  EXPECT_TRUE(Alarm());
  Restart();
  Look();
  EXPECT_TRUE(Alarm());
}

TEST_F(NoSpaceTest, ADiskWithSpaceAgainDoesNotTakeBackWhatTheQuotaRaised) {
  RefuseForQuota();
  TellDisk(true);
  TellDisk(false);
  Look();
  EXPECT_TRUE(Alarm());
  recovered = true;
  Look();
  EXPECT_FALSE(Alarm());
}

TEST_F(NoSpaceTest, AQuotaWithRoomAgainDoesNotTakeBackWhatTheDiskNeeds) {
  RefuseForQuota();
  TellDisk(true);
  recovered = true;
  Look();
  EXPECT_TRUE(Alarm());
  EXPECT_TRUE(Marked(kDiskMark));
  EXPECT_FALSE(Marked(kQuotaMark));
  TellDisk(false);
  EXPECT_FALSE(Alarm());
  EXPECT_FALSE(Marked(kDiskMark));
}

TEST_F(NoSpaceTest, AQuotaThatRefusesUnderTheDisksAlarmHoldsItToo) {
  TellDisk(true);
  RefuseForQuota();
  EXPECT_TRUE(Marked(kDiskMark));
  EXPECT_TRUE(Marked(kQuotaMark));
  Restart();
  TellDisk(false);
  EXPECT_TRUE(Alarm());
  recovered = true;
  Look();
  EXPECT_FALSE(Alarm());
}

TEST_F(NoSpaceTest, AFullDiskRaisesAgainWhatAnOperatorDisarmed) {
  TellDisk(true);
  Operator(etcdserverpb::AlarmRequest::DEACTIVATE);
  EXPECT_FALSE(Alarm());
  TellDisk(true);
  EXPECT_TRUE(Alarm());
}

TEST_F(NoSpaceTest, AMarkWithoutAnAlarmGoes) {
  // A crash between mark and entry.
  m.disk.OpenFile(kQuotaMark, Disk::Open::kCreate).IgnoreError();
  Restart();
  Look();
  EXPECT_TRUE(Marked(kQuotaMark)) << "the entry may be on its way to a leader yet, and would be nobody's";
  for (int i = 0; i < 40; i++) Look();
  EXPECT_FALSE(Marked(kQuotaMark));
  EXPECT_FALSE(Alarm());
}

// What the former process had proposed is applied late, by the leader that it was sent to.
TEST_F(NoSpaceTest, AnAlarmThatComesLateIsTakenBackAllTheSame) {
  m.disk.OpenFile(kDiskMark, Disk::Open::kCreate).IgnoreError();
  Restart();
  TellDisk(false);
  Look();
  Operator(etcdserverpb::AlarmRequest::ACTIVATE);
  ASSERT_TRUE(Alarm());
  TellDisk(false);
  Look();
  EXPECT_FALSE(Alarm());
}

}  // namespace
}  // namespace tenon::node
