// The decision table of kernel/wal/recovery.h, row by row.
#include "kernel/wal/recovery.h"

#include "kernel/wal/wire.h"
#include "tests/unit/wal/log_fixture.h"

namespace tenon::wal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Segments written record by record.
class RecoveryTest : public testing::Test {
 protected:
  RecoveryTest() { BeginSegment(); }

  void BeginSegment() {
    if (!writer_.bytes().empty()) segments_.emplace_back(writer_.bytes());
    writer_.Clear();
    writer_.Crc();
    writer_.Data(RecordType::kMetadata, "m");
    if (segments_.empty()) Add(raft::SnapshotMeta{});
  }
  size_t Add(const raft::Entry& entry) {
    return At([&] { writer_.Entry(entry); });
  }
  size_t Add(const raft::HardState& state) {
    std::string data;
    raft::AppendHardState(data, state);
    return At([&] { writer_.Data(RecordType::kState, data); });
  }
  size_t Add(const raft::SnapshotMeta& snapshot) {
    std::string data;
    AppendSnapshotRecord(data, snapshot);
    return At([&] { writer_.Data(RecordType::kSnapshot, data); });
  }
  // Where the record begins in its segment.
  template <class F>
  size_t At(F add) {
    const size_t offset = writer_.bytes().size();
    add();
    return offset;
  }

  std::string& Segment(size_t i = 0) {
    if (!sealed_) {
      segments_.emplace_back(writer_.bytes());
      segments_.back().resize(4096, '\0');
      sealed_ = true;
    }
    return segments_[i];
  }
  Status Recover(uint64_t min_index = 0, raft::SnapshotMeta from = {}) {
    Segment();
    Recovery recovery(std::move(from), Index(min_index));
    for (size_t i = 0; i < segments_.size(); i++) {
      RETURN_IF_ERROR(recovery.Read(fmt::format("{}.wal", i), segments_[i], i + 1 == segments_.size()));
    }
    RETURN_IF_ERROR(recovery.Finish());
    out_ = std::move(recovery.recovered());
    return Ok();
  }
  void ExpectDataLoss(const Status& status, std::string_view words) {
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_THAT(std::string(Message(status)), HasSubstr(std::string(words)));
  }
  void ExpectTornAt(size_t offset) {
    EXPECT_TRUE(Recover().ok()) << Recover();
    ASSERT_TRUE(out_.dropped);
    EXPECT_EQ(out_.dropped->offset, offset);
  }

  RecordWriter writer_;
  std::vector<std::string> segments_;
  bool sealed_ = false;
  Recovered out_;
};

TEST_F(RecoveryTest, ZerosAreTheEnd) {
  Add(MakeEntry(1, 1, "a"));
  ASSERT_TRUE(Recover().ok());
  EXPECT_THAT(Show(out_.entries), ElementsAre("1.1:a"));
  EXPECT_FALSE(out_.dropped);
}

TEST_F(RecoveryTest, ARecordThatLacksASectorIsTorn) {
  Add(MakeEntry(1, 1, "a"));
  const size_t torn = Add(MakeEntry(1, 2, std::string(2000, 'x')));
  Segment().replace(1024, 512, 512, '\0');
  ExpectTornAt(torn);
  EXPECT_THAT(Show(out_.entries), ElementsAre("1.1:a"));
}

TEST_F(RecoveryTest, ARecordThatLacksItsLastSectorIsTorn) {
  const size_t torn = Add(MakeEntry(1, 1, std::string(2000, 'x')));
  Segment().resize(1536);
  Segment().resize(4096, '\0');
  ExpectTornAt(torn);
}

TEST_F(RecoveryTest, AMissingSectorInFrontOfOtherRecordsIsTorn) {
  Add(MakeEntry(1, 1, std::string(400, 'x')));
  const size_t torn = Add(MakeEntry(1, 2, "b"));
  Add(MakeEntry(1, 3, std::string(2000, 'x')));
  Segment().replace(torn, 512 - torn % 512, 512 - torn % 512, '\0');
  ExpectTornAt(torn);
}

TEST_F(RecoveryTest, AFileThatEndsInsideARecordIsTorn) {
  const size_t torn = Add(MakeEntry(1, 1, std::string(2000, 'x')));
  for (const size_t size : {torn + 3, torn + 8, torn + 9, torn + 13, torn + 20, torn + 1999}) {
    Segment().resize(4096, '\0');
    const std::string whole = Segment();
    Segment().resize(size);
    ExpectTornAt(torn);
    Segment() = whole;
  }
}

TEST_F(RecoveryTest, AWrongByteInTheLastRecordIsNoTornWrite) {
  const size_t bad = Add(MakeEntry(1, 1, "abc"));
  Segment()[bad + 28] ^= 1;
  ExpectDataLoss(Recover(), fmt::format("0.wal: checksum mismatch at offset {}", bad));
}

TEST_F(RecoveryTest, AWrongByteBeforeGoodRecordsIsNoTornWrite) {
  Add(MakeEntry(1, 1, "abc"));
  const size_t bad = Add(MakeEntry(1, 2, "abc"));
  Add(MakeEntry(1, 3, "abc"));
  Segment()[bad + 28] ^= 1;
  ExpectDataLoss(Recover(), "(last entry 1, committed 0, applied 0)");
}

TEST_F(RecoveryTest, ALengthThatWasDamagedIsNoTornWrite) {
  const size_t bad = Add(MakeEntry(1, 1, std::string(100, 'x')));
  Segment()[bad + 1] ^= 0x10;  // 4 KB more: behind the end of the file
  ExpectDataLoss(Recover(), "two lengths differ");
  Segment()[bad + 1] ^= 0x10 ^ 0x02;  // half a kilobyte more: over a sector of zeros
  ExpectDataLoss(Recover(), "two lengths differ");
}

TEST_F(RecoveryTest, TornBehindTheCommitIsDroppedAndBeforeItIsDataLoss) {
  Add(MakeEntry(1, 1, "a"));
  Add(MakeState(1, 1));
  const size_t torn = Add(MakeEntry(1, 2, std::string(2000, 'x')));
  Segment().replace(1024, 512, 512, '\0');
  ExpectTornAt(torn);
  ExpectDataLoss(Recover(/*min_index=*/2), "committed entries are missing: an unwritten sector inside a record");
}

TEST_F(RecoveryTest, ACommitBehindTheEndIsDataLoss) {
  Add(MakeEntry(1, 1, "a"));
  Add(MakeState(1, 2));
  ExpectDataLoss(Recover(), "committed entries are missing: the log ends");
}

TEST_F(RecoveryTest, OnlyTheNewestSegmentMayBeTorn) {
  Add(MakeEntry(1, 1, std::string(2000, 'x')));
  BeginSegment();
  Add(MakeEntry(1, 2, "b"));
  Segment(0).replace(1024, 512, 512, '\0');
  ExpectDataLoss(Recover(), "0.wal: an unwritten sector inside a record");
}

TEST_F(RecoveryTest, TheHeadOfASegmentIsNeverTorn) {
  BeginSegment();
  Segment(1).assign(4096, '\0');
  ExpectDataLoss(Recover(), "1.wal: the segment's head is damaged");
  Segment(1).clear();
  ExpectDataLoss(Recover(), "1.wal: the segment's head is damaged");
}

TEST_F(RecoveryTest, ALostEndOfAnOlderSegmentBreaksTheChain) {
  Add(MakeEntry(1, 1, "a"));
  const size_t lost = Add(MakeEntry(1, 2, "b"));
  BeginSegment();
  Segment(0).resize(lost);
  ExpectDataLoss(Recover(), "1.wal: the segment's head is damaged at offset 0");
}

TEST_F(RecoveryTest, AGapBetweenEntriesIsDataLoss) {
  Add(MakeEntry(1, 1, "a"));
  Add(MakeEntry(1, 3, "c"));
  ExpectDataLoss(Recover(), "a gap before an entry");
}

TEST_F(RecoveryTest, AnIndexAtTheEndOfTheNumbersIsDataLoss) {  // CVE-2020-15112
  Add(MakeEntry(1, UINT64_MAX, "a"));
  ExpectDataLoss(Recover(), "a gap before an entry");
}

TEST_F(RecoveryTest, ALengthAtTheEndOfTheNumbersIsDataLoss) {  // CVE-2020-15106
  for (const std::string_view length : {"\xff\xff\xff\xff\xff\xff\xff\xff", "\xf8\xff\xff\xff\xff\xff\xff\0",
                                        "\0\0\0\0\0\0\0\x80", "\xf8\xff\xff\xff\xff\xff\x7f\0"}) {
    std::string bytes(writer_.bytes());
    bytes.append(std::string(length.data(), 8)).resize(4096, '\0');
    Recovery recovery({}, Index(0));
    EXPECT_EQ(recovery.Read("0.wal", bytes, true).code(), StatusCode::kDataLoss);
  }
}

TEST_F(RecoveryTest, MetadataMustNotChange) {
  writer_.Data(RecordType::kMetadata, "other");
  ExpectDataLoss(Recover(), "conflicting metadata found");
}

TEST_F(RecoveryTest, ATermThatOutlivedItsStateIsTaken) {
  Add(MakeState(1, 0));
  Add(MakeEntry(2, 1, "a"));
  ASSERT_TRUE(Recover().ok());
  EXPECT_EQ(out_.hard_state, MakeState(2, 0, /*vote=*/0));
}

TEST_F(RecoveryTest, EntriesCutOffBeforeTheSnapshotDoNotComeBack) {
  for (uint64_t i = 1; i <= 5; i++) Add(MakeEntry(1, i, "old"));
  Add(MakeEntry(2, 2, "new"));
  Add(MakeEntry(2, 3, "new"));
  Add(MakeState(2, 3));
  Add(MakeSnapshot(3, 2));
  ASSERT_TRUE(Recover(0, MakeSnapshot(3, 2)).ok());
  EXPECT_TRUE(out_.entries.empty()) << "4 and 5 were cut off by the new 2";
}

// ---- a snapshot of the leader ----

TEST_F(RecoveryTest, TheLogGoesOnBehindASnapshotOfTheLeader) {
  Add(MakeEntry(1, 1, "a"));
  Add(MakeState(1, 1));
  Add(MakeSnapshot(100, 3));
  Add(MakeState(3, 100));
  Add(MakeEntry(3, 101, "b"));
  Add(MakeState(3, 101));
  ASSERT_TRUE(Recover(100, MakeSnapshot(100, 3)).ok());
  EXPECT_THAT(Show(out_.entries), ElementsAre("3.101:b"));
}

TEST_F(RecoveryTest, BehindASnapshotOfTheLeaderNothingMayFollow) {
  Add(MakeEntry(1, 1, "a"));
  Add(MakeSnapshot(100, 3));
  Add(MakeState(3, 100));
  ASSERT_TRUE(Recover(100, MakeSnapshot(100, 3)).ok());
  EXPECT_TRUE(out_.entries.empty());
  EXPECT_EQ(out_.hard_state.commit, Index(100));
}

TEST_F(RecoveryTest, ASnapshotOfTheLeaderReplacesATailThatDiffers) {
  Add(MakeEntry(1, 1, "a"));
  Add(MakeEntry(2, 2, "wrong"));
  Add(MakeEntry(2, 3, "wrong"));
  Add(MakeState(2, 1));
  Add(MakeSnapshot(2, 1));
  Add(MakeState(3, 2));
  ASSERT_TRUE(Recover(2, MakeSnapshot(2, 1)).ok());
  EXPECT_TRUE(out_.entries.empty()) << "entry 3 of the term that was overruled";
}

// The simulator, three members, seed 24: a state was fetched, and the first persist recorded the same index once more.
TEST_F(RecoveryTest, ASnapshotOfTheLeaderThatIsRecordedAgainLeavesWhatCameBehindIt) {
  Add(MakeEntry(1, 1, "a"));
  Add(MakeState(1, 1));
  Add(MakeSnapshot(100, 3));
  Add(MakeState(3, 100));
  Add(MakeEntry(3, 101, "b"));
  Add(MakeState(3, 101));
  Add(MakeSnapshot(100, 3));
  Add(MakeEntry(3, 102, "c"));
  Add(MakeState(3, 102));
  ASSERT_TRUE(Recover(101, MakeSnapshot(100, 3)).ok()) << Recover(101, MakeSnapshot(100, 3));
  EXPECT_THAT(Show(out_.entries), ElementsAre("3.101:b", "3.102:c"));
}

TEST_F(RecoveryTest, FromBeforeASnapshotOfTheLeaderTheLogCannotBeRead) {
  Add(MakeEntry(1, 1, "a"));
  Add(MakeState(1, 1));
  Add(MakeSnapshot(100, 3));
  Add(MakeState(3, 100));
  Add(MakeEntry(3, 101, "b"));
  Add(MakeState(3, 101));
  const Status status = Recover(1);
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(std::string(Message(status)),
              HasSubstr("behind a snapshot at index 100, term 3, that another member sent"));
}

TEST_F(RecoveryTest, NorFromBeforeOneThatReplacedItsTail) {
  Add(MakeEntry(1, 1, "a"));
  Add(MakeEntry(2, 2, "wrong"));
  Add(MakeState(2, 1));
  Add(MakeSnapshot(2, 3));
  Add(MakeState(3, 2));
  EXPECT_EQ(Recover(1).code(), StatusCode::kNotFound);
}

TEST_F(RecoveryTest, ASnapshotOfTheLeaderThatACrashLeftWithoutItsCommitCountsForNothing) {
  Add(MakeEntry(1, 1, "a"));
  Add(MakeState(1, 1));
  Add(MakeSnapshot(3, 2));  // the state behind it was torn away
  Add(MakeEntry(2, 2, "b"));
  Add(MakeEntry(2, 3, "c"));
  Add(MakeState(2, 3));
  ASSERT_TRUE(Recover(1).ok()) << Recover(1);
  EXPECT_THAT(Show(out_.entries), ElementsAre("1.1:a", "2.2:b", "2.3:c"));
}

TEST_F(RecoveryTest, ASnapshotOfOurOwnLogReplacesNothing) {
  Add(MakeEntry(1, 1, "a"));
  Add(MakeEntry(1, 2, "b"));
  Add(MakeState(1, 2));
  Add(MakeSnapshot(1, 1));
  Add(MakeState(1, 2));
  ASSERT_TRUE(Recover(1).ok());
  EXPECT_THAT(Show(out_.entries), ElementsAre("1.1:a", "1.2:b"));
}

}  // namespace
}  // namespace tenon::wal
