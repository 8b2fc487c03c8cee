// An entry of the log: what a client sent must come out of it again, whatever it was.
#include "kernel/apply/request.h"

#include <gtest/gtest.h>

#include "kernel/apply/parse.h"
#include "kernel/base/coding.h"

namespace tenon::apply {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

// A transaction with `depth` others inside each other and a put in the innermost.
TxnRequest Nested(int depth) {
  TxnRequest outermost;
  TxnRequest* t = &outermost;
  for (int i = 0; i < depth; i++) t = t->add_success()->mutable_request_txn();
  t->add_success()->mutable_request_put()->set_key("k");
  return outermost;
}

TEST(RequestTest, EntryKeepsIdAndRequest) {
  PutRequest put;
  put.set_key("k");
  put.set_value(std::string("v\0\xff", 3));
  put.set_lease(-1);
  const Result<Request> request = DecodeEntry(EncodeEntry(0xfedcba9876543210, Field::kPut, put.SerializeAsString()));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->id, 0xfedcba9876543210);
  EXPECT_EQ(std::get<PutRequest>(request->operation).SerializeAsString(), put.SerializeAsString());
}

TEST(RequestTest, EmptyRequestIsStillAnOperation) {
  const Result<Request> request = DecodeEntry(EncodeEntry(1, Field::kAlarm, ""));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_TRUE(std::holds_alternative<AlarmRequest>(request->operation));
}

TEST(RequestTest, EveryFieldComesBackAsItsOperation) {
  const std::pair<Field, size_t> fields[] = {{Field::kPut, 0},
                                             {Field::kDeleteRange, 1},
                                             {Field::kTxn, 2},
                                             {Field::kCompaction, 3},
                                             {Field::kAlarm, 4},
                                             {Field::kClusterVersionSet, 5},
                                             {Field::kClusterMemberAttrSet, 6}};
  for (const auto& [field, alternative] : fields) {
    const Result<Request> request = DecodeEntry(EncodeEntry(7, field, ""));
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_EQ(request->operation.index(), alternative);
  }
}

// What a client may send must be readable from the log: an entry that is not keeps the member from ever starting again.
TEST(RequestTest, WhateverNestsAsDeepAsAClientMayIsReadableAsAnEntry) {
  for (const int depth : {1, 48, 49, 50, 127, 498, 499}) {
    const std::string bytes = Nested(depth).SerializeAsString();
    TxnRequest parsed;
    const bool accepted = ParseNested(bytes, parsed, kMaxRequestDepth);
    EXPECT_EQ(accepted, depth < 500) << depth;
    const Result<Request> request = DecodeEntry(EncodeEntry(1, Field::kTxn, bytes));
    EXPECT_TRUE(request.ok()) << depth << ": " << request.status();
  }
}

TEST(RequestTest, UnknownGroupsAsDeepAsAClientMaySendThemAreReadableAsAnEntry) {
  std::string groups(100, '\x7b');  // field 15, start of a group
  groups += std::string(100, '\x7c');
  PutRequest put;
  ASSERT_TRUE(put.ParseFromString(groups));
  const Result<Request> request = DecodeEntry(EncodeEntry(1, Field::kPut, groups));
  EXPECT_TRUE(request.ok()) << request.status();
}

TEST(RequestTest, BottomlessNestingIsRefusedNotFollowed) {
  std::string bytes;
  for (int i = 0; i < 20000; i++) {  // success { request_txn { ...
    std::string outer;
    AppendVarint(outer, 4 << 3 | 2);
    AppendVarint(outer, bytes.size());
    bytes = outer + bytes;
    outer.clear();
    AppendVarint(outer, 2 << 3 | 2);
    AppendVarint(outer, bytes.size());
    bytes = outer + bytes;
  }
  TxnRequest txn;
  EXPECT_FALSE(ParseNested(bytes, txn, kMaxRequestDepth));
  EXPECT_FALSE(DecodeEntry(EncodeEntry(1, Field::kTxn, bytes)).ok());
}

TEST(RequestTest, NoOperationIsNotPassedOver) {
  InternalRaftRequest raw;
  raw.mutable_header()->set_id(7);
  const Result<Request> request = DecodeEntry(raw.SerializeAsString());
  EXPECT_TRUE(absl::IsDataLoss(request.status())) << request.status();
}

TEST(RequestTest, TwoOperationsAreOneTooMany) {
  InternalRaftRequest raw;
  raw.mutable_put()->set_key("k");
  raw.mutable_compaction()->set_revision(2);
  EXPECT_TRUE(absl::IsDataLoss(DecodeEntry(raw.SerializeAsString()).status()));
}

TEST(RequestTest, OperationOfAModuleBesideOneOfOursIsNotPassedOver) {
  InternalRaftRequest raw;
  raw.mutable_put()->set_key("k");
  raw.mutable_lease_grant()->set_id(1);
  EXPECT_TRUE(absl::IsDataLoss(DecodeEntry(raw.SerializeAsString()).status()));
}

TEST(RequestTest, DamagedBytesAreDataLoss) {
  PutRequest put;
  put.set_key("k");
  const std::string entry = EncodeEntry(1, Field::kPut, put.SerializeAsString());
  for (size_t n = 0; n < entry.size(); n++) {
    const Result<Request> request = DecodeEntry(entry.substr(0, n));
    // The header stands last: cut off as a whole it is only an id less.
    EXPECT_TRUE(!request.ok() || request->id == 0) << n;
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeEntry("\xff\xff").status()));
}

}  // namespace
}  // namespace tenon::apply
