#include "kernel/base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace tenon {
namespace {

// Vectors of RFC 3720, section B.4.
TEST(Crc32c, AgreesWithRfc3720) {
  EXPECT_EQ(Crc32c(0, std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(0, std::string(32, '\xff')), 0x62a8ab43u);
  std::string ascending;
  for (char c = 0; c < 32; c++) ascending += c;
  EXPECT_EQ(Crc32c(0, ascending), 0x46dd794eu);
}

TEST(Crc32c, OfPartsIsOfTheWhole) {
  const std::string text = "the quick brown fox jumps over the lazy dog";
  for (size_t cut = 0; cut <= text.size(); cut++) {
    EXPECT_EQ(Crc32c(Crc32c(0, text.substr(0, cut)), text.substr(cut)), Crc32c(0, text)) << cut;
  }
}

}  // namespace
}  // namespace tenon
