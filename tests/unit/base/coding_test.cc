#include "kernel/base/coding.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

TEST(Coding, VarintsComeBack) {
  for (int bit = 0; bit < 64; bit++) {
    for (const uint64_t v : {(1ull << bit) - 1, 1ull << bit, ~0ull >> (63 - bit)}) {
      std::string bytes;
      AppendVarint(bytes, v);
      EXPECT_EQ(bytes.size(), VarintSize(v)) << v;
      std::string_view left = bytes;
      uint64_t back = 0;
      ASSERT_TRUE(TakeVarint(left, back));
      EXPECT_EQ(back, v);
      EXPECT_TRUE(left.empty());
    }
  }
}

TEST(Coding, AVarintThatDoesNotEndIsRefused) {
  uint64_t v;
  for (size_t n = 0; n < 12; n++) {
    const std::string bytes(n, '\x80');
    std::string_view left = bytes;
    EXPECT_FALSE(TakeVarint(left, v)) << n;
  }
}

TEST(Coding, BigEndianKeepsOrder) {
  char a[8], b[8];
  PutBigEndian64(a, 255);
  PutBigEndian64(b, 256);
  EXPECT_LT(std::string_view(a, 8), std::string_view(b, 8));
  EXPECT_EQ(GetBigEndian64(b), 256u);
}

}  // namespace
}  // namespace tenon
