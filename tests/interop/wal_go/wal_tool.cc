// Writes logs for etcd's reader, and prints a log in the words of main.go.
//
//   wal_tool write CASE DIR     prints "INDEX TERM": the snapshot to read from
//   wal_tool read DIR INDEX TERM
#include <cstdio>
#include <cstdlib>
#include <string>

#include "kernel/base/crc32c.h"
#include "kernel/os/disk.h"
#include "kernel/wal/wal.h"

namespace tenon::wal {
namespace {

constexpr MemberId kVoters[] = {1, 2, 0x8e9e05c52164694d};
const Options kSmall{.segment_bytes = 16 * 1024};

template <class T>
T Must(Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::printf("%s\n", std::string(Message(result.status())).c_str());
  std::exit(1);
}
void Must(const Status& status) { Must(status.ok() ? Result<int>(0) : Result<int>(status)); }

void Append(Wal& wal, uint64_t term, uint64_t index, size_t size, uint64_t commit) {
  raft::Entry entry{.term = Term(term), .index = Index(index)};
  if (size > 0) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; i++) bytes[i] = static_cast<char>(index * 7 + i);
    entry.payload = std::make_shared<raft::Payload>(std::move(bytes));
  }
  if (size % 11 == 5) entry.type = raft::EntryType::kConfChange;
  if (size % 11 == 6) entry.type = raft::EntryType::kConfChangeV2;
  const raft::HardState state{.term = Term(term), .vote = kVoters[2], .commit = Index(commit)};
  Must(wal.Append(&state, {&entry, 1}));
  if (index % 3 == 0) Must(wal.Sync());
}

raft::SnapshotMeta Snapshot(uint64_t index, uint64_t term) {
  return {.index = Index(index), .term = Term(term), .conf = {.voters = {std::begin(kVoters), std::end(kVoters)}}};
}

// Half a record behind the log: a sector of its middle never reached the disk.
void Tear(Disk& disk, const std::string& dir) {
  const std::string path = dir + "/" + Must(ListSegments(disk, dir)).back().Format();
  const std::string bytes = Must(ReadWhole(disk, path));
  const uint64_t end = (bytes.find_last_not_of('\0') / 8 + 1) * 8;
  RecordWriter writer(12345);
  writer.Data(RecordType::kEntry, std::string(3000, 'x'));
  const auto file = Must(disk.OpenFile(path, Disk::Open::kReadWrite));
  Must(file->WriteAt(end, writer.bytes()));
  Must(WriteZeros(*file, (end / kSectorBytes + 2) * kSectorBytes, (end / kSectorBytes + 3) * kSectorBytes));
}

raft::SnapshotMeta Write(const std::string& what, const std::string& dir) {
  OsDisk disk;
  auto wal = Must(Wal::Create(disk, dir, "\x08\x01\x10\x02", kSmall));
  for (uint64_t i = 1; i <= 150; i++) Append(*wal, 1, i, i * 37 % 900, i - 1);
  if (what == "terms") {
    Append(*wal, 2, 150, 100, 149);
    Append(*wal, 3, 150, 0, 149);
    for (uint64_t i = 151; i <= 200; i++) Append(*wal, 3, i, i * 37 % 900, i - 1);
    Append(*wal, 4, 200, 40'000, 199);  // larger than a segment
    Append(*wal, 4, 201, 1, 200);
  } else if (what == "released") {
    Must(wal->SaveSnapshot(Snapshot(120, 1)));
    Must(wal->ReleaseTo(Index(120)));
    for (uint64_t i = 151; i <= 200; i++) Append(*wal, 1, i, i * 37 % 900, i - 1);
    Must(wal->Sync());
    return Snapshot(120, 1);
  } else if (what == "replaced") {  // by a snapshot of the leader, far behind the log's end
    const raft::HardState state{.term = Term(2), .vote = 0, .commit = Index(1000)};
    Must(wal->SaveSnapshot(Snapshot(1000, 2)));
    Must(wal->Append(&state, {}));
    Must(wal->Sync());
    for (uint64_t i = 1001; i <= 1050; i++) Append(*wal, 2, i, i * 37 % 900, i - 1);
    Must(wal->Sync());
    return Snapshot(1000, 2);
  } else if (what == "torn") {
    for (int round = 0; round < 3; round++) {
      Must(wal->Sync());
      const uint64_t last = wal->last_index().value;
      wal.reset();
      Tear(disk, dir);
      wal = Must(Wal::Open(disk, dir, {}, Index(0), kSmall)).first;
      if (wal->last_index() != Index(last)) std::exit(1);
      for (uint64_t i = last + 1; i <= last + 2; i++) Append(*wal, 1, i, 50, i - 1);
    }
  }
  Must(wal->Sync());
  return {};
}

void Read(const std::string& dir, raft::SnapshotMeta from) {
  OsDisk disk;
  const std::vector<raft::SnapshotMeta> snapshots = Must(Wal::Snapshots(disk, dir));
  const Recovered log = Must(Wal::Open(disk, dir, std::move(from), Index(0), kSmall)).second;
  std::string metadata;
  for (const char c : log.metadata) metadata += fmt::format("{:02x}", static_cast<uint8_t>(c));
  std::printf("metadata %s\n", metadata.c_str());
  std::printf("%s\n", fmt::format("state term={} vote={:x} commit={}", log.hard_state.term.value, log.hard_state.vote,
                                  log.hard_state.commit.value)
                          .c_str());
  for (const raft::SnapshotMeta& s : snapshots) {
    std::string voters;
    for (const MemberId id : s.conf.voters) voters += (voters.empty() ? "" : " ") + std::to_string(id);
    std::printf("%s\n",
                fmt::format("snapshot index={} term={} voters=[{}]", s.index.value, s.term.value, voters).c_str());
  }
  for (const raft::Entry& e : log.entries) {
    std::printf("%s\n", fmt::format("entry index={} term={} type={} size={} crc={:08x}", e.index.value, e.term.value,
                                    static_cast<int>(e.type), e.bytes().size(), Crc32c(0, e.bytes()))
                            .c_str());
  }
}

int Main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "write" && argc == 4) {
    const raft::SnapshotMeta from = Write(argv[2], argv[3]);
    std::printf("%s\n", fmt::format("{} {}", from.index.value, from.term.value).c_str());
    return 0;
  }
  if (mode == "read" && argc == 5) {
    Read(argv[2],
         {.index = Index(std::strtoull(argv[3], nullptr, 10)), .term = Term(std::strtoull(argv[4], nullptr, 10))});
    return 0;
  }
  std::fprintf(stderr, "usage: wal_tool write plain|terms|released|replaced|torn DIR | wal_tool read DIR INDEX TERM\n");
  return 2;
}

}  // namespace
}  // namespace tenon::wal

int main(int argc, char** argv) { return tenon::wal::Main(argc, argv); }
