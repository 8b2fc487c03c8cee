// Every cut and every flipped bit of a small log.
#include "tests/unit/wal/log_fixture.h"

namespace tenon::wal {
namespace {

// Some batches in two segments, and how long the newest segment was after each sync.
class DamageTest : public testing::Test, protected LogFixture {
 protected:
  struct Synced {
    size_t bytes;
    std::vector<std::string> entries;
    raft::HardState state;
  };

  DamageTest() : LogFixture(/*seed=*/1, /*segment_bytes=*/2048) {
    Create();
    Append(MakeState(1, 0));
    for (uint64_t i = 1; i <= 4; i++) Append(1, i, std::string(400, 'x'));
    Append(MakeState(1, 2));
    Sync();
    Note();
    Append(MakeState(2, 2));
    Append(2, 4, "a");
    Append(2, 5, std::string(700, 'b'));
    Append(MakeState(2, 3));
    Sync();
    Note();
    Append(2, 6, "c");
    Sync();
    Note();
    wal.reset();
  }
  void Note() {
    synced_.push_back({.bytes = UsedBytes(disk.Contents(Newest()))});
    const Status status = TryReopen();
    EXPECT_TRUE(status.ok()) << status;
    synced_.back().entries = Show(recovered.entries);
    synced_.back().state = recovered.hard_state;
  }

  std::vector<Synced> synced_;
};

TEST_F(DamageTest, ACutAtAnyByteLosesNothingThatWasSyncedBefore) {
  const std::string path = Newest(), whole = disk.Contents(path);
  ASSERT_EQ(Segments().size(), 2u);
  size_t opened = 0;
  for (size_t cut = synced_[0].bytes; cut <= whole.size(); cut++) {
    for (const bool zeros : {false, true}) {
      std::string bytes = whole.substr(0, cut);
      if (zeros) bytes.resize(whole.size(), '\0');
      disk.SetContents(path, bytes);
      const Status status = TryReopen();
      if (!status.ok()) {
        // A byte is less than a disk writes: only a sector's or a file's end can be the work of a crash.
        ASSERT_EQ(status.code(), StatusCode::kDataLoss) << cut;
        ASSERT_TRUE(zeros && cut % kSectorBytes != 0) << status << " at " << cut;
        continue;
      }
      opened++;
      // The log shows some moment between the last sync that the cut left whole and the next one.
      const auto before =
          std::find_if(synced_.rbegin(), synced_.rend(), [&](const Synced& s) { return s.bytes <= cut; });
      const std::vector<std::string> entries = Show(recovered.entries);
      ASSERT_GE(recovered.hard_state.commit, before->state.commit) << cut;
      ASSERT_GE(Index(entries.size()), recovered.hard_state.commit) << cut;
      const size_t kept = before->state.commit.value;
      ASSERT_TRUE(std::equal(entries.begin(), entries.begin() + kept, before->entries.begin())) << cut;
      if (cut == before->bytes) {
        ASSERT_EQ(entries, before->entries) << cut;
      }
      const bool overwrites = before == synced_.rend() - 1;  // the second batch cuts off entry 4
      if (!overwrites) {
        ASSERT_TRUE(std::equal(before->entries.begin(), before->entries.end(), entries.begin())) << cut;
      }
    }
  }
  EXPECT_GT(opened, whole.size() - synced_[0].bytes);
}

// What is read after a flipped bit is what was written, or an error.
TEST_F(DamageTest, AFlippedBitIsFoundOrHarmless) {
  const std::vector<std::string> paths = Segments();
  const Synced& expected = synced_.back();
  size_t found = 0, harmless = 0;
  for (const std::string& name : paths) {
    const std::string path = std::string(kDir) + "/" + name;
    const std::string whole = disk.Contents(path);
    for (size_t bit = 0; bit < whole.size() * 8; bit++) {
      std::string bytes = whole;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
      disk.SetContents(path, std::move(bytes));
      const Status status = TryReopen();
      if (status.ok()) {
        harmless++;
        ASSERT_EQ(Show(recovered.entries), expected.entries) << path << " bit " << bit;
        ASSERT_EQ(recovered.hard_state, expected.state) << path << " bit " << bit;
        ASSERT_EQ(recovered.metadata, "metadata") << path << " bit " << bit;
      } else {
        found++;
        ASSERT_EQ(status.code(), StatusCode::kDataLoss) << status << " " << path << " bit " << bit;
        ASSERT_THAT(std::string(Message(status)), testing::HasSubstr(name)) << bit;
      }
      disk.SetContents(path, whole);
    }
  }
  EXPECT_GT(found, 10'000u);
  EXPECT_GT(harmless, 10u);  // padding, and a lone bit in sectors behind the end
}

TEST_F(DamageTest, AnUnreadableSegmentIsAnError) {
  disk.FailReads(Newest());
  EXPECT_EQ(TryReopen().code(), StatusCode::kInternal);
}

TEST_F(DamageTest, AMissingSegmentIsDataLoss) {
  const std::string newest = Newest();
  ASSERT_TRUE(disk.Rename(newest, std::string(kDir) + "/0000000000000002-0000000000000004.wal").ok());
  const Status status = TryReopen();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(Message(status)), testing::HasSubstr("the segment before it is missing"));
}

}  // namespace
}  // namespace tenon::wal
