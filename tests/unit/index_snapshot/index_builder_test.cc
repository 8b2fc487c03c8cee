#include "kernel/mvcc/index_builder.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace tenon::mvcc {
namespace {

std::vector<std::string> KeysOf(const KeyIndex& index) {
  std::vector<std::string> keys;
  index.ForEach([&](const KeyIndex::Entry& e) { keys.emplace_back(e.key()); });
  return keys;
}

TEST(IndexBuilderTest, KeysComeOutInBytewiseOrder) {
  // Shared beginnings, zero bytes that look like padding, bytes above 127, a key that begins another.
  const std::vector<std::string> sorted = {"/r/",
                                           std::string("/r/\0", 4),
                                           std::string("/r/\0\0\0\0\0\0\0\0", 11),
                                           std::string("/r/\0\0\0\0\0\0\0\0\1", 12),
                                           "/r/a",
                                           "/r/aaaaaaaaaaaaaaaa",
                                           "/r/aaaaaaaaaaaaaaaaa",
                                           "/r/aaaaaaaaaaaaaaaab",
                                           "/r/b",
                                           "/r/\x80",
                                           "/r/\xff",
                                           "/r/\xff\xff"};
  std::vector<std::string> shuffled = sorted;
  for (uint32_t seed = 1; seed <= 20; seed++) {
    std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(seed));
    KeyIndex index(0);
    IndexBuilder builder(index);
    int64_t revision = 1;
    for (const std::string& key : shuffled) {
      revision++;
      builder.Put(key, {revision, 0}, revision, 1, 0);
    }
    builder.Finish();
    ASSERT_EQ(KeysOf(index), sorted) << "seed " << seed;
  }
}

TEST(IndexBuilderTest, FormerRevisionsStayWithTheirKey) {
  KeyIndex index(0);
  IndexBuilder builder(index);
  builder.Put("a", {2, 0}, 2, 1, 0);
  builder.Put("b", {3, 0}, 3, 1, 5);
  builder.Tombstone("a", {4, 1});
  builder.Put("a", {5, 0}, 5, 1, 0);
  builder.Finish();
  KeyIndex::Hit hit;
  ASSERT_TRUE(index.Get("a", 3, hit));
  EXPECT_EQ(hit.revision, (Revision{2, 0}));
  EXPECT_FALSE(index.Get("a", 4, hit));
  ASSERT_TRUE(index.Get("a", 5, hit));
  EXPECT_EQ(hit.create, 5);
  ASSERT_TRUE(index.Get("b", 5, hit));
  EXPECT_EQ(hit.lease, 5);
}

TEST(IndexBuilderTest, WithoutFinishTheIndexStaysEmpty) {
  KeyIndex index(0);
  {
    IndexBuilder builder(index);
    builder.Put("a", {2, 0}, 2, 1, 0);
  }
  EXPECT_EQ(index.keys(), 0u);
}

}  // namespace
}  // namespace tenon::mvcc
