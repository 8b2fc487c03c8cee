// What is refused before it is proposed, with etcd's words.
#include "kernel/api/validate.h"

#include <gtest/gtest.h>

#include <random>

#include "kernel/apply/range.h"

namespace tenon::api {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file
using Ops = google::protobuf::RepeatedPtrField<RequestOp>;
const std::string kZero("\0", 1);

std::string Said(const Status& status) { return status.ok() ? "OK" : std::string(Message(status)); }
std::string CheckTxn(const TxnRequest& r, int64_t max_ops = 128) { return Said(Check(r, max_ops)); }
constexpr const char* kDuplicate = "etcdserver: duplicate key given in txn request";
constexpr const char* kTooMany = "etcdserver: too many operations in txn request";

void Put(Ops* ops, const std::string& key) { ops->Add()->mutable_request_put()->set_key(key); }
void Delete(Ops* ops, const std::string& key, const std::string& end = "") {
  ops->Add()->mutable_request_delete_range()->set_key(key);
  (*ops)[ops->size() - 1].mutable_request_delete_range()->set_range_end(end);
}

TEST(ValidateTest, Ranges) {
  RangeRequest r;
  EXPECT_EQ(Said(Check(r)), "etcdserver: key is not provided");
  r.set_key("k");
  EXPECT_EQ(Said(Check(r)), "OK");
  r.set_sort_order(static_cast<RangeRequest::SortOrder>(3));
  EXPECT_EQ(Said(Check(r)), "etcdserver: invalid sort option");
  r.set_sort_order(RangeRequest::NONE);
  r.set_sort_target(static_cast<RangeRequest::SortTarget>(-1));
  EXPECT_EQ(Said(Check(r)), "etcdserver: invalid sort option");
}

TEST(ValidateTest, PutsAndDeletes) {
  PutRequest r;
  EXPECT_EQ(Said(Check(r)), "etcdserver: key is not provided");
  r.set_key("k");
  r.set_value("v");
  r.set_ignore_value(true);
  EXPECT_EQ(Said(Check(r)), "etcdserver: value is provided");
  r.clear_value();
  r.set_lease(1);
  EXPECT_EQ(Said(Check(r)), "OK");
  r.set_ignore_lease(true);
  EXPECT_EQ(Said(Check(r)), "etcdserver: lease is provided");
  EXPECT_EQ(Said(Check(DeleteRangeRequest())), "etcdserver: key is not provided");
}

TEST(ValidateTest, EachListOfATransactionHasTheLimit) {
  TxnRequest r;
  for (int i = 0; i < 128; i++) {
    Put(r.mutable_success(), fmt::format("{}", i));
    Put(r.mutable_failure(), fmt::format("{}", i));
    r.add_compare()->set_key("k");
  }
  EXPECT_EQ(CheckTxn(r), "OK");
  TxnRequest more = r;
  more.add_compare()->set_key("k");
  EXPECT_EQ(CheckTxn(more), kTooMany);
  Put(r.mutable_failure(), "one more");
  EXPECT_EQ(CheckTxn(r), kTooMany);
  EXPECT_EQ(CheckTxn(r, 129), "OK");
}

TEST(ValidateTest, NestedTransactionsHaveWhatTheirParentsLeave) {
  for (const int depth : {127, 128, 400}) {
    TxnRequest r;
    TxnRequest* t = &r;
    for (int i = 0; i < depth; i++) t = t->add_success()->mutable_request_txn();
    Put(t->mutable_success(), "k");
    EXPECT_EQ(CheckTxn(r), depth < 128 ? "OK" : kTooMany) << depth;
  }
}

TEST(ValidateTest, OperationsAreCheckedInBothBranchesAndAllLevels) {
  TxnRequest r;
  r.add_compare();
  EXPECT_EQ(CheckTxn(r), "etcdserver: key is not provided");
  r.Clear();
  r.add_failure()->mutable_request_txn()->add_failure();
  EXPECT_EQ(CheckTxn(r), "etcdserver: key not found");  // an empty operation; etcd's word
  r.Clear();
  r.add_failure()->mutable_request_txn()->add_failure()->mutable_request_range();
  EXPECT_EQ(CheckTxn(r), "etcdserver: key is not provided");
}

TEST(ValidateTest, KeyIsPutOnceOnAPath) {
  TxnRequest r;
  Put(r.mutable_success(), "k");
  Put(r.mutable_failure(), "k");
  EXPECT_EQ(CheckTxn(r), "OK");
  TxnRequest& inner = *r.add_success()->mutable_request_txn();
  Put(inner.mutable_success(), "x");
  Put(inner.mutable_failure(), "x");
  EXPECT_EQ(CheckTxn(r), "OK");  // only one of the branches is taken
  TxnRequest twice = r;
  Put(twice.mutable_success(), "x");
  EXPECT_EQ(CheckTxn(twice), kDuplicate);
  twice = r;
  Put(twice.add_success()->mutable_request_txn()->mutable_failure(), "x");
  EXPECT_EQ(CheckTxn(twice), kDuplicate);
  Put(inner.mutable_failure(), "k");
  EXPECT_EQ(CheckTxn(r), kDuplicate);
}

TEST(ValidateTest, KeyIsNotPutAndDeleted) {
  const auto check = [](const std::string& key, const std::string& end, const std::string& put, bool nested_put,
                        bool nested_delete) {
    TxnRequest r;
    Ops* outer = r.mutable_failure();
    Put(nested_put ? outer->Add()->mutable_request_txn()->mutable_success() : outer, put);
    Delete(nested_delete ? outer->Add()->mutable_request_txn()->mutable_failure() : outer, key, end);
    return CheckTxn(r) == kDuplicate;
  };
  for (const bool nested_put : {false, true}) {
    for (const bool nested_delete : {false, true}) {
      if (nested_put && nested_delete) continue;  // below: the order of the two counts
      EXPECT_TRUE(check("k", "", "k", nested_put, nested_delete));
      EXPECT_FALSE(check("k", "", "k2", nested_put, nested_delete));
      EXPECT_TRUE(check("a", "m", "k", nested_put, nested_delete));
      EXPECT_TRUE(check("a", "k\x01", "k", nested_put, nested_delete));
      EXPECT_FALSE(check("a", "k", "k", nested_put, nested_delete));
      EXPECT_FALSE(check("m", "a", "k", nested_put, nested_delete));
      // The range to the end: etcd 3.7.3 lets it pass, and its member dies of the transaction.
      EXPECT_TRUE(check("a", kZero, "k", nested_put, nested_delete));
      EXPECT_TRUE(check(kZero, kZero, "k", nested_put, nested_delete));
      EXPECT_FALSE(check("l", kZero, "k", nested_put, nested_delete));
    }
  }
}

TEST(ValidateTest, DeletesMayOverlap) {
  TxnRequest r;
  Delete(r.mutable_success(), "a", "m");
  Delete(r.mutable_success(), "b", kZero);
  Delete(r.mutable_success(), "c");
  Delete(r.mutable_success(), "c");
  EXPECT_EQ(CheckTxn(r), "OK");
}

// Many deletes and puts against the plain question, asked of each pair.
TEST(ValidateTest, OverlapIsFoundWhateverTheIntervalsAre) {
  std::mt19937 random(3);
  int duplicates = 0;
  for (int i = 0; i < 5000; i++) {
    const auto key = [&] { return std::string(1 + random() % 2, static_cast<char>('a' + random() % 12)); };
    TxnRequest r;
    std::vector<std::pair<std::string, std::string>> deletes;
    for (uint32_t n = random() % 5; n > 0; n--) {
      const uint32_t kind = random() % 8;
      deletes.emplace_back(key(), kind < 3 ? "" : kind == 3 ? kZero : key());
      Delete(r.mutable_success(), deletes.back().first, deletes.back().second);
    }
    const std::string put = key();
    Put(r.mutable_success(), put);
    bool expected = false;
    for (const auto& [from, to] : deletes) expected |= apply::Interval::Of(from, to).Contains(put);
    ASSERT_EQ(CheckTxn(r), expected ? kDuplicate : "OK");
    duplicates += expected;
  }
  EXPECT_GT(duplicates, 500);
}

// 1.5 MiB of nested deletes and puts: pairing each with each took minutes of a transport's thread.
TEST(ValidateTest, HugeTransactionIsCheckedWithFewComparisons) {
  TxnRequest r;
  uint64_t n = 0;
  for (int a = 0; a < 42; a++) {
    TxnRequest& one = *r.add_success()->mutable_request_txn();
    for (int b = 0; b < 42; b++) {
      TxnRequest& two = *one.add_success()->mutable_request_txn();
      for (int c = 0; c < 44; c++, n++) {
        if (c % 2 == 0) {
          Delete(two.mutable_success(), fmt::format("d{}", n));
        } else {
          Put(two.mutable_success(), fmt::format("p{}", n));
        }
      }
    }
  }
  uint64_t comparisons = 0;
  EXPECT_EQ(Said(Check(r, 128, &comparisons)), "OK");
  // Each of the 77,616 keys is entered on three levels and found on two; 17 is the logarithm.
  EXPECT_GT(comparisons, 17u * n);
  EXPECT_LT(comparisons, 17u * 12 * n);
}

}  // namespace
}  // namespace tenon::api
