#include "kernel/base/units.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

TEST(Units, DurationsAsGoWritesThem) {
  EXPECT_EQ(*ParseDurationNs("1m30s"), 90'000'000'000);
  EXPECT_EQ(*ParseDurationNs("100ms"), 100'000'000);
  EXPECT_EQ(*ParseDurationNs("0"), 0);
  EXPECT_EQ(*ParseDurationNs("1.5h"), 5'400'000'000'000);
  for (const char* bad : {"", "5", "5 s", "s", "1d", "inf"}) EXPECT_FALSE(ParseDurationNs(bad).ok()) << bad;
  EXPECT_EQ(FormatDurationNs(1'500'000'000), "1.5s");
}

TEST(Units, SizesWithAndWithoutUnits) {
  EXPECT_EQ(*ParseBytes("1024"), 1024u);
  EXPECT_EQ(*ParseBytes("256MiB"), 256u << 20);
  EXPECT_EQ(*ParseBytes("64k"), 65536u);
  EXPECT_EQ(*ParseBytes("2GB"), 2'000'000'000u);
  EXPECT_EQ(*ParseBytes("1.5KiB"), 1536u);
  for (const char* bad : {"", "-1", "12x", "MiB", "1e30G"}) EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
}

}  // namespace
}  // namespace tenon
