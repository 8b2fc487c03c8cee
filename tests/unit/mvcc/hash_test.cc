// HashKV against hashes that etcd 3.7.3 answered for the same history (recorded with
//   etcdctl put a 1; put b 2; put a 3; del b; txn (put c 4, put d 5); put b 6; del a; put a 7
//   etcdctl endpoint hashkv --rev=N; compact 5 --physical; ...; compact 8 --physical; ...).
#include "kernel/mvcc/hash.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/store_fixture.h"

namespace tenon::mvcc {
namespace {

class HashTest : public ::testing::Test {
 protected:
  void MakeHistory() {
    s.Put("a", "1");  // 2
    s.Put("b", "2");
    s.Put("a", "3");
    s.Delete("b");  // 5
    {
      WriteTxn txn = s.store->Write(s.batch);
      txn.Put("c", "4", 0);
      txn.Put("d", "5", 0);
    }
    s.Commit();  // 6
    s.Put("b", "6");
    s.Delete("a");
    s.Put("a", "7");  // 9
  }
  uint32_t Hash(int64_t revision) {
    const Result<HashByRevision> hash = HashKv(*s.store, revision);
    EXPECT_TRUE(hash.ok()) << hash.status();
    return hash.ok() ? hash->hash : 0;
  }
  testing::StoreFixture s;
};

TEST_F(HashTest, EmptyStore) {
  const HashByRevision hash = *HashKv(*s.store, 0);
  EXPECT_EQ(hash.hash, 1084519789u);
  EXPECT_EQ(hash.compact_revision, -1);
  EXPECT_EQ(hash.revision, 1);
  EXPECT_EQ(hash.current_revision, 1);
}

TEST_F(HashTest, EveryRevisionIsEtcds) {
  MakeHistory();
  const uint32_t recorded[] = {1084519789, 2587454935, 1827592406, 2069675932, 1125682900,
                               3853268819, 1309387202, 2517410352, 2860163294};
  for (int64_t revision = 1; revision <= 9; revision++) EXPECT_EQ(Hash(revision), recorded[revision - 1]) << revision;
  EXPECT_EQ(Hash(0), recorded[8]);
}

TEST_F(HashTest, CompactedHistoryHashesAlikeBeforeDuringAndAfterTheRemoval) {
  MakeHistory();
  const std::pair<int64_t, uint32_t> recorded[] = {{6, 4290631835}, {7, 2354712796}, {8, 837143125}, {9, 3221894377}};
  ASSERT_TRUE(s.ScheduleCompact(5).ok());
  for (const auto& [revision, hash] : recorded) EXPECT_EQ(Hash(revision), hash) << revision;
  while (s.CompactStep() == Store::Step::kMore) {
  }
  for (const auto& [revision, hash] : recorded) EXPECT_EQ(Hash(revision), hash) << revision;
  EXPECT_EQ(HashKv(*s.store, 9)->compact_revision, 5);
  s.Compact(8);
  EXPECT_EQ(Hash(9), 1339488624u);
  s.Reopen();
  EXPECT_EQ(Hash(9), 1339488624u);
}

// As recorded: put a 1; put b 2; put a 3; put c 4; compact 4 --physical; del a c; del c; put d 5.
TEST_F(HashTest, RevisionWithoutAKeyHashesAllThatTheCompactionLeft) {
  s.Put("a", "1");
  s.Put("b", "2");
  s.Put("a", "3");
  s.Put("c", "4");  // 5
  s.Compact(4);
  {
    WriteTxn txn = s.store->Write(s.batch);
    txn.DeleteRange("a", "c");
  }
  s.Commit();
  s.Delete("c");
  s.Put("d", "5");
  const std::pair<int64_t, uint32_t> recorded[] = {{5, 2788028894}, {6, 1635901780}, {7, 3555295907}, {8, 2400700223}};
  for (const auto& [revision, hash] : recorded) EXPECT_EQ(Hash(revision), hash) << revision;
}

TEST_F(HashTest, RemovalInSlicesDoesNotChangeTheHash) {
  for (int i = 0; i < 5000; i++) s.Put(fmt::format("{:04}", i * 7 % 2500), "v");
  ASSERT_TRUE(s.ScheduleCompact(4000).ok());
  const uint32_t before = Hash(0);
  int slices = 1;
  for (; s.CompactStep() == Store::Step::kMore; slices++) EXPECT_EQ(Hash(0), before) << slices;
  EXPECT_EQ(Hash(0), before);
  EXPECT_GE(slices, 3);
}

TEST_F(HashTest, WhatIsGoneOrNotYetThereIsRefused) {
  MakeHistory();
  s.Compact(5);
  EXPECT_EQ(Message(HashKv(*s.store, 4).status()), "etcdserver: mvcc: required revision has been compacted");
  EXPECT_EQ(Message(HashKv(*s.store, 10).status()), "etcdserver: mvcc: required revision is a future revision");
  EXPECT_TRUE(absl::IsOutOfRange(HashKv(*s.store, std::numeric_limits<int64_t>::max()).status()));
  EXPECT_EQ(Hash(std::numeric_limits<int64_t>::min()), 1084519789u);  // as etcd: nothing is that old
}

}  // namespace
}  // namespace tenon::mvcc
