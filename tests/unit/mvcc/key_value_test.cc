// Rows in canonical protobuf: what we write protobuf reads, and the other way round.
#include "kernel/mvcc/key_value.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>

#include "proto/kv.pb.h"

namespace tenon::mvcc {
namespace {

mvccpb::KeyValue Message(const KeyValue& kv) {
  mvccpb::KeyValue m;
  m.set_key(std::string(kv.key));
  m.set_create_revision(kv.create_revision);
  m.set_mod_revision(kv.mod_revision);
  m.set_version(kv.version);
  m.set_value(std::string(kv.value));
  m.set_lease(kv.lease);
  return m;
}

void ExpectSame(const KeyValue& a, const KeyValue& b) {
  EXPECT_EQ(a.key, b.key);
  EXPECT_EQ(a.create_revision, b.create_revision);
  EXPECT_EQ(a.mod_revision, b.mod_revision);
  EXPECT_EQ(a.version, b.version);
  EXPECT_EQ(a.value, b.value);
  EXPECT_EQ(a.lease, b.lease);
}

TEST(KeyValueTest, BytesAreThoseOfProtobuf) {
  const int64_t numbers[] = {
      0, 1, 127, 128, 1 << 20, std::numeric_limits<int64_t>::max(), -1, std::numeric_limits<int64_t>::min()};
  const std::string texts[] = {
      "", "k", std::string("\0", 1), std::string(127, 'a'), std::string(128, 'b'), std::string(70000, '\xff')};
  std::mt19937 random(1);
  for (int i = 0; i < 2000; i++) {
    const auto number = [&] { return numbers[random() % std::size(numbers)]; };
    const auto text = [&]() -> std::string_view { return texts[random() % std::size(texts)]; };
    const KeyValue kv{text(), number(), number(), number(), text(), number()};
    const Block block = EncodeBlock(kv);
    ASSERT_EQ(block.view(), Message(kv).SerializeAsString());
    KeyValue again;
    ASSERT_TRUE(Decode(block.view(), again));
    ExpectSame(again, kv);
  }
}

TEST(KeyValueTest, UnknownFieldsArePassedOver) {
  std::string bytes = "\x0a\x01k";
  bytes +=
      "\x3d"
      "1234";  // field 7, four bytes
  bytes += std::string(
      "\x41"
      "12345678");                          // field 8, eight bytes
  bytes += "\x4a\x02xy";                    // field 9, bytes
  bytes += std::string("\x50\x80\x01", 3);  // field 10, a number
  bytes += "\x2a\x01v";
  KeyValue kv;
  ASSERT_TRUE(Decode(bytes, kv));
  EXPECT_EQ(kv.key, "k");
  EXPECT_EQ(kv.value, "v");
}

// Any bytes: no read behind the end, and what both accept they read alike.
TEST(KeyValueTest, DamagedRowsAreReadAsProtobufReadsThemOrRefused) {
  const KeyValue kv{"key", 2, 300, 4, "value", 5};
  const Block good = EncodeBlock(kv);
  std::mt19937 random(2);
  int both = 0;
  for (int i = 0; i < 20000; i++) {
    std::string bytes(good.view());
    bytes.resize(random() % (bytes.size() + 1));
    for (int flips = static_cast<int>(random() % 3); flips > 0 && !bytes.empty(); flips--) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const std::string exact(bytes.data(), bytes.size());  // its end is the allocation's for ASan
    KeyValue ours;
    mvccpb::KeyValue theirs;
    if (!Decode(exact, ours) || !theirs.ParseFromString(exact)) continue;
    both++;
    ExpectSame(ours, {theirs.key(), theirs.create_revision(), theirs.mod_revision(), theirs.version(), theirs.value(),
                      theirs.lease()});
  }
  EXPECT_GT(both, 1000);
}

}  // namespace
}  // namespace tenon::mvcc
