#include "kernel/snapshot/stream_files.h"

#include <gtest/gtest.h>

#include "tests/support/memory_disk.h"
#include "tests/unit/snapshot/engines.h"

namespace tenon::snapshot {
namespace {

constexpr char kFolder[] = "/data/member/snap";

class StreamFilesTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(disk_.MakeDirectory("/data/member").ok()); }

  void Put(uint64_t index) { engine_.Put("key", fmt::format("k{}", index), std::string(1000, 'v'), index); }
  Result<Index> Save() { return StreamFiles(disk_, kFolder).Save(*engine_, Index(UINT64_MAX)); }
  // The index of what a start finds.
  uint64_t Load() {
    engine_.Reopen();
    const Result<Index> index = StreamFiles(disk_, kFolder).Load(*engine_);
    EXPECT_TRUE(index.ok()) << index.status();
    return index.ok() ? index->value : UINT64_MAX;
  }
  std::vector<std::string> Names() { return *disk_.List(kFolder); }
  static std::string PathOf(uint64_t index) { return fmt::format("{}/{:016x}.stream", kFolder, index); }

  MemoryDisk disk_;
  TestEngine engine_{"memory"};
};

TEST_F(StreamFilesTest, NothingThereIsIndexZero) { EXPECT_EQ(Load(), 0u); }

TEST_F(StreamFilesTest, TheNewestTwoAreKeptAndTheOlderOneHoldsTheLog) {
  Put(3);
  EXPECT_EQ(*Save(), Index(0)) << "the log must stay whole while there is only one";
  Put(4);
  EXPECT_EQ(*Save(), Index(3));
  Put(5);
  EXPECT_EQ(*Save(), Index(4));
  EXPECT_EQ(Names(), (std::vector<std::string>{"0000000000000004.stream", "0000000000000005.stream"}));
  EXPECT_EQ(Load(), 5u);
  EXPECT_EQ(engine_.Rows().at("key").size(), 3u);
}

TEST_F(StreamFilesTest, NothingNewWritesNothing) {
  Put(3);
  ASSERT_TRUE(Save().ok());
  const uint64_t before = disk_.operations();
  EXPECT_EQ(*StreamFiles(disk_, kFolder).Save(*engine_, Index(3)), Index(0));
  EXPECT_EQ(disk_.operations(), before);
}

TEST_F(StreamFilesTest, ADamagedNewestFallsBackAndIsPutAside) {
  Put(3);
  ASSERT_TRUE(Save().ok());
  Put(4);
  ASSERT_TRUE(Save().ok());
  std::string bytes = disk_.Contents(PathOf(4));
  bytes[bytes.size() / 2] ^= 1;
  disk_.SetContents(PathOf(4), bytes);
  EXPECT_EQ(Load(), 3u);
  EXPECT_EQ(engine_.Rows().at("key").size(), 1u) << "nothing of the damaged one is there";
  EXPECT_EQ(Names(), (std::vector<std::string>{"0000000000000003.stream", "0000000000000004.stream.damaged"}));
}

TEST_F(StreamFilesTest, AFileUnderAnotherIndexIsDamaged) {
  Put(3);
  ASSERT_TRUE(Save().ok());
  Put(4);
  ASSERT_TRUE(Save().ok());
  ASSERT_TRUE(disk_.Rename(PathOf(4), PathOf(9)).ok());
  EXPECT_EQ(Load(), 3u);
}

// Saves at 3 and 4, and again at 5 with the power cut before each of its operations in turn.
TEST_F(StreamFilesTest, CutAtEveryStepAUsableOneRemains) {
  uint64_t newest = 0, older = 0;
  for (uint64_t step = 0;; step++) {
    SCOPED_TRACE(fmt::format("power cut at operation {}", step));
    disk_.LosePower(MemoryDisk::Loss::kNothing);
    ASSERT_TRUE(disk_.RemoveTree(kFolder).ok());
    engine_.Reopen();
    Put(3);
    ASSERT_TRUE(Save().ok());
    Put(4);
    ASSERT_TRUE(Save().ok());
    Put(5);
    disk_.CutPowerAt(step);
    const Result<Index> kept = Save();
    const bool finished = kept.ok();
    disk_.LosePower();
    const uint64_t found = Load();
    (found == 5 ? newest : older)++;
    ASSERT_TRUE(found == 4 || found == 5) << found;
    if (finished) {
      EXPECT_EQ(found, 5u);
      EXPECT_EQ(*kept, Index(4));
      break;
    }
    Put(6);  // and what is left of the attempt does not hinder the next one
    EXPECT_GE(Save()->value, 4u);
    EXPECT_EQ(Load(), 6u);
  }
  EXPECT_GT(older, 3u);
  EXPECT_GT(newest, 0u);
}

TEST_F(StreamFilesTest, AFullDiskLeavesTheOlderOne) {
  Put(3);
  ASSERT_TRUE(Save().ok());
  Put(4);
  disk_.SetCapacity(disk_.Contents(PathOf(3)).size() + 500);
  EXPECT_TRUE(absl::IsResourceExhausted(Save().status()));
  EXPECT_EQ(Names(), (std::vector<std::string>{"0000000000000003.stream"}));
  EXPECT_EQ(Load(), 3u);
}

}  // namespace
}  // namespace tenon::snapshot
