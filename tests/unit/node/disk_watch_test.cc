// NOSPACE for a full disk: raised, taken back, and known as the disk's own across restarts.
#include "kernel/node/disk_watch.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/member_fixture.h"

namespace tenon::node {
namespace {

using testing::MemberFixture;

class DiskWatchTest : public ::testing::Test {
 protected:
  DiskWatchTest() {
    m.Lead();
    Restart();
  }
  // All that a restart of the process changes for the watch: what it remembers.
  void Restart() {
    if (!lives.empty()) {
      lives.back()->Stop();
      alarms.back()->Stop();
    }
    alarms.push_back(
        std::make_unique<NoSpace>(NoSpace::Parts{m.disk, "/member/nospace", "/member/nospace-quota", m.reader_thread,
                                                 *m.node, ids, MemberFixture::kSelf, m.alarms}));
    lives.push_back(std::make_unique<DiskWatch>(m.disk, std::vector<std::string>{"/member"}, 1000,
                                                std::vector<std::string>{kBallast}, m.reader_thread, *alarms.back()));
    alarms.back()->Start();
    lives.back()->Start();
    m.Run();
  }
  void FillDisk(uint64_t but = 500) {
    m.disk.SetCapacity(UINT64_MAX - 1);
    const uint64_t used = UINT64_MAX - 1 - m.disk.Space("/")->free_bytes;
    m.disk.SetCapacity(used + but);
  }
  void MakeSpace() { m.disk.SetCapacity(UINT64_MAX); }
  void Looks(int n = 3) {
    for (int i = 0; i < n; i++) m.Tick(500'000'000);
  }
  bool Alarm() { return m.alarms.Has(etcdserverpb::NOSPACE); }

  static constexpr const char* kBallast = "/member/ballast";
  uint64_t BallastSize() { return *m.disk.Exists(kBallast) ? m.disk.Contents(kBallast).size() : 0; }

  MemberFixture m;
  cluster::RequestIds ids{MemberFixture::kSelf, 1};
  std::vector<std::unique_ptr<NoSpace>> alarms;
  std::vector<std::unique_ptr<DiskWatch>> lives;
};

TEST_F(DiskWatchTest, AlarmComesWithTheFullDiskAndGoesWithIt) {
  FillDisk();
  Looks();
  EXPECT_TRUE(Alarm());
  MakeSpace();
  Looks();
  EXPECT_FALSE(Alarm());
  EXPECT_FALSE(*m.disk.Exists("/member/nospace"));
}

TEST_F(DiskWatchTest, AlarmGoesAlsoWhenARestartCameBetween) {
  FillDisk();
  Looks();
  Restart();
  MakeSpace();
  Looks();
  EXPECT_FALSE(Alarm());
  FillDisk();
  Looks();
  MakeSpace();
  Restart();  // the space came while nobody looked
  Looks();
  EXPECT_FALSE(Alarm());
}

// The mark is removed and the sync behind that fails: is it there? The next alarm must have one in any case.
TEST_F(DiskWatchTest, AlarmIsKnownAgainAfterTheRemovalOfItsMarkFailed) {
  FillDisk();
  Looks();
  MakeSpace();
  const uint64_t before = m.disk.operations();
  Looks();
  const uint64_t last = m.disk.operations() - before - 1;
  FillDisk();
  Looks();
  ASSERT_TRUE(Alarm());
  MakeSpace();
  m.disk.FailOperation(last, StatusCode::kInternal);
  Looks(1);
  ASSERT_FALSE(*m.disk.Exists("/member/nospace"));
  FillDisk();
  Looks();
  ASSERT_TRUE(Alarm());
  Restart();
  MakeSpace();
  Looks();
  EXPECT_FALSE(Alarm());
}

TEST_F(DiskWatchTest, AlarmThatWasOnItsWayWhenTheSpaceCameGoesToo) {
  FillDisk();
  m.s.clock.Advance(500'000'000);
  m.reader_thread.Run();  // looks and proposes; the node does not get to it
  MakeSpace();
  m.s.clock.Advance(500'000'000);
  m.reader_thread.Run();
  Looks();
  EXPECT_FALSE(Alarm());
}

TEST_F(DiskWatchTest, SomebodyElsesAlarmStays) {
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  request.set_memberid(MemberFixture::kSelf);
  request.set_alarm(etcdserverpb::NOSPACE);
  apply::Request r{ids.Next(), request};
  std::string entry = apply::EncodeEntry(r.id, apply::Field::kAlarm, request.SerializeAsString());
  m.node->Propose(std::make_shared<const apply::Proposal>(std::move(entry), std::move(r), [](const Status&, Bufs) {}));
  m.Run();
  FillDisk();
  Looks();
  Restart();
  MakeSpace();
  Looks();
  EXPECT_TRUE(Alarm());
}

TEST_F(DiskWatchTest, BallastIsGivenBackOnlyWhenTheRestIsEatenAndMadeAgain) {
  Looks(1);
  EXPECT_EQ(BallastSize(), 250u);
  FillDisk(500);
  Looks();
  EXPECT_TRUE(Alarm());
  EXPECT_EQ(BallastSize(), 250u) << "half of the watermark is left for deletes";
  FillDisk(100);
  Looks();
  EXPECT_EQ(BallastSize(), 0u);
  EXPECT_EQ(m.disk.Space("/")->free_bytes, 350u);
  EXPECT_TRUE(Alarm()) << "it is not taken for space";
  MakeSpace();
  Looks();
  EXPECT_FALSE(Alarm());
  EXPECT_EQ(BallastSize(), 250u);
}

TEST_F(DiskWatchTest, BallastIsNotMadeOnADiskThatHasNoRoomForIt) {
  MakeSpace();
  m.disk.Remove(kBallast).IgnoreError();
  FillDisk(1200);
  Restart();
  Looks();
  EXPECT_FALSE(Alarm());
  EXPECT_EQ(BallastSize(), 0u);
}

}  // namespace
}  // namespace tenon::node
