// Automatic compaction: the module's policy in the kernel's loop, on a clock that the test moves.
//
// What is expected comes from etcd's rules (server/etcdserver/api/v3compactor/periodic.go, revision.go).
#include "plugins/compactor/compactor.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/auto_compactor.h"
#include "tests/abi/fake_host.h"
#include "tests/support/manual_executor.h"

namespace tenon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kSecond = 1'000'000'000, kMinute = 60 * kSecond, kHour = 60 * kMinute;

class CompactorTest : public ::testing::Test {
 protected:
  ~CompactorTest() override {
    loop.reset();
    if (self != nullptr) compactor::kTable.m.destroy(self);
  }
  // One revision is made each second, beginning with 1.
  int64_t Revision() const { return stopped_at.value_or(static_cast<int64_t>(Elapsed() / kSecond) + 1); }
  uint64_t Elapsed() const { return now - 1'000'000'000; }

  tenon_status Create(const std::map<std::string, std::string>& config, tenon_error* error = nullptr) {
    return compactor::kTable.m.create(host.get(), host.Config(config), &self, error);
  }
  void Start(const std::map<std::string, std::string>& config) {
    ASSERT_EQ(Create(config), TENON_OK);
    loop.emplace(AutoCompactor::Parts{compactor::kTable, self, clock, thread, [this] { return leads; },
                                      [this] {
                                        tenon_compact_in in{};
                                        in.size = sizeof in;
                                        in.revision = Revision();
                                        in.compact_revision = -1;
                                        return in;
                                      },
                                      [this](int64_t revision, absl::AnyInvocable<void(Status)> done) {
                                        compactions.push_back(fmt::format("{}s:{}", Elapsed() / kSecond, revision));
                                        if (hold) {
                                          held.push_back(std::move(done));
                                        } else {
                                          done(answer);
                                        }
                                      }});
    loop->Start();
    thread.Run();
  }
  void Pass(uint64_t ns, uint64_t step) {
    for (uint64_t passed = 0; passed < ns; passed += step) {
      clock.Advance(step);
      now += step;
      thread.Run();
    }
  }

  testing::FakeHost host;
  testing::ManualClock clock;
  testing::ManualExecutor thread{clock};
  uint64_t now = clock.MonoNs();
  void* self = nullptr;
  bool leads = true, hold = false;
  std::optional<int64_t> stopped_at;
  Status answer;
  std::vector<std::string> compactions;  // when: to which revision
  std::vector<absl::AnyInvocable<void(Status)>> held;
  std::optional<AutoCompactor> loop;
};

struct Case {
  const char* retention;
  uint64_t step, time;
  std::vector<std::string> wanted;
};

class PeriodicTest : public CompactorTest, public ::testing::WithParamInterface<Case> {};

// After a whole period to the revision at its beginning; then each period, or each hour of a longer one, to the oldest
// sample kept, which is a tenth of the interval older than the period.
TEST_P(PeriodicTest, CompactsWhenEtcdDoes) {
  Start({{"mode", "periodic"}, {"retention", GetParam().retention}});
  Pass(GetParam().time, GetParam().step);
  EXPECT_EQ(compactions, GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Etcd, PeriodicTest,
    ::testing::Values(Case{"1h", kMinute, 4 * kHour, {"3600s:1", "7200s:3241", "10800s:6841", "14400s:10441"}},
                      Case{"1", kMinute, 2 * kHour, {"3600s:1", "7200s:3241"}},
                      Case{"2h", kMinute, 4 * kHour, {"7200s:1", "10800s:3241", "14400s:6841"}},
                      Case{"24h", kMinute, 26 * kHour, {"86400s:1", "90000s:3241", "93600s:6841"}},
                      Case{"59m", kSecond * 6, 2 * kHour, {"3540s:1", "7080s:3187"}},
                      Case{"10m", kSecond * 10, 30 * kMinute, {"600s:1", "1200s:541", "1800s:1141"}},
                      Case{"5s", kSecond / 10, 15 * kSecond, {"5s:1", "10s:5", "15s:10"}},
                      Case{"0", kMinute, 48 * kHour, {}}, Case{"0s", kMinute, 48 * kHour, {}}));

TEST_F(CompactorTest, RevisionModeKeepsTheLastOnesAndLooksEachFiveMinutes) {
  Start({{"mode", "revision"}, {"retention", "400"}});
  Pass(16 * kMinute, kMinute);
  EXPECT_THAT(compactions, ElementsAre("600s:201", "900s:501")) << "after 300 s there were fewer than it keeps";
}

TEST_F(CompactorTest, RevisionModeOfNoneIsOff) {
  Start({{"mode", "revision"}, {"retention", "0"}});
  Pass(kHour, kMinute);
  EXPECT_THAT(compactions, IsEmpty());
}

TEST_F(CompactorTest, NoCompactionWhereNothingChanged) {
  stopped_at = 1000;
  Start({{"retention", "1h"}});
  Pass(6 * kHour, kMinute);
  EXPECT_THAT(compactions, ElementsAre("3600s:1000"));
  stopped_at = 1001;
  Pass(3 * kHour, kMinute);
  EXPECT_THAT(compactions, ElementsAre("3600s:1000", "25920s:1001")) << "when the oldest sample kept has it";
}

TEST_F(CompactorTest, OnlyTheLeaderCompactsAndANewOneKnowsThePast) {
  leads = false;
  Start({{"retention", "1h"}});
  Pass(3 * kHour - kMinute, kMinute);
  EXPECT_THAT(compactions, IsEmpty());
  leads = true;
  Pass(kHour, kMinute);
  EXPECT_THAT(compactions, ElementsAre("10800s:6841")) << "at once, to what was new an hour ago";
}

TEST_F(CompactorTest, WhatFailedIsTriedAgainAtTheNextSample) {
  answer = absl::UnavailableError("etcdserver: request timed out");
  Start({{"retention", "1h"}});
  Pass(70 * kMinute, kMinute);
  EXPECT_THAT(compactions, ElementsAre("3600s:1", "3960s:1"));
  answer = Ok();
  Pass(kHour + 10 * kMinute, kMinute);
  EXPECT_THAT(compactions, ElementsAre("3600s:1", "3960s:1", "4320s:361", "7920s:3961"));
}

TEST_F(CompactorTest, CompactedBySomebodyElseIsDone) {
  answer = absl::OutOfRangeError("etcdserver: mvcc: required revision has been compacted");
  Start({{"retention", "1h"}});
  Pass(2 * kHour, kMinute);
  EXPECT_THAT(compactions, ElementsAre("3600s:1", "7200s:3241"));
}

TEST_F(CompactorTest, NoSecondCompactionWhileOneIsUnderWay) {
  hold = true;
  Start({{"retention", "10m"}});
  Pass(kHour, kMinute);
  EXPECT_EQ(compactions.size(), 1u);
  hold = false;
  std::exchange(held, {})[0](Ok());
  Pass(10 * kMinute, kMinute);
  EXPECT_EQ(compactions.size(), 2u);
}

TEST_F(CompactorTest, StopsWhenTold) {
  Start({{"retention", "10m"}});
  loop->Stop();
  Pass(kHour, kMinute);
  EXPECT_THAT(compactions, IsEmpty());
}

TEST_F(CompactorTest, RefusesWhatIsNoRetention) {
  tenon_error error{};
  error.size = sizeof error;
  EXPECT_EQ(Create({{"mode", "revision"}, {"retention", "1h"}}, &error), TENON_INVALID);
  EXPECT_THAT(error.msg, ::testing::HasSubstr("retention must be an integer"));
  EXPECT_EQ(Create({{"mode", "revision"}, {"retention", "-1"}}, &error), TENON_INVALID);
  EXPECT_EQ(Create({{"mode", "periodic"}, {"retention", "-1h"}}, &error), TENON_INVALID);
  EXPECT_EQ(Create({{"mode", "periodic"}, {"retention", "soon"}}, &error), TENON_INVALID);
}

}  // namespace
}  // namespace tenon
