// Ranges, puts, deletes and transactions over a small store: etcd's rules, one by one.
#include "kernel/apply/txn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/fake_leases.h"
#include "tests/support/store_fixture.h"

namespace tenon::apply {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file
using ::testing::ElementsAre;
using ::testing::IsEmpty;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max(), kMin = std::numeric_limits<int64_t>::min();
const std::string kZero("\0", 1);

struct SomeLeases : testing::FakeLeases {
  bool Exists(int64_t lease) const override { return lease == 7; }
};

std::vector<std::string> Keys(const std::vector<Block>& rows) {
  std::vector<std::string> out;
  for (const Block& row : rows) {
    mvcc::KeyValue kv;
    EXPECT_TRUE(Decode(row.view(), kv));
    out.emplace_back(kv.key);
  }
  return out;
}

class TxnTest : public ::testing::Test {
 protected:
  // key: create/mod/version value
  TxnTest() {
    s.Put("a", "3");  // 2
    s.Put("b", "1");  // 3
    s.Put("c", "2");  // 4
    s.Put("a", "4");  // 5
    s.Put("d", "2");  // 6
    s.Put("b", "0");  // 7
    s.Put("b", "5");  // 8
  }
  static RangeRequest Get(const std::string& key, const std::string& end = "") {
    RangeRequest r;
    r.set_key(key);
    r.set_range_end(end);
    return r;
  }
  // The same from a read view, from a write transaction, with and without the record cache.
  Result<RangeAnswer> Answer(const RangeRequest& r) {
    mvcc::ReadView view = s.store->View();
    Result<RangeAnswer> one = Range(view, r);
    mvcc::WriteTxn txn = s.store->Write(s.batch);
    const Result<RangeAnswer> two = Range(txn, r);
    EXPECT_EQ(one.status(), two.status());
    if (one.ok() && two.ok()) {
      EXPECT_EQ(Keys(one->kvs), Keys(two->kvs));
      EXPECT_EQ(one->count, two->count);
      EXPECT_EQ(one->more, two->more);
      EXPECT_EQ(one->revision, two->revision);
    }
    return one;
  }
  std::vector<std::string> Found(const RangeRequest& r) {
    const Result<RangeAnswer> answer = Answer(r);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? Keys(answer->kvs) : std::vector<std::string>{};
  }
  Result<TxnAnswer> Do(const TxnRequest& r) {
    Result<TxnAnswer> answer = [&] {
      mvcc::WriteTxn txn = s.store->Write(s.batch);
      return Txn(txn, &leases, r);
    }();
    s.Commit();
    return answer;
  }
  // Does the transaction with this one compare take the success branch?
  bool Holds(const std::string& key, Compare::CompareTarget target, Compare::CompareResult result, int64_t number,
             const std::string& value = "", const std::string& end = "") {
    TxnRequest r;
    Compare& c = *r.add_compare();
    c.set_key(key);
    c.set_range_end(end);
    c.set_target(target);
    c.set_result(result);
    switch (target) {
      case Compare::VERSION: c.set_version(number); break;
      case Compare::CREATE: c.set_create_revision(number); break;
      case Compare::MOD: c.set_mod_revision(number); break;
      case Compare::LEASE: c.set_lease(number); break;
      default: c.set_value(value);
    }
    mvcc::ReadView view = s.store->View();
    const Result<TxnAnswer> answer = ReadOnlyTxn(view, r);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer->succeeded;
  }
  static void AddPut(google::protobuf::RepeatedPtrField<RequestOp>* ops, const std::string& key,
                     const std::string& value = "v") {
    PutRequest& put = *ops->Add()->mutable_request_put();
    put.set_key(key);
    put.set_value(value);
  }

  testing::StoreFixture s;
  SomeLeases leases;
};

// ---- ranges ----

TEST_F(TxnTest, IntervalsMeanWhatEtcdMeans) {
  EXPECT_THAT(Found(Get("b")), ElementsAre("b"));
  EXPECT_THAT(Found(Get("b", "d")), ElementsAre("b", "c"));
  EXPECT_THAT(Found(Get("b", kZero)), ElementsAre("b", "c", "d"));
  EXPECT_THAT(Found(Get(kZero, kZero)), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(Found(Get("d", "b")), IsEmpty());
  EXPECT_THAT(Found(Get("b", "b")), IsEmpty());
  EXPECT_THAT(Found(Get("x")), IsEmpty());
  EXPECT_THAT(Found(Get("b", std::string("b\0", 2))), ElementsAre("b"));
  EXPECT_THAT(Found(Get("b", std::string("\0\0", 2))), IsEmpty());  // only the one zero byte is special
}

TEST_F(TxnTest, LimitCutsAndSaysSoCountDoesNotCare) {
  for (const int64_t limit : {int64_t{1}, int64_t{3}}) {
    RangeRequest r = Get("a", kZero);
    r.set_limit(limit);
    const RangeAnswer answer = *Answer(r);
    EXPECT_EQ(answer.kvs.size(), static_cast<size_t>(limit));
    EXPECT_TRUE(answer.more);
    EXPECT_EQ(answer.count, 4);
  }
  for (const int64_t limit : {int64_t{0}, int64_t{4}, int64_t{5}, kMax, kMax - 1, int64_t{-1}, kMin}) {
    RangeRequest r = Get("a", kZero);
    r.set_limit(limit);
    const RangeAnswer answer = *Answer(r);
    EXPECT_EQ(answer.kvs.size(), 4u) << limit;
    EXPECT_FALSE(answer.more) << limit;
  }
}

TEST_F(TxnTest, CountOnlyCounts) {
  RangeRequest r = Get("a", kZero);
  r.set_count_only(true);
  r.set_limit(1);
  const RangeAnswer answer = *Answer(r);
  EXPECT_TRUE(answer.kvs.empty());
  EXPECT_EQ(answer.count, 4);
  EXPECT_FALSE(answer.more);
}

TEST_F(TxnTest, KeysOnlyLeavesOutTheValueOnly) {
  RangeRequest r = Get("b");
  r.set_keys_only(true);
  for (const int64_t revision : {0, 8, 7}) {
    r.set_revision(revision);
    const RangeAnswer answer = *Answer(r);
    mvcc::KeyValue kv;
    ASSERT_TRUE(Decode(answer.kvs.at(0).view(), kv));
    EXPECT_EQ(kv.key, "b");
    EXPECT_EQ(kv.value, "");
    EXPECT_EQ(kv.create_revision, 3);
    EXPECT_EQ(kv.mod_revision, revision == 7 ? 7 : 8);
    EXPECT_EQ(kv.version, revision == 7 ? 2 : 3);
  }
}

TEST_F(TxnTest, OrderByEveryTarget) {
  const auto sorted = [&](RangeRequest::SortTarget target, RangeRequest::SortOrder order, int64_t limit = 0) {
    RangeRequest r = Get("a", kZero);
    r.set_sort_target(target);
    r.set_sort_order(order);
    r.set_limit(limit);
    return Found(r);
  };
  EXPECT_THAT(sorted(RangeRequest::KEY, RangeRequest::DESCEND), ElementsAre("d", "c", "b", "a"));
  EXPECT_THAT(sorted(RangeRequest::VERSION, RangeRequest::ASCEND), ElementsAre("c", "d", "a", "b"));
  EXPECT_THAT(sorted(RangeRequest::CREATE, RangeRequest::DESCEND), ElementsAre("d", "c", "b", "a"));
  EXPECT_THAT(sorted(RangeRequest::MOD, RangeRequest::ASCEND), ElementsAre("c", "a", "d", "b"));
  EXPECT_THAT(sorted(RangeRequest::MOD, RangeRequest::DESCEND, 1), ElementsAre("b"));
  EXPECT_THAT(sorted(RangeRequest::VALUE, RangeRequest::ASCEND), ElementsAre("c", "d", "a", "b"));
  EXPECT_THAT(sorted(RangeRequest::VALUE, RangeRequest::DESCEND, 2), ElementsAre("b", "a"));
  // A target without an order sorts ascending.
  EXPECT_THAT(sorted(RangeRequest::MOD, RangeRequest::NONE), ElementsAre("c", "a", "d", "b"));
}

TEST_F(TxnTest, FiltersCutBeforeTheLimitAndNotTheCount) {
  RangeRequest r = Get("a", kZero);
  r.set_min_mod_revision(5);
  EXPECT_THAT(Found(r), ElementsAre("a", "b", "d"));
  r.set_max_mod_revision(6);
  EXPECT_THAT(Found(r), ElementsAre("a", "d"));
  r.set_limit(1);
  const RangeAnswer answer = *Answer(r);
  EXPECT_TRUE(answer.more);
  EXPECT_EQ(answer.count, 4);
  r = Get("a", kZero);
  r.set_min_create_revision(3);
  r.set_max_create_revision(4);
  EXPECT_THAT(Found(r), ElementsAre("b", "c"));
  r.set_keys_only(true);
  EXPECT_THAT(Found(r), ElementsAre("b", "c"));
  r.set_revision(3);
  EXPECT_THAT(Found(r), ElementsAre("b"));
}

TEST_F(TxnTest, RevisionsOfThePastTheFutureAndBelowZero) {
  RangeRequest r = Get("a", kZero);
  r.set_revision(4);
  EXPECT_THAT(Found(r), ElementsAre("a", "b", "c"));
  EXPECT_EQ(Answer(r)->revision, 8);
  for (const int64_t now : {int64_t{-1}, kMin}) {
    r.set_revision(now);
    EXPECT_EQ(Found(r).size(), 4u);
  }
  for (const int64_t future : {int64_t{9}, kMax}) {
    r.set_revision(future);
    EXPECT_EQ(Message(Answer(r).status()), "etcdserver: mvcc: required revision is a future revision");
  }
  s.Compact(4);
  r.set_revision(3);
  EXPECT_EQ(Message(Answer(r).status()), "etcdserver: mvcc: required revision has been compacted");
  r.set_revision(4);
  EXPECT_EQ(Found(r).size(), 3u);
}

// ---- puts and deletes ----

TEST_F(TxnTest, PutKeepsWhatItIsToldToIgnore) {
  s.Put("k", "value", 9);
  const auto put = [&](bool ignore_value, bool ignore_lease, const std::string& value, int64_t lease) {
    PutRequest r;
    r.set_key("k");
    r.set_value(value);
    r.set_lease(lease);
    r.set_ignore_value(ignore_value);
    r.set_ignore_lease(ignore_lease);
    {
      mvcc::WriteTxn txn = s.store->Write(s.batch);
      EXPECT_TRUE(Put(txn, &leases, r).ok());
    }
    s.Commit();
    mvcc::KeyValue kv;
    const RangeAnswer answer = *Answer(Get("k"));
    EXPECT_TRUE(Decode(answer.kvs.at(0).view(), kv));
    return fmt::format("{}/{}", kv.value, kv.lease);
  };
  EXPECT_EQ(put(true, false, "", 7), "value/7");
  EXPECT_EQ(put(false, true, "new", 0), "new/7");
  EXPECT_EQ(put(true, true, "", 0), "new/7");
  EXPECT_EQ(put(false, false, "last", 0), "last/0");  // a put without a lease detaches
}

TEST_F(TxnTest, PutOfAMissingKeyOrLeaseIsRefusedAndChangesNothing) {
  const auto refused = [&](bool ignore, int64_t lease) {
    PutRequest r;
    r.set_key("absent");
    r.set_ignore_value(ignore);
    r.set_lease(lease);
    mvcc::WriteTxn txn = s.store->Write(s.batch);
    return std::string(Message(Put(txn, &leases, r).status()));
  };
  EXPECT_EQ(refused(true, 0), "etcdserver: key not found");
  EXPECT_EQ(refused(false, 8), "etcdserver: requested lease not found");
  EXPECT_EQ(refused(true, 8), "etcdserver: requested lease not found");  // etcd looks for the lease first
  EXPECT_TRUE(s.batch.empty());
  EXPECT_EQ(s.store->WriterRevision(), 8);
}

TEST_F(TxnTest, DeleteAnswersWhatItTook) {
  DeleteRangeRequest r;
  r.set_key("b");
  r.set_range_end("d");
  r.set_prev_kv(true);
  {
    mvcc::WriteTxn txn = s.store->Write(s.batch);
    const DeleteAnswer answer = *DeleteRange(txn, r);
    EXPECT_EQ(answer.deleted, 2);
    EXPECT_EQ(answer.revision, 9);
    EXPECT_THAT(Keys(answer.prev_kvs), ElementsAre("b", "c"));
  }
  s.Commit();
  {
    mvcc::WriteTxn txn = s.store->Write(s.batch);
    const DeleteAnswer again = *DeleteRange(txn, r);
    EXPECT_EQ(again.deleted, 0);
    EXPECT_EQ(again.revision, 9);
  }
  EXPECT_THAT(Found(Get("a", kZero)), ElementsAre("a", "d"));
}

// ---- compares ----

TEST_F(TxnTest, ComparesOfAPresentKey) {
  EXPECT_TRUE(Holds("b", Compare::VERSION, Compare::EQUAL, 3));
  EXPECT_TRUE(Holds("b", Compare::CREATE, Compare::LESS, 4));
  EXPECT_TRUE(Holds("b", Compare::MOD, Compare::GREATER, 7));
  EXPECT_FALSE(Holds("b", Compare::MOD, Compare::GREATER, 8));
  EXPECT_TRUE(Holds("b", Compare::LEASE, Compare::NOT_EQUAL, 1));
  EXPECT_TRUE(Holds("b", Compare::VALUE, Compare::EQUAL, 0, "5"));
  EXPECT_TRUE(Holds("b", Compare::VALUE, Compare::GREATER, 0, ""));
  EXPECT_TRUE(Holds("b", Compare::VALUE, Compare::LESS, 0, "\xff"));  // bytes are unsigned
  EXPECT_TRUE(Holds("b", Compare::MOD, Compare::LESS, kMax));
  EXPECT_TRUE(Holds("b", Compare::MOD, Compare::GREATER, kMin));
}

TEST_F(TxnTest, ComparesOfAMissingKeySeeZeroButNoValue) {
  for (const auto target : {Compare::VERSION, Compare::CREATE, Compare::MOD, Compare::LEASE}) {
    EXPECT_TRUE(Holds("absent", target, Compare::EQUAL, 0));
    EXPECT_TRUE(Holds("absent", target, Compare::LESS, 1));
    EXPECT_FALSE(Holds("absent", target, Compare::NOT_EQUAL, 0));
  }
  for (const auto result : {Compare::EQUAL, Compare::NOT_EQUAL, Compare::LESS, Compare::GREATER}) {
    EXPECT_FALSE(Holds("absent", Compare::VALUE, result, 0, ""));
  }
}

TEST_F(TxnTest, CompareOfARangeHoldsForAllOfIt) {
  EXPECT_TRUE(Holds("a", Compare::VERSION, Compare::GREATER, 0, "", kZero));
  EXPECT_FALSE(Holds("a", Compare::VERSION, Compare::GREATER, 1, "", kZero));
  EXPECT_TRUE(Holds("c", Compare::VALUE, Compare::EQUAL, 0, "2", kZero));
  EXPECT_FALSE(Holds("b", Compare::VALUE, Compare::EQUAL, 0, "2", kZero));
  EXPECT_TRUE(Holds("x", Compare::CREATE, Compare::EQUAL, 0, "", "z"));  // nobody there
}

TEST_F(TxnTest, UnknownTargetsAndResultsAreEtcds) {
  EXPECT_TRUE(Holds("a", Compare::MOD, static_cast<Compare::CompareResult>(99), 0));
  EXPECT_TRUE(Holds("a", static_cast<Compare::CompareTarget>(99), Compare::EQUAL, 0));
  EXPECT_FALSE(Holds("a", static_cast<Compare::CompareTarget>(99), Compare::NOT_EQUAL, 0));
}

TEST_F(TxnTest, CompareWithoutAValueComparesWithNothing) {
  TxnRequest r;
  Compare& c = *r.add_compare();
  c.set_key("a");
  c.set_target(Compare::VERSION);
  c.set_result(Compare::GREATER);
  c.set_mod_revision(1000);  // not the one that is compared
  mvcc::ReadView view = s.store->View();
  EXPECT_TRUE(ReadOnlyTxn(view, r)->succeeded);
}

// ---- transactions ----

TEST_F(TxnTest, AllChangesShareOneRevisionAndLaterOperationsSeeThem) {
  TxnRequest r;
  AddPut(r.mutable_success(), "x", "1");
  RangeRequest& get = *r.add_success()->mutable_request_range();
  get = Get("x");
  DeleteRangeRequest& del = *r.add_success()->mutable_request_delete_range();
  del.set_key("a");
  *r.add_success()->mutable_request_range() = Get("a", kZero);
  const TxnAnswer answer = *Do(r);
  EXPECT_TRUE(answer.succeeded);
  EXPECT_EQ(answer.revision, 9);
  EXPECT_EQ(std::get<PutAnswer>(answer.responses[0]).revision, 9);
  EXPECT_THAT(Keys(std::get<RangeAnswer>(answer.responses[1]).kvs), ElementsAre("x"));
  EXPECT_EQ(std::get<DeleteAnswer>(answer.responses[2]).deleted, 1);
  EXPECT_THAT(Keys(std::get<RangeAnswer>(answer.responses[3]).kvs), ElementsAre("b", "c", "d", "x"));
  EXPECT_EQ(s.store->revision(), 9);
}

TEST_F(TxnTest, NestedComparesSeeTheStateBeforeTheTransaction) {
  TxnRequest r;
  AddPut(r.mutable_success(), "x");
  TxnRequest& inner = *r.add_success()->mutable_request_txn();
  Compare& c = *inner.add_compare();
  c.set_key("x");
  c.set_target(Compare::VERSION);
  c.set_result(Compare::EQUAL);
  c.set_version(0);
  AddPut(inner.mutable_success(), "then");
  AddPut(inner.mutable_failure(), "else");
  const TxnAnswer answer = *Do(r);
  EXPECT_TRUE(std::get<TxnAnswer>(answer.responses[1]).succeeded);
  EXPECT_EQ(std::get<TxnAnswer>(answer.responses[1]).revision, 0);
  EXPECT_THAT(Found(Get("e", kZero)), ElementsAre("then", "x"));
}

TEST_F(TxnTest, OneOperationThatIsRefusedRefusesAllBeforeTheFirstWrite) {
  const auto refuse = [&](auto spoil) {
    TxnRequest r;
    AddPut(r.mutable_success(), "x");
    spoil(*r.add_success()->mutable_request_txn()->add_success());
    const Result<TxnAnswer> answer = Do(r);
    EXPECT_FALSE(answer.ok());
    EXPECT_THAT(Found(Get("x")), IsEmpty());
    EXPECT_EQ(s.store->revision(), 8);
    return std::string(Message(answer.status()));
  };
  EXPECT_EQ(refuse([](RequestOp& op) { op.mutable_request_range()->set_revision(9); }),
            "etcdserver: mvcc: required revision is a future revision");
  EXPECT_EQ(refuse([](RequestOp& op) { op.mutable_request_range()->set_revision(kMax); }),
            "etcdserver: mvcc: required revision is a future revision");
  EXPECT_EQ(refuse([](RequestOp& op) { op.mutable_request_range()->set_revision(-2); }),
            "etcdserver: mvcc: required revision has been compacted");
  EXPECT_EQ(refuse([](RequestOp& op) { op.mutable_request_put()->set_lease(8); }),
            "etcdserver: requested lease not found");
  EXPECT_EQ(refuse([](RequestOp& op) {
              op.mutable_request_put()->set_key("absent");
              op.mutable_request_put()->set_ignore_lease(true);
            }),
            "etcdserver: key not found");
}

TEST_F(TxnTest, BranchThatIsNotTakenIsNotChecked) {
  TxnRequest r;
  r.add_failure()->mutable_request_range()->set_revision(100);
  AddPut(r.mutable_success(), "x");
  EXPECT_TRUE(Do(r).ok());
}

TEST_F(TxnTest, ReadsAtTheOldRevisionInsideSeeTheOldState) {
  TxnRequest r;
  AddPut(r.mutable_success(), "a", "new");
  *r.add_success()->mutable_request_range() = Get("a");
  r.mutable_success(1)->mutable_request_range()->set_revision(8);
  const TxnAnswer answer = *Do(r);
  mvcc::KeyValue kv;
  const auto& range = std::get<RangeAnswer>(answer.responses[1]);
  ASSERT_TRUE(Decode(range.kvs.at(0).view(), kv));
  EXPECT_EQ(kv.value, "4");
  EXPECT_EQ(range.revision, 9);
}

// etcd 3.7.3 dies of this one; it is refused before it is proposed (validate), and harmless if it comes all the same.
TEST_F(TxnTest, PutOfAKeyThatTheSameTransactionDeletedDoesNotHurt) {
  TxnRequest r;
  DeleteRangeRequest& del = *r.add_success()->mutable_request_delete_range();
  del.set_key("a");
  del.set_range_end(kZero);
  PutRequest& put = *r.add_success()->mutable_request_put();
  put.set_key("b");
  put.set_ignore_value(true);
  put.set_ignore_lease(true);
  EXPECT_TRUE(Do(r).ok());
  EXPECT_THAT(Found(Get("a", kZero)), ElementsAre("b"));
}

TEST_F(TxnTest, ReadOnlyMeansRangesAndNothingElse) {
  TxnRequest r;
  EXPECT_TRUE(IsReadOnly(r));
  EXPECT_TRUE(IsSerializable(r));
  *r.add_success()->mutable_request_range() = Get("a");
  EXPECT_TRUE(IsReadOnly(r));
  EXPECT_FALSE(IsSerializable(r));
  r.mutable_success(0)->mutable_request_range()->set_serializable(true);
  EXPECT_TRUE(IsSerializable(r));
  r.add_failure()->mutable_request_txn();
  EXPECT_FALSE(IsReadOnly(r));
  r.clear_failure();
  r.add_failure();
  EXPECT_FALSE(IsReadOnly(r));
}

TEST_F(TxnTest, GrowsWithAPutInAnyBranchHoweverDeep) {
  TxnRequest r;
  EXPECT_FALSE(Grows(r));
  *r.add_success()->mutable_request_range() = Get("a");
  r.add_success()->mutable_request_delete_range()->set_key("a");
  TxnRequest& inner = *r.add_failure()->mutable_request_txn();
  EXPECT_FALSE(Grows(r));
  AddPut(inner.add_failure()->mutable_request_txn()->mutable_failure(), "k");
  EXPECT_TRUE(Grows(r));
  r.clear_failure();
  EXPECT_FALSE(Grows(r));
  AddPut(r.mutable_success(), "k");
  EXPECT_TRUE(Grows(r));
}

TEST_F(TxnTest, HundredsOfLevelsAreWalkedWithoutHarm) {
  TxnRequest r;
  TxnRequest* t = &r;
  for (int i = 0; i < 499; i++) t = t->add_success()->mutable_request_txn();
  AddPut(t->mutable_success(), "deep");
  EXPECT_TRUE(Do(r).ok());
  EXPECT_THAT(Found(Get("deep")), ElementsAre("deep"));
}

}  // namespace
}  // namespace tenon::apply
