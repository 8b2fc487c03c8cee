#include "bench/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "health.pb.h"
#include "kernel/base/coding.h"
#include "rpc.pb.h"

namespace tenon::bench {
namespace {

using etcdserverpb::Compare;

// The request as the server decodes it.
template <class Message>
Message Decode(std::string_view framed) {
  EXPECT_GE(framed.size(), 5u);
  EXPECT_EQ(framed[0], 0);
  uint32_t size = 0;
  for (int i = 1; i < 5; i++) size = size << 8 | static_cast<uint8_t>(framed[i]);
  EXPECT_EQ(size, framed.size() - 5);
  Message message;
  EXPECT_TRUE(message.ParseFromArray(framed.data() + 5, static_cast<int>(framed.size() - 5)));
  return message;
}

Shape ShapeOf(Operation operation) {
  Shape shape;
  shape.operation = operation;
  shape.prefix = "/k/";
  shape.key_size = 12;
  shape.value_size = 100;
  shape.key_space = 50;
  return shape;
}

TEST(Workload, KeysArePrefixAndZeroPaddedNumber) { EXPECT_EQ(Key(ShapeOf(Operation::kPut), 42), "/k/000000042"); }

TEST(Workload, PutHasItsKeyAndAValueThatChanges) {
  RequestBuilder builder(ShapeOf(Operation::kPut), 1);
  const auto first = Decode<etcdserverpb::PutRequest>(builder.Build(7));
  const auto second = Decode<etcdserverpb::PutRequest>(builder.Build(49));
  EXPECT_EQ(first.key(), "/k/000000007");
  EXPECT_EQ(second.key(), "/k/000000049");
  EXPECT_EQ(first.value().size(), 100u);
  EXPECT_NE(first.value(), second.value());
  EXPECT_EQ(first.lease(), 0);
  EXPECT_NE(Decode<etcdserverpb::PutRequest>(RequestBuilder(ShapeOf(Operation::kPut), 2).Build(7)).value(),
            first.value());
}

TEST(Workload, AKeyWithoutPrefixInTheMiddleOfALargeValue) {
  Shape shape = ShapeOf(Operation::kPut);
  shape.prefix = "";
  shape.key_size = 2;
  shape.value_size = 300'000;  // its size takes three bytes
  const auto put = Decode<etcdserverpb::PutRequest>(RequestBuilder(shape, 1).Build(33));
  EXPECT_EQ(put.key(), "33");
  EXPECT_EQ(put.value().size(), 300'000u);
}

TEST(Workload, ShortAndEmptyValues) {
  for (const size_t size : {0u, 1u, 7u, 8u}) {
    Shape shape = ShapeOf(Operation::kPut);
    shape.value_size = size;
    const auto put = Decode<etcdserverpb::PutRequest>(RequestBuilder(shape, 1).Build(3));
    EXPECT_EQ(put.key(), "/k/000000003");
    EXPECT_EQ(put.value().size(), size);
  }
}

TEST(Workload, TxnPutComparesTheVersionOfTheKeyItWrites) {
  RequestBuilder builder(ShapeOf(Operation::kTxnPut), 1);
  builder.Build(1);
  const auto txn = Decode<etcdserverpb::TxnRequest>(builder.Build(31));
  ASSERT_EQ(txn.compare_size(), 1);
  EXPECT_EQ(txn.compare(0).key(), "/k/000000031");
  EXPECT_EQ(txn.compare(0).target(), Compare::VERSION);
  EXPECT_EQ(txn.compare(0).result(), Compare::GREATER);
  EXPECT_EQ(txn.compare(0).target_union_case(), Compare::kVersion);
  EXPECT_EQ(txn.compare(0).version(), -1);
  ASSERT_EQ(txn.success_size(), 1);
  EXPECT_EQ(txn.success(0).request_put().key(), "/k/000000031");
  EXPECT_EQ(txn.success(0).request_put().value().size(), 100u);
  EXPECT_EQ(txn.failure_size(), 0);
}

TEST(Workload, RangeAndDeleteOfOneKey) {
  Shape shape = ShapeOf(Operation::kRange);
  shape.serializable = true;
  const auto range = Decode<etcdserverpb::RangeRequest>(RequestBuilder(shape, 1).Build(9));
  EXPECT_EQ(range.key(), "/k/000000009");
  EXPECT_EQ(range.range_end(), "");
  EXPECT_TRUE(range.serializable());
  shape.serializable = false;
  EXPECT_FALSE(Decode<etcdserverpb::RangeRequest>(RequestBuilder(shape, 1).Build(9)).serializable());
  const auto del = Decode<etcdserverpb::DeleteRangeRequest>(RequestBuilder(ShapeOf(Operation::kDelete), 1).Build(9));
  EXPECT_EQ(del.key(), "/k/000000009");
  EXPECT_EQ(del.range_end(), "");
}

TEST(Workload, ListIsThePrefixUpToItsLimit) {
  Shape shape = ShapeOf(Operation::kList);
  shape.limit = 20;
  auto range = Decode<etcdserverpb::RangeRequest>(RequestBuilder(shape, 1).Build(5));
  EXPECT_EQ(range.key(), "/k/");
  EXPECT_EQ(range.range_end(), "/k0");
  EXPECT_EQ(range.limit(), 20);
  shape.prefix = "";
  range = Decode<etcdserverpb::RangeRequest>(RequestBuilder(shape, 1).Build(5));
  EXPECT_EQ(range.key(), std::string(1, '\0'));
  EXPECT_EQ(range.range_end(), std::string(1, '\0'));
}

TEST(Workload, EmptyIsAHealthCheckOfTheWholeServer) {
  const auto check =
      Decode<grpc::health::v1::HealthCheckRequest>(RequestBuilder(ShapeOf(Operation::kEmpty), 1).Build(0));
  EXPECT_EQ(check.service(), "");
}

TEST(Workload, KeysTooShortForTheirNumbersAreRefused) {
  Shape shape = ShapeOf(Operation::kPut);
  shape.key_size = 5;
  shape.key_space = 100;
  EXPECT_TRUE(Validate(shape).ok());
  shape.key_space = 101;
  EXPECT_FALSE(Validate(shape).ok());
  shape.key_space = 0;
  EXPECT_FALSE(Validate(shape).ok());
}

etcdserverpb::RangeResponse Found(int keys) {
  etcdserverpb::RangeResponse response;
  response.mutable_header()->set_revision(8);
  for (int i = 0; i < keys; i++) response.add_kvs()->set_value("v");
  response.set_count(keys);
  return response;
}

TEST(Workload, AnswersToARangeMustHoldTheKey) {
  Shape shape = ShapeOf(Operation::kRange);
  EXPECT_EQ(ReadAnswer(shape, Found(1).SerializeAsString())->keys, 1u);
  EXPECT_FALSE(ReadAnswer(shape, Found(0).SerializeAsString()).ok());
  EXPECT_FALSE(ReadAnswer(shape, "").ok());
  EXPECT_FALSE(ReadAnswer(shape, "\xff").ok());
  EXPECT_FALSE(ReadAnswer(shape, Found(1).SerializeAsString().substr(0, 3)).ok());
  shape.expect_found = false;
  EXPECT_TRUE(ReadAnswer(shape, Found(0).SerializeAsString()).ok());
}

TEST(Workload, AnswersToAListMustHoldAllItsKeys) {
  Shape shape = ShapeOf(Operation::kList);
  shape.limit = 20;
  EXPECT_EQ(ReadAnswer(shape, Found(20).SerializeAsString())->keys, 20u);
  EXPECT_FALSE(ReadAnswer(shape, Found(19).SerializeAsString()).ok());
  shape.limit = 0;  // all 50 of the key space
  EXPECT_TRUE(ReadAnswer(shape, Found(50).SerializeAsString()).ok());
}

TEST(Workload, AStreamIsSummedOverItsMessages) {
  Shape shape = ShapeOf(Operation::kStream);
  shape.key_space = 30;
  etcdserverpb::RangeStreamResponse part;
  *part.mutable_range_response() = Found(20);
  EXPECT_EQ(ReadAnswer(shape, part.SerializeAsString())->keys, 20u);
  EXPECT_FALSE(ReadAnswer(shape, "").ok());
  EXPECT_FALSE(ReadAnswer(shape, "\xff").ok());
  EXPECT_TRUE(CheckStream(shape, {.keys = 30}).ok());
  EXPECT_FALSE(CheckStream(shape, {.keys = 20}).ok());
}

TEST(Workload, AnswersToATransactionMustSaySucceeded) {
  const Shape shape = ShapeOf(Operation::kTxnPut);
  etcdserverpb::TxnResponse response;
  response.mutable_header()->set_revision(3);
  response.add_responses()->mutable_response_put();
  EXPECT_FALSE(ReadAnswer(shape, response.SerializeAsString()).ok());
  response.set_succeeded(true);
  EXPECT_TRUE(ReadAnswer(shape, response.SerializeAsString()).ok());
}

TEST(Workload, AnswersToADeleteSayHowManyKeysWent) {
  etcdserverpb::DeleteRangeResponse response;
  response.mutable_header()->set_revision(3);
  response.set_deleted(1);
  EXPECT_EQ(ReadAnswer(ShapeOf(Operation::kDelete), response.SerializeAsString())->keys, 1u);
}

TEST(Workload, OnlyServingIsAHealthyAnswer) {
  grpc::health::v1::HealthCheckResponse response;
  response.set_status(response.NOT_SERVING);
  EXPECT_FALSE(ReadAnswer(ShapeOf(Operation::kEmpty), response.SerializeAsString()).ok());
  response.set_status(response.SERVING);
  EXPECT_TRUE(ReadAnswer(ShapeOf(Operation::kEmpty), response.SerializeAsString()).ok());
}

}  // namespace
}  // namespace tenon::bench
