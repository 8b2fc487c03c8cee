// The store over an engine: turns, views, compaction, restarts.
#include "kernel/mvcc/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/store_fixture.h"

namespace tenon::mvcc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::StoreFixture;
constexpr std::string_view kAll("\0", 1);

class StoreTest : public ::testing::Test {
 protected:
  StoreFixture s;
};

TEST_F(StoreTest, FirstWriteIsRevisionTwo) {
  EXPECT_EQ(s.store->revision(), 1);
  EXPECT_EQ(s.Put("k", "v"), 2);
}

TEST_F(StoreTest, ChangesAreSeenByTheTurnAtOnceByOthersWhenItIsPublished) {
  s.Put("a", "1");
  {
    WriteTxn txn = s.store->Write(s.batch);
    txn.Put("a", "2", 0);
    txn.Put("b", "2", 0);
    EXPECT_EQ(txn.revision(), 3);
  }
  {
    WriteTxn txn = s.store->Write(s.batch);
    RangeHits found;
    ASSERT_TRUE(txn.Range(kAll, {}, {}, found).ok());
    EXPECT_EQ(found.count, 2);
    EXPECT_EQ(found.hits[0].revision, (Revision{3, 0}));
    EXPECT_EQ(found.hits[1].revision, (Revision{3, 1}));
    EXPECT_EQ(txn.revision(), 3);
  }
  EXPECT_THAT(*s.Read(), ElementsAre("a=1"));
  s.Commit();
  EXPECT_THAT(*s.Read(), ElementsAre("a=2", "b=2"));
  EXPECT_THAT(*s.Read(2), ElementsAre("a=1"));
}

TEST_F(StoreTest, TransactionThatChangesNothingTakesNoRevision) {
  s.Put("a", "1");
  {
    WriteTxn txn = s.store->Write(s.batch);
    EXPECT_EQ(txn.DeleteRange("x", "z"), 0);
  }
  s.Commit();
  EXPECT_EQ(s.store->revision(), 2);
}

TEST_F(StoreTest, TransactionReadsAtItsOwnAndAtOlderRevisions) {
  s.Put("k", "old");
  WriteTxn txn = s.store->Write(s.batch);
  txn.Put("k", "new", 0);
  const auto value = [&](int64_t revision) {
    RangeHits found;
    RangeOptions options;
    options.revision = revision;
    EXPECT_TRUE(txn.Single("k", options, found).ok());
    KeyValue kv;
    EXPECT_TRUE(Decode(found.hits.at(0).record.view(), kv));
    return std::string(kv.value);
  };
  EXPECT_EQ(value(0), "new");
  EXPECT_EQ(value(3), "new");
  EXPECT_EQ(value(2), "old");
  EXPECT_EQ(value(std::numeric_limits<int64_t>::min()), "new");
  RangeHits found;
  RangeOptions future;
  future.revision = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(txn.Single("k", future, found),
            absl::OutOfRangeError("etcdserver: mvcc: required revision is a future revision"));
}

TEST_F(StoreTest, DeletedKeyStartsAgainAtVersionOne) {
  s.Put("k", "1");
  s.Put("k", "2");
  s.Delete("k");
  s.Put("k", "3");
  ReadView view = s.store->View();
  RangeHits found;
  ASSERT_TRUE(view.Single("k", {}, found).ok());
  EXPECT_EQ(found.hits[0].create, 5);
  EXPECT_EQ(found.hits[0].version, 1);
  EXPECT_THAT(*s.Read(3), ElementsAre("k=2"));
  EXPECT_THAT(*s.Read(4), IsEmpty());
}

TEST_F(StoreTest, CompactedHistoryIsRefusedAndRemovedTheRestStays) {
  s.Put("a", "1");  // 2
  s.Put("a", "2");  // 3
  s.Put("b", "1");  // 4
  s.Delete("b");    // 5
  s.Put("a", "3");  // 6
  s.Compact(5);
  EXPECT_TRUE(absl::IsOutOfRange(s.Read(4).status()));
  EXPECT_THAT(*s.Read(5), ElementsAre("a=2"));
  EXPECT_THAT(*s.Read(), ElementsAre("a=3"));
  EXPECT_EQ(s.Rows(), 3u);  // a at 3 and 6, and the tombstone at the compact revision itself
  s.Compact(6);
  EXPECT_EQ(s.Rows(), 1u);
}

TEST_F(StoreTest, CompactionIsRefusedTwiceAndInTheFuture) {
  s.Put("a", "1");
  EXPECT_TRUE(s.ScheduleCompact(2).ok());
  EXPECT_EQ(s.ScheduleCompact(2), absl::OutOfRangeError("etcdserver: mvcc: required revision has been compacted"));
  EXPECT_EQ(s.ScheduleCompact(3), absl::OutOfRangeError("etcdserver: mvcc: required revision is a future revision"));
  EXPECT_EQ(s.ScheduleCompact(-1), absl::OutOfRangeError("etcdserver: mvcc: required revision has been compacted"));
}

TEST_F(StoreTest, RestartFindsTheSameStateInTheMiddleOfACompaction) {
  for (int i = 0; i < 2500; i++) s.Put(fmt::format("{:04}", i % 1250), fmt::format("{}", i));
  s.Delete("0001");
  const auto before = *s.Read();
  ASSERT_TRUE(s.ScheduleCompact(s.store->revision()).ok());
  ASSERT_EQ(s.CompactStep(), Store::Step::kMore);
  s.Reopen();
  EXPECT_EQ(*s.Read(), before);
  EXPECT_EQ(s.store->compact_revision(), s.store->revision());
  while (s.CompactStep() == Store::Step::kMore) {
  }
  EXPECT_EQ(s.store->finished_compact(), s.store->revision());
  EXPECT_EQ(s.Rows(), before.size() + 1);  // and the tombstone
  EXPECT_EQ(*s.Read(), before);
}

TEST_F(StoreTest, RevisionDoesNotGoBackWhenTheNewestRowsAreGone) {
  s.Put("a", "1");
  s.Delete("a");
  s.Put("b", "1");
  s.Delete("b");  // 5
  s.Compact(5);
  s.Reopen();
  EXPECT_EQ(s.store->revision(), 5);
  EXPECT_EQ(s.Put("c", "1"), 6);
}

// Compact of revision 0 is possible, once: the same before and after a restart.
TEST_F(StoreTest, CompactionOfRevisionZeroIsRememberedToo) {
  ASSERT_TRUE(s.ScheduleCompact(0).ok());
  while (s.CompactStep() == Store::Step::kMore) {
  }
  s.Reopen();
  EXPECT_EQ(s.store->compact_revision(), 0);
  EXPECT_TRUE(absl::IsOutOfRange(s.ScheduleCompact(0)));
}

TEST_F(StoreTest, SecondCompactionDuringTheFirstTakesItsWorkOver) {
  for (int i = 0; i < 3000; i++) s.Put(fmt::format("{:04}", i % 1500), "v");
  ASSERT_TRUE(s.ScheduleCompact(2000).ok());
  ASSERT_EQ(s.CompactStep(), Store::Step::kMore);
  ASSERT_TRUE(s.ScheduleCompact(3001).ok());
  while (s.CompactStep() == Store::Step::kMore) {
  }
  EXPECT_EQ(s.store->finished_compact(), 3001);
  EXPECT_EQ(s.Rows(), 1500u);
}

TEST_F(StoreTest, ReaderKeepsItsRowsUntilItGoes) {
  s.Put("a", "1");
  s.Put("a", "2");
  {
    ReadView view = s.store->View();
    RangeHits found;
    RangeOptions old;
    old.revision = 2;
    ASSERT_TRUE(view.Find("a", {}, true, old, found).ok());
    s.Put("a", "3");
    ASSERT_TRUE(s.ScheduleCompact(4).ok());
    EXPECT_EQ(s.CompactStep(), Store::Step::kWait);
    ASSERT_TRUE(view.Load(found, 0, 1).ok());
    KeyValue kv;
    ASSERT_TRUE(Decode(found.hits[0].record.view(), kv));
    EXPECT_EQ(kv.value, "1");
  }
  EXPECT_EQ(s.CompactStep(), Store::Step::kFinished);
}

// Three ways to load many rows: by names where they lie far apart, by a cursor where they lie together, also between
// others, and from the cache.
TEST_F(StoreTest, RangeOfManyRowsFindsEachWhereverItLies) {
  StoreFixture store({.record_cache_bytes = 64 << 10});
  constexpr int kKeys = ReadView::kScanFrom + 500;
  const auto name = [](std::string_view prefix, int i) { return fmt::format("{}/{:05}", prefix, i); };
  for (int i = 0; i < kKeys; i++) {
    store.Put(name("together", kKeys - 1 - i), "together");
    for (int other = 0; other < 2; other++) store.Put(name("others", i), "others");
    if (i % 8 == 0) store.Put(name("apart", i), "apart");
  }
  // Keys that were changed once more at the end, so that one part of 10,000 rows spreads over all.
  for (int i = 0; i < 8 * kKeys; i++) store.Put("filler", "x");
  store.Put(name("together", 7), "together, later");
  for (const std::string& prefix : {std::string("together"), std::string("others"), std::string()}) {
    for (int again = 0; again < 2; again++) {
      ReadView view = store.store->View();
      RangeHits found;
      ASSERT_TRUE(view.Range(prefix.empty() ? "a" : prefix + "/", prefix.empty() ? "z" : prefix + "0", {}, found).ok());
      ASSERT_GE(found.count, kKeys);
      for (const KeyIndex::Hit& hit : found.hits) {
        KeyValue kv;
        ASSERT_TRUE(Decode(hit.record.view(), kv));
        EXPECT_EQ(kv.key, hit.entry->key());
        EXPECT_EQ(kv.mod_revision, hit.revision.main);
        EXPECT_EQ(kv.value, kv.key == name("together", 7) ? "together, later"
                            : kv.key == "filler"          ? "x"
                                                          : kv.key.substr(0, kv.key.find('/')));
      }
    }
  }
}

TEST_F(StoreTest, ReaderThatIsTooSlowIsToldCompacted) {
  StoreFixture small({.record_cache_bytes = 0});
  small.Put("a", "1");
  ReadView view = small.store->View();
  RangeHits found;
  ASSERT_TRUE(view.Find("a", {}, true, {}, found).ok());
  small.Put("a", "2");
  ASSERT_TRUE(small.ScheduleCompact(3).ok());
  small.clock.Advance(60'000'000'000);
  EXPECT_EQ(small.CompactStep(), Store::Step::kFinished);
  EXPECT_EQ(Message(view.Load(found, 0, 1)), "etcdserver: mvcc: required revision has been compacted");
}

// The row was the newest when it was found, and keys_only takes all it answers from the index.
TEST_F(StoreTest, EntryThatASlowReaderHoldsIsNotFreedUnderIt) {
  s.Put("some-key", "1");
  {
    ReadView view = s.store->View();
    RangeHits found;
    RangeOptions options;
    options.index_only = true;
    ASSERT_TRUE(view.Find("some-key", {}, true, options, found).ok());
    found.hits[0].record = {};
    s.Delete("some-key");
    s.Put("other", "1");
    ASSERT_TRUE(s.ScheduleCompact(4).ok());
    s.clock.Advance(60'000'000'000);
    ASSERT_EQ(s.CompactStep(), Store::Step::kFinished);
    if (view.Load(found, 0, 1, true).ok()) {
      KeyValue kv;
      EXPECT_EQ(found.hits[0].entry->key(), "some-key");
    }
  }
  EXPECT_EQ(s.store->keys(), 1u);
}

TEST_F(StoreTest, CachedReadOfARevisionThatIsGoneMeanwhileIsNoAnswer) {
  s.Put("k", "1");  // 2
  const int64_t read_at = s.store->revision();
  s.Put("k", "2");  // 3
  s.Compact(3);
  // A thread that took revision 2 and was held up: the key existed then.
  std::optional<KeyIndex::Hit> hit;
  EXPECT_FALSE(s.store->TryCachedAt("k", read_at, hit));
  int64_t revision;
  EXPECT_TRUE(s.store->TryCached("k", hit, revision));
  EXPECT_EQ(revision, 3);
  EXPECT_TRUE(hit.has_value());
  EXPECT_TRUE(s.store->TryCached("absent", hit, revision));
  EXPECT_FALSE(hit.has_value());
}

TEST_F(StoreTest, OneHotKeyIsRemovedInSlicesToo) {
  for (int turn = 0; turn < 30; turn++) {
    for (int i = 0; i < 1000; i++) {
      WriteTxn txn = s.store->Write(s.batch);
      txn.Put("hot", "v", 0);
    }
    s.Commit();
  }
  ASSERT_TRUE(s.ScheduleCompact(s.store->revision()).ok());
  int slices = 1;
  while (s.store->CompactStep(s.batch).value() == Store::Step::kMore) {
    EXPECT_LE(s.batch.ops().size(), 2u * KeyIndex::kStep);
    s.CompactStep();
    slices++;
    s.Reopen();
    EXPECT_THAT(*s.Read(), ElementsAre("hot=v"));
  }
  EXPECT_GT(slices, 10);
}

TEST_F(StoreTest, DamagedRowsAreAnErrorNotACrash) {
  const auto put = [&](std::string_view row_key, const KeyValue& kv) {
    StoreFixture damaged;
    damaged.batch.Put(damaged.tables.key, row_key, EncodeBlock(kv));
    damaged.Commit();
    const auto opened = Store::Open(*damaged.engine, damaged.tables, damaged.clock, {});
    return opened.status();
  };
  const KeyValue good{"k", 2, 2, 1, "v", 0};
  EXPECT_TRUE(put(RevisionKey({2, 0}).view(), good).ok());
  EXPECT_TRUE(absl::IsDataLoss(put("short", good)));
  EXPECT_TRUE(absl::IsDataLoss(put(RevisionKey({2, 0}).view(), {})));
  EXPECT_TRUE(absl::IsDataLoss(put(RevisionKey({2, 0}).view(), {.key = "k", .create_revision = 0})));
  EXPECT_TRUE(absl::IsDataLoss(put(RevisionKey({2, 0}).view(), {.key = "k", .create_revision = -1})));
  EXPECT_TRUE(absl::IsDataLoss(put(RevisionKey({-2, 0}).view(), good)));
  EXPECT_TRUE(absl::IsDataLoss(put(RevisionKey({2, int64_t{1} << 32}).view(), good)));
}

TEST_F(StoreTest, MillionKeysAreDeletedByOneTransaction) {
  static constexpr int kKeys = 1'000'000;
  for (int turn = 0; turn < 10; turn++) {
    WriteTxn txn = s.store->Write(s.batch);
    for (int i = 0; i < kKeys / 10; i++) txn.Put(fmt::format("{:07}", turn * kKeys / 10 + i), "", 0);
    if (turn == 9) break;
  }
  s.Commit();
  {
    WriteTxn txn = s.store->Write(s.batch);
    EXPECT_EQ(txn.DeleteRange(kAll, {}), kKeys);
  }
  s.Commit();
  EXPECT_THAT(*s.Read(), IsEmpty());
  s.Compact(s.store->revision());
  s.Put("k", "v");
  s.Compact(s.store->revision());
  EXPECT_EQ(s.Rows(), 1u);
}

}  // namespace
}  // namespace tenon::mvcc
