// The applier: entries in order, one batch a turn, then everybody sees it, then the callers are answered.
#include "kernel/apply/applier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/store_fixture.h"

namespace tenon::apply {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ApplierTest : public ::testing::Test {
 protected:
  ApplierTest() {
    EXPECT_TRUE(alarms.Restore(*s.engine, s.tables.alarm).ok());
    EXPECT_TRUE(membership.Restore(*s.engine, s.tables).ok());
    Start();
  }
  void Start() {
    const AppliedState state = ReadAppliedState(*s.engine, s.tables).value();
    applier.emplace(Applier::Parts{*s.engine, s.tables, *s.store, watch, alarms, membership, s.clock, thread, thread,
                                   metrics, [this](const Status& status) { fatals.push_back(status); }},
                    state, Applier::Options{});
  }
  template <class R>
  void Propose(Field field, const R& request) {
    const uint64_t id = next++;
    entries.push_back({Term(1), Index(id), raft::EntryType::kNormal,
                       std::make_shared<const Proposal>(EncodeEntry(id, field, request.SerializeAsString()),
                                                        Request{id, request}, [this, id](const Status& status, Bufs) {
                                                          answers.push_back(fmt::format(
                                                              "{}:{}", id, status.ok() ? "OK" : Message(status)));
                                                        })});
  }
  void Put(const std::string& key, const std::string& value = "v") {
    PutRequest r;
    r.set_key(key);
    r.set_value(value);
    Propose(Field::kPut, r);
  }
  void Compact(int64_t revision, bool physical) {
    CompactionRequest r;
    r.set_revision(revision);
    r.set_physical(physical);
    Propose(Field::kCompaction, r);
  }
  void Alarm(AlarmType type) {
    AlarmRequest r;
    r.set_action(AlarmRequest::ACTIVATE);
    r.set_alarm(type);
    Propose(Field::kAlarm, r);
  }
  void Raw(std::string bytes) {
    entries.push_back(
        {Term(1), Index(next++), raft::EntryType::kNormal, std::make_shared<const raft::Payload>(std::move(bytes))});
  }
  // Hands over what was proposed and runs the apply thread until it rests.
  void Apply() {
    applier->Enqueue(std::exchange(entries, {}));
    thread.Run();
  }

  // First, because a proposal that nobody answered says so when it goes.
  std::vector<std::string> answers;
  std::vector<Status> fatals;
  testing::StoreFixture s;
  testing::ManualExecutor watch_thread{s.clock};
  mvcc::WatchHub watch{
      *s.store, watch_thread, watch_thread, [this](const Status& status) { fatals.push_back(status); }, {}};
  testing::ManualExecutor thread{s.clock};
  metrics::Registry metrics;
  Alarms alarms;
  cluster::Membership membership{1, 2};
  std::optional<Applier> applier;
  std::vector<raft::Entry> entries;
  uint64_t next = 1;
};

TEST_F(ApplierTest, AnswersComeAfterEverybodySeesTheChange) {
  Put("a");
  PutRequest r;
  r.set_key("b");
  int64_t revision_when_answered = 0;
  entries.push_back(
      {Term(1), Index(next++), raft::EntryType::kNormal,
       std::make_shared<const Proposal>(EncodeEntry(9, Field::kPut, r.SerializeAsString()), Request{9, r},
                                        [&](const Status&, Bufs) { revision_when_answered = s.store->revision(); })});
  applier->Enqueue(std::exchange(entries, {}));
  EXPECT_THAT(answers, IsEmpty());
  thread.Run();
  EXPECT_THAT(answers, ElementsAre("1:OK"));
  EXPECT_EQ(revision_when_answered, 3);
  EXPECT_EQ(applier->applied(), Index(2));
}

TEST_F(ApplierTest, LongBacklogIsCommittedInPieces) {
  PutRequest r;
  r.set_key("first");
  int64_t revision_when_answered = 0;
  entries.push_back(
      {Term(1), Index(next++), raft::EntryType::kNormal,
       std::make_shared<const Proposal>(EncodeEntry(1, Field::kPut, r.SerializeAsString()), Request{1, r},
                                        [&](const Status&, Bufs) { revision_when_answered = s.store->revision(); })});
  for (int i = 0; i < 5000; i++) Put(fmt::format("k{}", i));
  Apply();
  EXPECT_EQ(answers.size(), 5000u);
  EXPECT_EQ(applier->applied(), Index(5001));
  EXPECT_EQ(s.store->revision(), 5002);
  EXPECT_GT(revision_when_answered, 1);
  EXPECT_LT(revision_when_answered, 2000);
}

TEST_F(ApplierTest, ReplayedEntriesAreAppliedOnceAndReadFromTheirBytes) {
  Put("a", "1");
  Put("a", "2");
  const std::vector<raft::Entry> log = [&] {
    std::vector<raft::Entry> copy;  // as the log gives them back: bytes only
    for (const raft::Entry& e : entries)
      copy.push_back({e.term, e.index, e.type, std::make_shared<const raft::Payload>(std::string(e.bytes()))});
    return copy;
  }();
  applier->Enqueue({entries[0]});
  thread.Run();
  s.Reopen();
  Start();
  applier->Enqueue(log);
  thread.Run();
  EXPECT_THAT(fatals, IsEmpty());
  EXPECT_EQ(s.store->revision(), 3);
  EXPECT_THAT(*s.Read(), ElementsAre("a=2"));
}

TEST_F(ApplierTest, WaiterRunsWhenItsIndexIsApplied) {
  std::vector<int> ran;
  applier->WhenApplied(Index(2), [&] { ran.push_back(2); });
  applier->WhenApplied(Index(1), [&] { ran.push_back(1); });
  Put("a");
  Apply();
  EXPECT_THAT(ran, ElementsAre(1));
  Put("b");
  Apply();
  EXPECT_THAT(ran, ElementsAre(1, 2));
  applier->WhenApplied(Index(2), [&] { ran.push_back(3); });
  EXPECT_THAT(ran, ElementsAre(1, 2, 3));
}

TEST_F(ApplierTest, FullClusterTakesNoPutsButDeletesAndCompaction) {
  Put("a");
  Alarm(NOSPACE);
  Put("b");
  DeleteRangeRequest del;
  del.set_key("a");
  Propose(Field::kDeleteRange, del);
  TxnRequest txn;
  txn.add_failure()->mutable_request_txn()->add_success()->mutable_request_put()->set_key("c");
  Propose(Field::kTxn, txn);
  Compact(2, false);
  Apply();
  EXPECT_THAT(answers, ElementsAre("1:OK", "2:OK", "3:etcdserver: mvcc: database space exceeded", "4:OK",
                                   "5:etcdserver: mvcc: database space exceeded", "6:OK"));
}

TEST_F(ApplierTest, CorruptClusterTakesNothingButAlarms) {
  Alarm(CORRUPT);
  Put("a");
  Compact(1, false);
  Alarm(NOSPACE);
  Apply();
  EXPECT_THAT(answers, ElementsAre("1:OK", "2:etcdserver: corrupt cluster", "3:etcdserver: corrupt cluster", "4:OK"));
}

TEST_F(ApplierTest, PhysicalCompactionAnswersWhenTheRowsAreGone) {
  for (int i = 0; i < 3000; i++) Put(fmt::format("{:04}", i % 1500));
  Apply();
  answers.clear();
  Compact(3001, true);
  applier->Enqueue(std::exchange(entries, {}));
  ASSERT_TRUE(thread.RunOne());  // the turn
  ASSERT_TRUE(thread.RunOne());  // the first slice
  EXPECT_THAT(answers, IsEmpty());
  EXPECT_GT(s.Rows(), 1500u);
  for (int i = 0; i < 10; i++) {
    s.clock.Advance(1'000'000);
    thread.Run();
  }
  EXPECT_THAT(answers, ElementsAre("3001:OK"));
  EXPECT_EQ(s.Rows(), 1500u);
}

TEST_F(ApplierTest, NoRowGoesBeforeTheRemovalIsPrepared) {
  std::vector<absl::AnyInvocable<void()>> preparing;
  applier.emplace(Applier::Parts{*s.engine, s.tables, *s.store, watch, alarms, membership, s.clock, thread, thread,
                                 metrics, [this](const Status& status) { fatals.push_back(status); },
                                 [&](absl::AnyInvocable<void()> done) { preparing.push_back(std::move(done)); }},
                  AppliedState{}, Applier::Options{});
  for (int i = 0; i < 100; i++) Put("k", fmt::format("{}", i));
  Apply();
  Compact(101, false);
  Apply();
  s.clock.Advance(1'000'000'000);
  thread.Run();
  ASSERT_EQ(preparing.size(), 1u);
  EXPECT_EQ(s.store->compact_revision(), 101) << "readers see it at once";
  EXPECT_EQ(s.store->removal_revision(), 0);
  EXPECT_EQ(s.Rows(), 100u);
  preparing[0]();
  thread.Run();
  EXPECT_EQ(s.Rows(), 1u);
  EXPECT_EQ(s.store->finished_compact(), 101);
}

TEST_F(ApplierTest, PhysicalCompactionsThatMeetAreBothAnsweredOnce) {
  for (int i = 0; i < 5000; i++) Put(fmt::format("{:04}", i % 2500));
  Apply();
  answers.clear();
  Compact(3000, true);
  applier->Enqueue(std::exchange(entries, {}));
  ASSERT_TRUE(thread.RunOne());
  ASSERT_TRUE(thread.RunOne());
  Compact(5000, true);
  Compact(4000, true);  // refused at once
  applier->Enqueue(std::exchange(entries, {}));
  for (int i = 0; i < 20; i++) {
    s.clock.Advance(1'000'000);
    thread.Run();
  }
  EXPECT_THAT(answers,
              ElementsAre("5003:etcdserver: mvcc: required revision has been compacted", "5001:OK", "5002:OK"));
  EXPECT_EQ(s.store->finished_compact(), 5000);
}

TEST_F(ApplierTest, CompactionWaitsForAReaderAndGoesOn) {
  Put("a");
  Put("a");
  Apply();
  {
    mvcc::ReadView view = s.store->View();
    Put("a");
    Compact(4, true);
    Apply();
    s.clock.Advance(1'000'000'000);
    thread.Run();
    EXPECT_EQ(answers.size(), 3u);
  }
  s.clock.Advance(50'000'000);
  thread.Run();
  EXPECT_EQ(answers.back(), "4:OK");
}

TEST_F(ApplierTest, EntryThatCannotBeReadStopsTheMemberAndAnswersNobodyOk) {
  Put("a");
  Raw("\xff\xff");
  Put("b");
  Apply();
  ASSERT_EQ(fatals.size(), 1u);
  EXPECT_TRUE(absl::IsDataLoss(fatals[0])) << fatals[0];
  EXPECT_THAT(answers, ::testing::Not(::testing::Contains(::testing::HasSubstr("OK"))));
  EXPECT_THAT(*s.Read(), IsEmpty());  // the turn was not published
  Put("c");
  Apply();
  EXPECT_EQ(fatals.size(), 1u);
  applier.reset();
  EXPECT_THAT(answers, ::testing::Not(::testing::Contains(::testing::HasSubstr("OK"))));
}

TEST_F(ApplierTest, EntryOfAModuleThatIsNotThereStopsTheMember) {
  InternalRaftRequest raw;
  raw.mutable_lease_grant()->set_id(1);
  Raw(raw.SerializeAsString());
  Apply();
  ASSERT_EQ(fatals.size(), 1u);
}

// A lessor's revoke names the term of its promotion: who stood still while another led ends no lease of its. (The same
// for each operation; a put is what one sees here.)
TEST_F(ApplierTest, WhatALeaderOfAnotherTermDecidedIsNotDone) {
  const auto propose = [&](const std::string& key, Term decided, Term in_log, bool replayed) {
    PutRequest r;
    r.set_key(key);
    const uint64_t id = next++;
    std::string bytes = EncodeEntry(id, Field::kPut, r.SerializeAsString(), decided);
    if (replayed) {
      entries.push_back(
          {in_log, Index(id), raft::EntryType::kNormal, std::make_shared<const raft::Payload>(std::move(bytes))});
      return;
    }
    const auto done = [this, key](const Status& status, Bufs) {
      answers.push_back(fmt::format("{}:{}", key, status.ok() ? "OK" : Message(status)));
    };
    entries.push_back({in_log, Index(id), raft::EntryType::kNormal,
                       std::make_shared<const Proposal>(std::move(bytes), Request{id, r, decided}, done)});
  };
  propose("none", Term(), Term(2), false);
  propose("former", Term(1), Term(2), false);
  propose("own", Term(2), Term(2), false);
  propose("former, replayed", Term(1), Term(2), true);
  propose("own, replayed", Term(2), Term(2), true);
  Apply();
  EXPECT_THAT(answers, ElementsAre("none:OK", "former:etcdserver: leader changed", "own:OK"));
  EXPECT_THAT(*s.Read(), ElementsAre("none=", "own=", "own, replayed="));
  EXPECT_THAT(fatals, IsEmpty());
}

TEST_F(ApplierTest, CallerWhoGaveUpIsNotAnsweredTwice) {
  Put("a");
  static_cast<const Proposal&>(*entries[0].payload).Complete(absl::UnavailableError("gave up"), {});
  Apply();
  EXPECT_THAT(answers, ElementsAre("1:gave up"));
  EXPECT_THAT(*s.Read(), ElementsAre("a=v"));
}

TEST_F(ApplierTest, AppliedIndexIsStoredWithTheChanges) {
  Put("a");
  Put("b");
  Apply();
  EXPECT_EQ(ReadAppliedState(*s.engine, s.tables)->index, Index(2));
  EXPECT_EQ(ReadAppliedState(*s.engine, s.tables)->term, Term(1));
}

}  // namespace
}  // namespace tenon::apply
