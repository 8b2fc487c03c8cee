#include "kernel/snapshot/stream.h"

#include <gtest/gtest.h>

#include "tests/unit/snapshot/bytes.h"
#include "tests/unit/snapshot/engines.h"

namespace tenon::snapshot {
namespace {

std::string Streamed(TestEngine& engine, Index expected) {
  std::string bytes;
  const Result<Index> index = WriteStream(*engine, storage::AllTables(), Into(bytes));
  EXPECT_EQ(*index, expected);
  return bytes;
}

void FillSome(TestEngine& engine) {
  engine.Put("key", "one", std::string(1000, '1'), 5);
  engine.Put("key", std::string(511, 'k'), "", 6);
  engine.Put("alarm", std::string("\0\xff", 2), "x", 7);
}

TEST(StreamTest, GoesThroughEveryPairOfEngines) {
  for (const std::string& from : tenon::testing::EngineNames()) {
    for (const std::string& to : tenon::testing::EngineNames()) {
      TestEngine first(from), second(to), third(from);
      FillSome(first);
      for (int i = 0; i < 3000; i++) first.Put("key", fmt::format("{:05}", i), std::string(i % 700, 'v'), 10 + i);
      const std::string bytes = Streamed(first, Index(3009));
      ASSERT_EQ(*ReadStream(From(bytes), *second), Index(3009)) << from << " to " << to;
      EXPECT_EQ(second.Rows(), first.Rows());
      ASSERT_EQ(*ReadStream(From(Streamed(second, Index(3009))), *third), Index(3009));
      EXPECT_EQ(third.Rows(), first.Rows());
      EXPECT_EQ(Streamed(third, Index(3009)), bytes);
    }
  }
}

TEST(StreamTest, ARowOfTheGreatestSizeFits) {
  TestEngine first("memory"), second("memory");
  first.Put("key", "big", std::string(64 << 20, 'v'), 1);
  ASSERT_TRUE(ReadStream(From(Streamed(first, Index(1))), *second).ok());
  EXPECT_TRUE(second.Rows() == first.Rows());
}

TEST(StreamTest, AnEmptyStoreIsAStream) {
  TestEngine engine("memory");
  EXPECT_EQ(*CheckStream(From(Streamed(engine, Index(0)))), Index(0));
}

TEST(StreamTest, CutAnywhereItIsRefused) {
  TestEngine engine("memory");
  FillSome(engine);
  const std::string whole = Streamed(engine, Index(7));
  for (size_t n = 0; n < whole.size(); n++) {
    EXPECT_TRUE(absl::IsDataLoss(CheckStream(From(std::string_view(whole).substr(0, n))).status())) << n << " bytes";
  }
  EXPECT_EQ(*CheckStream(From(whole)), Index(7));
}

TEST(StreamTest, DamagedAnywhereItIsRefused) {
  TestEngine engine("memory");
  FillSome(engine);
  const std::string whole = Streamed(engine, Index(7));
  for (size_t i = 0; i < whole.size(); i++) {
    std::string bytes = whole;
    bytes[i] ^= 0x10;
    EXPECT_TRUE(absl::IsDataLoss(CheckStream(From(bytes)).status())) << "byte " << i;
  }
  EXPECT_TRUE(absl::IsDataLoss(CheckStream(From(whole + "x")).status())) << "something behind it";
}

// Sound checksums over contents that no writer makes.
std::string Stream(const std::vector<std::string>& frames) {
  std::string bytes;
  FrameWriter writer(Into(bytes));
  for (const std::string& f : frames) EXPECT_TRUE(writer.Write(f).ok());
  return bytes;
}

const std::string kHead = std::string("Htenon-snap/1") + std::string(8, '\0');
const std::string kEnd = std::string("E") + std::string(8, '\0');

TEST(StreamTest, ContentsThatNoWriterMakesAreRefused) {
  const std::string key("T\1key"), row("R\1a\0", 4);
  const auto trailer = [](std::string counts) { return kEnd + counts; };
  EXPECT_TRUE(CheckStream(From(Stream({kHead, key, row, trailer("\1\1")}))).ok());
  const std::map<std::string, std::vector<std::string>> bad = {
      {"no header", {key, row, trailer("\1\1")}},
      {"rows without a table", {kHead, row, trailer(std::string(1, '\0'))}},
      {"a table twice", {kHead, key, key, trailer("\2\0\0")}},
      {"a row twice", {kHead, key, row, row, trailer("\1\2")}},
      {"an empty key", {kHead, key, std::string("R\0\0", 3), trailer("\1\1")}},
      {"a row count that is wrong", {kHead, key, row, trailer("\1\2")}},
      {"a table count that is wrong", {kHead, key, row, trailer("\2\1\1")}},
      {"another index at the end", {kHead, key, row, "E\1\1\1\1\1\1\1\1\1\1"}},
      {"an index that meta does not have",
       {"Htenon-snap/1\1\1\1\1\1\1\1\1", "E\1\1\1\1\1\1\1\1" + std::string(1, '\0')}},
      {"an unknown frame", {kHead, "Z", trailer(std::string(1, '\0'))}},
      {"a value that does not end", {kHead, key, "R\1a\5b", trailer("\1\1")}},
  };
  for (const auto& [what, frames] : bad) {
    EXPECT_TRUE(absl::IsDataLoss(CheckStream(From(Stream(frames))).status())) << what;
  }
}

TEST(StreamTest, AHalfReadStreamDoesNotClaimItsIndex) {
  TestEngine first("memory"), second("memory");
  FillSome(first);
  const std::string whole = Streamed(first, Index(7));
  ASSERT_FALSE(ReadStream(From(std::string_view(whole).substr(0, whole.size() - 1)), *second).ok());
  const AllRows rows = second.Rows();
  EXPECT_EQ(rows.at("key").size(), 2u);
  EXPECT_EQ(rows.at("meta").count(std::string(storage::meta::kConsistentIndex)), 0u);
}

TEST(StreamTest, ItShowsOneInstant) {
  TestEngine engine("memory"), copy("memory");
  FillSome(engine);
  std::string bytes;
  uint64_t index = 7;
  const auto sink = [&](std::string_view more) {
    index++;
    engine.Put("key", fmt::format("later{}", index), "x", index);  // while it is written
    bytes += more;
    return Ok();
  };
  ASSERT_EQ(*WriteStream(*engine, storage::AllTables(), sink), Index(7));
  ASSERT_TRUE(ReadStream(From(bytes), *copy).ok());
  EXPECT_EQ(copy.Rows().at("key").size(), 2u);
}

}  // namespace
}  // namespace tenon::snapshot
