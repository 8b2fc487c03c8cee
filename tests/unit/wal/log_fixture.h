// A log on a disk in memory, in the words that the tests use.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/wal/wal.h"
#include "tests/support/memory_disk.h"

namespace tenon::wal {

inline raft::Entry MakeEntry(uint64_t term, uint64_t index, std::string_view payload) {
  return {.term = Term(term), .index = Index(index), .payload = std::make_shared<raft::Payload>(std::string(payload))};
}
inline raft::HardState MakeState(uint64_t term, uint64_t commit, uint64_t vote = 0x8e9e05c52164694d) {
  return {.term = Term(term), .vote = vote, .commit = Index(commit)};
}
inline raft::SnapshotMeta MakeSnapshot(uint64_t index, uint64_t term) {
  return {.index = Index(index), .term = Term(term), .conf = {.voters = {0x8e9e05c52164694d}}};
}
// "1.7:a": term, index and payload.
inline std::string Show(const raft::Entry& e) {
  return fmt::format("{}.{}:{}", e.term.value, e.index.value, e.bytes());
}
inline std::vector<std::string> Show(const std::vector<raft::Entry>& entries) {
  std::vector<std::string> shown;
  for (const raft::Entry& e : entries) shown.push_back(Show(e));
  return shown;
}

class LogFixture {
 public:
  static constexpr const char* kDir = "/member/wal";

  explicit LogFixture(uint64_t seed = 1, uint64_t segment_bytes = 4096) : disk(seed) {
    options.segment_bytes = segment_bytes;
    EXPECT_TRUE(disk.MakeDirectory("/member").ok());
    EXPECT_TRUE(disk.SyncDirectory("/").ok());
  }

  void Create() {
    auto created = Wal::Create(disk, kDir, "metadata", options);
    ASSERT_TRUE(created.ok()) << created.status();
    wal = *std::move(created);
  }
  Status TryReopen(raft::SnapshotMeta from = {}, uint64_t min_index = 0) {
    wal.reset();
    auto opened = Wal::Open(disk, kDir, std::move(from), Index(min_index), options);
    if (!opened.ok()) return opened.status();
    wal = std::move(opened->first);
    recovered = std::move(opened->second);
    return Ok();
  }
  // What the log holds after a restart.
  std::vector<std::string> Reopen(raft::SnapshotMeta from = {}, uint64_t min_index = 0) {
    const Status status = TryReopen(std::move(from), min_index);
    EXPECT_TRUE(status.ok()) << status;
    return status.ok() ? Show(recovered.entries) : std::vector<std::string>{};
  }

  void Append(uint64_t term, uint64_t index, std::string_view payload) {
    const raft::Entry entry = MakeEntry(term, index, payload);
    ASSERT_TRUE(wal->Append(nullptr, {&entry, 1}).ok());
  }
  void Append(const raft::HardState& state) { ASSERT_TRUE(wal->Append(&state, {}).ok()); }
  void SaveSnapshot(uint64_t index, uint64_t term) { ASSERT_TRUE(wal->SaveSnapshot(MakeSnapshot(index, term)).ok()); }
  void Sync() { ASSERT_TRUE(wal->Sync().ok()); }

  std::vector<std::string> Segments() { return disk.List(kDir).value(); }
  std::string Newest() {
    const std::vector<SegmentName> segments = ListSegments(disk, kDir).value();
    return std::string(kDir) + "/" + segments.back().Format();
  }
  static size_t UsedBytes(std::string_view bytes) {
    const size_t last = bytes.find_last_not_of('\0');
    return last == std::string_view::npos ? 0 : (last / 8 + 1) * 8;
  }

  MemoryDisk disk;
  Options options;
  std::unique_ptr<Wal> wal;
  Recovered recovered;
};

}  // namespace tenon::wal
