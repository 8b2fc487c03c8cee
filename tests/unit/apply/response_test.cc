// What Encode writes, protobuf reads as the same answer.
#include "kernel/apply/response.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>

#include "fmt/format.h"
#include "kernel/mvcc/key_value.h"
#include "proto/rpc.pb.h"

namespace tenon::apply {
namespace {

constexpr ResponseHeader kHeader{0xfedcba9876543210, 0x8e9e05c52164694d, 42, 7};

Block Row(size_t value_bytes) {
  static int64_t revision = 1;
  const std::string key = fmt::format("k{}", revision), value(value_bytes, 'v');
  return mvcc::EncodeBlock({key, revision, ++revision, 1, value, -5});
}
mvccpb::KeyValue Message(const Block& row) {
  mvccpb::KeyValue kv;
  EXPECT_TRUE(kv.ParseFromArray(row.view().data(), static_cast<int>(row.size())));
  return kv;
}
template <class M>
M Parse(const Bufs& bufs) {
  std::string scratch;
  const std::string_view bytes = bufs.Flatten(scratch);
  M m;
  EXPECT_TRUE(m.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  EXPECT_EQ(m.SerializeAsString(), bytes);  // canonical, nothing left over
  EXPECT_EQ(bufs.size(), bytes.size());
  return m;
}
void ExpectHeader(const etcdserverpb::ResponseHeader& h, int64_t revision) {
  EXPECT_EQ(h.cluster_id(), kHeader.cluster_id);
  EXPECT_EQ(h.member_id(), kHeader.member_id);
  EXPECT_EQ(h.revision(), revision);
  EXPECT_EQ(h.raft_term(), kHeader.raft_term);
}

TEST(ResponseTest, RangeAnswersOfEverySize) {
  // Around the sizes at which a varint grows, a part is shared and a chunk is full.
  for (const size_t bytes : {0, 1, 90, 100, 127, 128, 500, 511, 512, 513, 4095, 4096, 16383, 16384, 1 << 20}) {
    for (const size_t rows : {0, 1, 2, 3, 50}) {
      if (bytes * rows > 8 << 20) continue;
      RangeAnswer answer;
      answer.revision = 9;
      for (size_t i = 0; i < rows; i++) answer.kvs.push_back(Row(bytes));
      answer.more = rows == 2;
      answer.count = rows == 3 ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(rows);
      const auto m = Parse<etcdserverpb::RangeResponse>(Encode(answer, kHeader));
      ExpectHeader(m.header(), 9);
      ASSERT_EQ(m.kvs_size(), static_cast<int>(rows));
      for (size_t i = 0; i < rows; i++) {
        EXPECT_EQ(m.kvs(static_cast<int>(i)).SerializeAsString(), Message(answer.kvs[i]).SerializeAsString());
      }
      EXPECT_EQ(m.more(), answer.more);
      EXPECT_EQ(m.count(), answer.count);
    }
  }
}

TEST(ResponseTest, LargeRowsAreSharedNotCopied) {
  RangeAnswer answer;
  answer.kvs = {Row(100'000)};
  const char* const bytes = answer.kvs[0].view().data();
  const tenon_bufs raw = Encode(answer, kHeader).Release();
  answer.kvs.clear();  // the reply keeps them alive
  bool shared = false;
  for (size_t i = 0; i < raw.n; i++) shared |= reinterpret_cast<const char*>(raw.part[i].p) == bytes;
  EXPECT_TRUE(shared);
  EXPECT_EQ(Parse<etcdserverpb::RangeResponse>(Bufs(raw)).kvs(0).value().size(), 100'000u);
}

TEST(ResponseTest, PutAndDelete) {
  const auto put = Parse<etcdserverpb::PutResponse>(Encode(PutAnswer{5, {}}, kHeader));
  ExpectHeader(put.header(), 5);
  EXPECT_FALSE(put.has_prev_kv());
  const Block row = Row(3);
  EXPECT_EQ(Parse<etcdserverpb::PutResponse>(Encode(PutAnswer{5, row}, kHeader)).prev_kv().SerializeAsString(),
            row.view());
  const auto del = Parse<etcdserverpb::DeleteRangeResponse>(Encode(DeleteAnswer{6, 2, {Row(1), Row(2000)}}, kHeader));
  ExpectHeader(del.header(), 6);
  EXPECT_EQ(del.deleted(), 2);
  EXPECT_EQ(del.prev_kvs(1).value().size(), 2000u);
}

TEST(ResponseTest, AnswerWithoutARevisionHasTheHeaders) {
  ExpectHeader(Parse<etcdserverpb::RangeResponse>(Encode(RangeAnswer{}, kHeader)).header(), 42);
  ExpectHeader(Parse<etcdserverpb::CompactionResponse>(EncodeHeaderOnly(kHeader)).header(), 42);
}

TEST(ResponseTest, HeaderOfZeroesIsStillThere) {
  EXPECT_TRUE(Parse<etcdserverpb::CompactionResponse>(EncodeHeaderOnly({})).has_header());
}

// Random answers of all kinds in each other, compared field by field.
OpAnswer RandomAnswer(std::mt19937& random, int depth);
TxnAnswer RandomTxn(std::mt19937& random, int depth) {
  TxnAnswer t;
  t.revision = depth == 0 ? 77 : 0;
  t.succeeded = random() % 2;
  for (uint32_t i = random() % 4; i > 0; i--) t.responses.push_back(RandomAnswer(random, depth + 1));
  return t;
}
OpAnswer RandomAnswer(std::mt19937& random, int depth) {
  const auto rows = [&] {
    std::vector<Block> out;
    for (uint32_t i = random() % 3; i > 0; i--) out.push_back(Row(random() % 3 == 0 ? 3000 : random() % 200));
    return out;
  };
  switch (random() % (depth < 6 ? 5 : 4)) {
    case 0: return OpAnswer();
    case 1:
      return RangeAnswer{static_cast<int64_t>(random()), rows(), random() % 2 == 0, static_cast<int64_t>(random())};
    case 2: return PutAnswer{3, random() % 2 ? Row(10) : Block()};
    case 3: return DeleteAnswer{4, static_cast<int64_t>(random() % 3), rows()};
    default: return RandomTxn(random, depth);
  }
}
void ExpectTxn(const TxnAnswer& t, const etcdserverpb::TxnResponse& m);
void ExpectOp(const OpAnswer& op, const etcdserverpb::ResponseOp& m) {
  ASSERT_EQ(static_cast<int>(m.response_case()), static_cast<int>(op.index()));
  if (const auto* a = std::get_if<RangeAnswer>(&op)) {
    EXPECT_EQ(m.response_range().header().revision(), a->revision);
    EXPECT_EQ(m.response_range().header().cluster_id(), 0u);
    EXPECT_EQ(m.response_range().kvs_size(), static_cast<int>(a->kvs.size()));
    EXPECT_EQ(m.response_range().more(), a->more);
    EXPECT_EQ(m.response_range().count(), a->count);
  } else if (const auto* p = std::get_if<PutAnswer>(&op)) {
    EXPECT_EQ(m.response_put().header().revision(), p->revision);
    EXPECT_EQ(m.response_put().has_prev_kv(), static_cast<bool>(p->prev_kv));
  } else if (const auto* d = std::get_if<DeleteAnswer>(&op)) {
    EXPECT_EQ(m.response_delete_range().deleted(), d->deleted);
    EXPECT_EQ(m.response_delete_range().prev_kvs_size(), static_cast<int>(d->prev_kvs.size()));
  } else if (const auto* t = std::get_if<TxnAnswer>(&op)) {
    ExpectTxn(*t, m.response_txn());
  }
}
void ExpectTxn(const TxnAnswer& t, const etcdserverpb::TxnResponse& m) {
  EXPECT_EQ(m.succeeded(), t.succeeded);
  EXPECT_TRUE(m.has_header());
  ASSERT_EQ(m.responses_size(), static_cast<int>(t.responses.size()));
  for (size_t i = 0; i < t.responses.size(); i++) ExpectOp(t.responses[i], m.responses(static_cast<int>(i)));
}

TEST(ResponseTest, TransactionsOfEverythingInsideEachOther) {
  std::mt19937 random(1);
  for (int i = 0; i < 300; i++) {
    const TxnAnswer answer = RandomTxn(random, 0);
    const auto m = Parse<etcdserverpb::TxnResponse>(Encode(answer, kHeader));
    ExpectHeader(m.header(), 77);
    ExpectTxn(answer, m);
  }
}

TEST(ResponseTest, DeepNestingIsWrittenToo) {
  TxnAnswer answer;
  for (int i = 0; i < 499; i++) {
    TxnAnswer outer;
    outer.responses.push_back(std::move(answer));
    answer = std::move(outer);
  }
  EXPECT_GT(Encode(answer, kHeader).size(), 499u * 6);
}

TEST(ResponseTest, StreamPartsMergeIntoTheWholeAnswer) {
  std::vector<Block> rows;
  for (int i = 0; i < 25; i++) rows.push_back(Row(static_cast<size_t>(i) * 50));
  std::string merged;
  for (size_t at = 0; at < rows.size(); at += 10) {
    const size_t n = std::min<size_t>(10, rows.size() - at);
    const bool last = at + n == rows.size();
    const auto part =
        Parse<etcdserverpb::RangeStreamResponse>(EncodeStreamPart(rows, at, n, last ? &kHeader : nullptr, true, 99));
    EXPECT_EQ(part.range_response().has_header(), last);
    merged += part.range_response().SerializeAsString();
  }
  etcdserverpb::RangeResponse whole;
  ASSERT_TRUE(whole.ParseFromString(merged));
  EXPECT_EQ(whole.kvs_size(), 25);
  EXPECT_TRUE(whole.more());
  EXPECT_EQ(whole.count(), 99);
  ExpectHeader(whole.header(), 42);
}

}  // namespace
}  // namespace tenon::apply
