// The sum over the rows: kept while they come and go, and believed over an engine that says otherwise.
#include "kernel/mvcc/row_sum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/store_fixture.h"

namespace tenon::mvcc {
namespace {

using ::testing::HasSubstr;

class RowSumTest : public ::testing::Test {
 protected:
  // What the engine does behind our back.
  void Tamper(uint32_t type, Revision revision, std::string_view value = {}) {
    const RevisionKey row(revision);
    const tenon_op op = type == TENON_OP_PUT ? storage::PutOp(s.tables.key, row.view(), value)
                                             : storage::DeleteOp(s.tables.key, row.view());
    ASSERT_TRUE(s.engine->Apply({&op, 1}, Index(++s.index)).ok());
  }
  std::string Row(Revision revision) {
    storage::Snapshot snapshot = s.engine->OpenSnapshot().value();
    return std::string(snapshot.Get(s.tables.key, RevisionKey(revision).view()).value());
  }
  Status Open() { return Store::Open(*s.engine, s.tables, s.clock, {}).status(); }

  testing::StoreFixture s;
};

TEST_F(RowSumTest, ScanArrivesAtTheSumThatWritesAndCompactionsLeft) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 200; i++) {
      const std::string key = fmt::format("k{}", random() % 50);
      random() % 3 == 0 ? s.Delete(key) : s.Put(key, fmt::format("{}", i));
    }
    ASSERT_TRUE(s.ScheduleCompact(s.store->revision() - 50).ok());
    if (round % 2 == 0) {
      while (s.CompactStep() == Store::Step::kMore) {
      }
    }
    const RowSum before = s.store->row_sum();
    EXPECT_EQ(before.rows, s.Rows());
    s.Reopen();  // fails if the scan does not agree
    EXPECT_EQ(s.store->row_sum(), before);
  }
}

TEST_F(RowSumTest, LostRowIsFoundWithTheNumbers) {
  s.Put("a", "1");
  s.Put("b", "2");
  Tamper(TENON_OP_DEL, {3, 0});
  const Status opened = Open();
  EXPECT_EQ(opened.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(Message(opened)), HasSubstr("has 1 rows"));
  EXPECT_THAT(std::string(Message(opened)), HasSubstr("but 2 rows"));
  EXPECT_THAT(std::string(Message(opened)), HasSubstr("restore a backup"));
}

TEST_F(RowSumTest, ChangedValueIsFound) {
  s.Put("a", "old");
  const std::string before = Row({2, 0});
  s.Put("a", "new");
  std::string other = Row({3, 0});
  other.replace(other.find("new"), 3, "odd");
  Tamper(TENON_OP_PUT, {3, 0}, other);
  EXPECT_EQ(Open().code(), StatusCode::kDataLoss);
}

TEST_F(RowSumTest, RowThatCameBackIsFound) {
  s.Put("a", "1");
  const std::string first = Row({2, 0});
  s.Put("a", "2");
  s.Compact(3);
  ASSERT_EQ(s.Rows(), 1u);
  Tamper(TENON_OP_PUT, {2, 0}, first);
  EXPECT_EQ(Open().code(), StatusCode::kDataLoss);
}

TEST_F(RowSumTest, StoreFromBeforeThereWasASumGetsOne) {
  s.Put("a", "1");
  const RowSum sum = s.store->row_sum();
  const tenon_op forget = storage::DeleteOp(s.tables.meta, storage::meta::kRowSum);
  ASSERT_TRUE(s.engine->Apply({&forget, 1}, Index(++s.index)).ok());
  s.Reopen();
  EXPECT_EQ(s.store->row_sum(), sum);
  s.Put("b", "2");
  Tamper(TENON_OP_DEL, {2, 0});
  EXPECT_EQ(Open().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace tenon::mvcc
