// The quota at apply: what was on its way is applied, told that there is no space, and raises the alarm.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/apply/applier.h"
#include "plugins/quota/quota.h"
#include "tests/abi/fake_host.h"
#include "tests/support/store_fixture.h"

namespace tenon::apply {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OverQuotaTest : public ::testing::Test {
 protected:
  OverQuotaTest() {
    EXPECT_TRUE(alarms.Restore(*s.engine, s.tables.alarm).ok());
    EXPECT_TRUE(membership.Restore(*s.engine, s.tables).ok());
    EXPECT_EQ(quota::kTable.m.create(host.get(), host.Config({}), &self, nullptr), TENON_OK);
    quota.emplace(quota::kTable, self, *s.engine, s.clock, s.engine->Stats().size_in_use_bytes + 10'000);
    applier.emplace(Applier::Parts{*s.engine, s.tables, *s.store, watch, alarms, membership, s.clock, thread, thread,
                                   metrics, [](const Status& status) { FAIL() << status; }, nullptr, nullptr, &*quota,
                                   [this](absl::AnyInvocable<void()> done) { raising.push_back(std::move(done)); }},
                    AppliedState{}, Applier::Options{});
    applier->StartServing();
    thread.Run();
  }
  ~OverQuotaTest() override { quota::kTable.m.destroy(self); }

  template <class R>
  raft::Entry Entry(Field field, const R& request, bool own) {
    const uint64_t id = next++;
    std::string bytes = EncodeEntry(id, field, request.SerializeAsString());
    if (!own) return {Term(1), Index(id), raft::EntryType::kNormal, std::make_shared<raft::Payload>(std::move(bytes))};
    return {Term(1), Index(id), raft::EntryType::kNormal,
            std::make_shared<const Proposal>(
                std::move(bytes), Request{id, request}, [this, id](const Status& status, Bufs) {
                  answers.push_back(fmt::format("{}:{}", id, status.ok() ? "OK" : Message(status)));
                })};
  }
  void Put(const std::string& key, size_t bytes, bool own = true) {
    PutRequest r;
    r.set_key(key);
    r.set_value(std::string(bytes, 'v'));
    applier->Enqueue({Entry(Field::kPut, r, own)});
    thread.Run();
  }

  std::vector<std::string> answers;
  std::vector<absl::AnyInvocable<void()>> raising;
  testing::FakeHost host;
  void* self = nullptr;
  testing::StoreFixture s;
  testing::ManualExecutor thread{s.clock};
  metrics::Registry metrics;
  testing::ManualExecutor watch_thread{s.clock};
  mvcc::WatchHub watch{*s.store, watch_thread, watch_thread, [](const Status& status) { FAIL() << status; }, {}};
  Alarms alarms;
  cluster::Membership membership{1, 2};
  std::optional<Quota> quota;
  std::optional<Applier> applier;
  uint64_t next = 1;
};

TEST_F(OverQuotaTest, WhatDoesNotFitIsAppliedAndToldSoOnceTheAlarmIsUp) {
  Put("a", 5000);
  EXPECT_THAT(answers, ElementsAre("1:OK"));
  Put("b", 5000);
  EXPECT_THAT(answers, ElementsAre("1:OK")) << "the answer waits for the alarm";
  ASSERT_EQ(raising.size(), 1u);
  raising[0]();
  EXPECT_THAT(answers, ElementsAre("1:OK", "2:etcdserver: mvcc: database space exceeded"));
  EXPECT_EQ(s.store->revision(), 3) << "members apply alike, whatever each has room for";
}

TEST_F(OverQuotaTest, SomebodyElsesEntryRaisesTheAlarmToo) {
  Put("a", 20'000, false);
  EXPECT_EQ(raising.size(), 1u);
  EXPECT_EQ(s.store->revision(), 2);
}

TEST_F(OverQuotaTest, AFailedRequestKeepsItsError) {
  PutRequest r;
  r.set_key("nobody");
  r.set_value(std::string(20'000, 'v'));
  r.set_ignore_lease(true);
  applier->Enqueue({Entry(Field::kPut, r, true)});
  thread.Run();
  EXPECT_THAT(answers, ElementsAre("1:etcdserver: key not found"));
  EXPECT_THAT(raising, IsEmpty());
}

TEST_F(OverQuotaTest, DeletesAndCompactionGoOnAndMakeRoom) {
  Put("a", 9000);
  Put("b", 9000);
  ASSERT_EQ(raising.size(), 1u);
  raising[0]();
  EXPECT_FALSE(quota->Recovered());
  DeleteRangeRequest all;
  all.set_key(std::string(1, '\0'));
  all.set_range_end(std::string(1, '\0'));
  applier->Enqueue({Entry(Field::kDeleteRange, all, true)});
  CompactionRequest compact;
  compact.set_revision(4);
  applier->Enqueue({Entry(Field::kCompaction, compact, true)});
  for (int i = 0; i < 10; i++) {
    thread.Run();
    s.clock.Advance(100'000'000);
  }
  EXPECT_TRUE(quota->Recovered());
  Put("c", 5000);
  EXPECT_EQ(answers.back(), "5:OK");
}

TEST_F(OverQuotaTest, AskedBeforeItIsProposedItRefusesWhatWouldNotFit) {
  PutRequest small, large;
  small.set_value(std::string(5000, 'v'));
  large.set_value(std::string(20'000, 'v'));
  EXPECT_TRUE(quota->Admit("/etcdserverpb.KV/Put", small).status.ok());
  const Quota::Answer refused = quota->Admit("/etcdserverpb.KV/Put", large);
  EXPECT_TRUE(refused.full);
  EXPECT_EQ(Message(refused.status), "etcdserver: mvcc: database space exceeded");
  TxnRequest reading;
  reading.add_success()->mutable_request_range()->set_key("a");
  EXPECT_TRUE(quota->Admit("/etcdserverpb.KV/Txn", reading).status.ok());
}

}  // namespace
}  // namespace tenon::apply
