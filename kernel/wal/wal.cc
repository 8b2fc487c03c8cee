#include "kernel/wal/wal.h"

#include <algorithm>

#include "kernel/base/check.h"
#include "kernel/base/crc32c.h"
#include "kernel/base/log.h"
#include "kernel/wal/wire.h"

namespace tenon::wal {
namespace {

constexpr uint64_t kFirstRead = 64 << 10;
constexpr uint64_t kLargeSyncBytes = 256 << 10;  // beside them, what reserved blocks cost a sync is little
constexpr size_t kWriteBytes = 1 << 20;          // a larger buffer is written before Sync asks for it

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// What is to be read, and the newest segment's bytes.
struct Scanned {
  std::vector<SegmentName> segments;
  Recovery recovery;
  std::string newest;
};

Result<Scanned> Scan(Disk& disk, const std::string& dir, raft::SnapshotMeta from, Index min_index) {
  ASSIGN_OR_RETURN(std::vector<SegmentName> segments, ListSegments(disk, dir));
  if (segments.empty()) return Status(StatusCode::kNotFound, ToAbsl(fmt::format("wal: no segment in {}", dir)));
  const std::optional<size_t> first = FirstSegmentFor(segments, from.index);
  if (!first) {
    return Status(StatusCode::kNotFound,
                  ToAbsl(fmt::format("wal: {}: no segment holds the snapshot at index {}", dir, from.index.value)));
  }
  Scanned out{std::move(segments), Recovery(std::move(from), min_index), {}};
  for (size_t i = *first; i < out.segments.size(); i++) {
    const std::string path = fmt::format("{}/{}", dir, out.segments[i].Format());
    if (i > *first && out.segments[i].sequence != out.segments[i - 1].sequence + 1) {
      return Status(StatusCode::kDataLoss, ToAbsl(fmt::format("wal: {}: the segment before it is missing", path)));
    }
    ASSIGN_OR_RETURN(out.newest, ReadWhole(disk, path));
    RETURN_IF_ERROR(out.recovery.Read(path, out.newest, i + 1 == out.segments.size()));
  }
  RETURN_IF_ERROR(out.recovery.Finish());
  return out;
}

}  // namespace

Wal::Wal(Disk& disk, std::string dir, std::string metadata, Options options)
    : disk_(disk), dir_(std::move(dir)), metadata_(std::move(metadata)), options_(options) {}

Wal::~Wal() {
  if (next_ != nullptr) next_->Abandon();
}

Result<bool> Wal::Exists(Disk& disk, const std::string& dir) {
  ASSIGN_OR_RETURN(const bool there, disk.Exists(dir));
  if (!there) return false;
  ASSIGN_OR_RETURN(const std::vector<SegmentName> segments, ListSegments(disk, dir));
  return !segments.empty();
}

Result<bool> Wal::Began(Disk& disk, const std::string& dir) {
  ASSIGN_OR_RETURN(const bool exists, Exists(disk, dir));
  if (!exists) return false;
  ASSIGN_OR_RETURN(const std::vector<SegmentName> segments, ListSegments(disk, dir));
  if (segments.size() > 1 || segments.front().sequence > 0) return true;
  const std::string path = fmt::format("{}/{}", dir, segments.front().Format());
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk.OpenFile(path, Disk::Open::kRead));
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  // The first state stands near the beginning, so that hardly ever more than that is read.
  for (uint64_t part = kFirstRead;; part *= 16) {
    std::string bytes(std::min(part, size), '\0');
    ASSIGN_OR_RETURN(const size_t n, file->ReadAt(0, bytes.data(), bytes.size()));
    bytes.resize(n);
    Recovery scan(raft::SnapshotMeta{.index = Index(UINT64_MAX)}, Index(0));  // behind that index there are no entries
    RETURN_IF_ERROR(scan.Read(path, bytes, /*newest=*/true));
    if (scan.recovered().hard_state != raft::HardState()) return true;
    if (part >= size) return false;
  }
}

// --- Create

Result<std::unique_ptr<Wal>> Wal::Create(Disk& disk, std::string dir, std::string metadata, Options options) {
  ASSIGN_OR_RETURN(const bool began, Began(disk, dir));
  if (began) return Status(StatusCode::kAlreadyExists, ToAbsl(fmt::format("wal: {} holds a log already", dir)));
  const std::string tmp_dir = dir + ".tmp";
  RETURN_IF_ERROR(disk.RemoveTree(tmp_dir));  // of a start that crashed in here
  RETURN_IF_ERROR(disk.MakeDirectory(tmp_dir));

  std::unique_ptr<Wal> wal(new Wal(disk, dir, std::move(metadata), options));
  RETURN_IF_ERROR(wal->StartFresh(tmp_dir));
  RETURN_IF_ERROR(disk.SyncDirectory(tmp_dir));
  RETURN_IF_ERROR(disk.RemoveTree(dir));  // one that did not begin would be in the way
  RETURN_IF_ERROR(disk.Rename(tmp_dir, dir));
  RETURN_IF_ERROR(disk.SyncDirectory(ParentOf(dir)));
  RETURN_IF_ERROR(wal->OpenNewest());
  return wal;
}

Status Wal::StartFresh(std::string_view tmp_dir) {
  segments_ = {SegmentName{}};
  const std::string path = fmt::format("{}/{}", tmp_dir, segments_.back().Format());
  ASSIGN_OR_RETURN(
      file_, std::make_shared<NextSegment>(disk_, path, options_.segment_bytes, NextSegment::Fill::kWritten)->Take());
  std::string snapshot;
  AppendSnapshotRecord(snapshot, {});
  writer_.Crc();
  writer_.Data(RecordType::kMetadata, metadata_);
  writer_.Data(RecordType::kSnapshot, snapshot);
  RETURN_IF_ERROR(WriteBuffer());
  RETURN_IF_ERROR(SyncFile());
  head_bytes_ = offset_;
  stats_.segments++;
  return Ok();
}

// --- Open

Result<std::pair<std::unique_ptr<Wal>, Recovered>> Wal::Open(Disk& disk, std::string dir, raft::SnapshotMeta from,
                                                             Index min_index, Options options) {
  const Index from_index = from.index;
  ASSIGN_OR_RETURN(Scanned scanned, Scan(disk, dir, std::move(from), min_index));
  Recovery& recovery = scanned.recovery;
  if (const auto& dropped = recovery.recovered().dropped) {
    LOG_WARN("dropped the torn end of the write-ahead log", {"path", dropped->file}, {"offset", dropped->offset},
             {"reason", dropped->why}, {"last-index", recovery.last_index()}, {"from-index", from_index});
  }

  std::unique_ptr<Wal> wal(new Wal(disk, std::move(dir), recovery.recovered().metadata, options));
  wal->segments_ = std::move(scanned.segments);
  wal->writer_ = RecordWriter(recovery.crc());
  wal->state_ = recovery.recovered().hard_state;
  wal->last_index_ = recovery.last_index();
  RETURN_IF_ERROR(wal->ContinueAt(scanned.newest, recovery.end()));
  return std::pair(std::move(wal), std::move(recovery.recovered()));
}

Result<std::pair<raft::SnapshotMeta, Recovered>> Wal::Read(Disk& disk, const std::string& dir) {
  ASSIGN_OR_RETURN(const bool began, Began(disk, dir));
  if (!began) return Status(StatusCode::kNotFound, ToAbsl(fmt::format("wal: {} holds no log that began", dir)));
  ASSIGN_OR_RETURN(std::vector<raft::SnapshotMeta> snapshots, Snapshots(disk, dir));
  if (snapshots.empty()) {
    return Status(StatusCode::kDataLoss, ToAbsl(fmt::format("wal: {} has no place to start from", dir)));
  }
  Result<Scanned> scanned = Scan(disk, dir, snapshots.back(), Index(0));
  if (absl::IsNotFound(scanned.status())) return Status(StatusCode::kDataLoss, scanned.status().message());
  RETURN_IF_ERROR(scanned);
  return std::pair(std::move(snapshots.back()), std::move(scanned->recovery.recovered()));
}

Result<std::string> Wal::Metadata(Disk& disk, const std::string& dir) {
  ASSIGN_OR_RETURN(const bool exists, Exists(disk, dir));
  if (!exists) return Status(StatusCode::kNotFound, ToAbsl(fmt::format("wal: no segment in {}", dir)));
  ASSIGN_OR_RETURN(const std::vector<SegmentName> segments, ListSegments(disk, dir));
  const std::string path = fmt::format("{}/{}", dir, segments.back().Format());
  ASSIGN_OR_RETURN(const std::string bytes, ReadWhole(disk, path));
  const Frame chain = LookAt(bytes, 0);
  const bool chained = chain.kind == Frame::Kind::kRecord && chain.type == RecordType::kCrc;
  const Frame frame = chained ? LookAt(bytes, chain.size) : chain;
  if (!chained || frame.kind != Frame::Kind::kRecord || frame.type != RecordType::kMetadata ||
      Crc32c(chain.crc, frame.data) != frame.crc) {
    return Status(StatusCode::kDataLoss, ToAbsl(fmt::format("wal: {}: the segment's head is damaged", path)));
  }
  return std::string(frame.data);
}

// Makes the newest segment as Create leaves one: records up to `end`, zeros up to its full size, all of it on disk.
Status Wal::ContinueAt(std::string_view bytes, uint64_t end) {
  const Status removed = disk_.Remove(TemporaryPath());
  if (!removed.ok() && removed.code() != StatusCode::kNotFound) return removed;
  // A process that was killed before it synced the directory has left the newest segment's name to the page cache: what
  // is written into it would be gone with the name when the power goes.
  RETURN_IF_ERROR(disk_.SyncDirectory(dir_));

  RETURN_IF_ERROR(OpenNewest());
  constexpr size_t kStep = 1 << 20;
  for (uint64_t at = 0; at < end; at += kStep) {
    RETURN_IF_ERROR(file_->WriteAt(at, bytes.substr(at, std::min<uint64_t>(kStep, end - at))));
  }
  const size_t last = bytes.find_last_not_of('\0');
  const uint64_t used = last == std::string_view::npos ? 0 : last + 1;
  RETURN_IF_ERROR(WriteZeros(*file_, end, used));
  RETURN_IF_ERROR(WriteZeros(*file_, bytes.size(), options_.segment_bytes));
  offset_ = end;
  unsynced_ = true;
  return SyncFile();
}

Result<std::vector<raft::SnapshotMeta>> Wal::Snapshots(Disk& disk, const std::string& dir) {
  ASSIGN_OR_RETURN(const std::vector<SegmentName> segments, ListSegments(disk, dir));
  size_t first = segments.size();  // of the newest unbroken run: a crash may bring back a segment released long ago
  while (first > 0 && (first == segments.size() || segments[first - 1].sequence + 1 == segments[first].sequence)) {
    first--;
  }
  Recovery scan(raft::SnapshotMeta{.index = Index(UINT64_MAX)}, Index(0));  // behind that index there are no entries
  for (size_t i = first; i < segments.size(); i++) {
    const std::string path = fmt::format("{}/{}", dir, segments[i].Format());
    ASSIGN_OR_RETURN(const std::string bytes, ReadWhole(disk, path));
    RETURN_IF_ERROR(scan.Read(path, bytes, i + 1 == segments.size()));
  }
  std::vector<raft::SnapshotMeta>& snapshots = scan.recovered().snapshots;
  std::erase_if(snapshots, [commit = scan.recovered().hard_state.commit](const auto& s) { return s.index > commit; });
  return std::move(snapshots);
}

// --- Append

Status Wal::Append(const raft::HardState* state, std::span<const raft::Entry> entries) {
  if (!error_.ok()) return error_;
  uint64_t bound = RecordWriter::MaxSize(3 * 11);
  for (const raft::Entry& entry : entries) bound += RecordWriter::MaxSize(entry);
  RETURN_IF_ERROR(MakeRoomFor(bound));

  for (const raft::Entry& entry : entries) {
    CHECK_LE(entry.index, last_index_ + 1);
    writer_.Entry(entry);
    last_index_ = entry.index;
  }
  if (state != nullptr && *state != raft::HardState{}) {
    state_ = *state;
    std::string data;
    raft::AppendHardState(data, state_);
    writer_.Data(RecordType::kState, data);
  }
  if (writer_.bytes().size() >= kWriteBytes) return WriteBuffer();
  return Ok();
}

Status Wal::SaveSnapshot(const raft::SnapshotMeta& meta) {
  if (!error_.ok()) return error_;
  std::string data;
  AppendSnapshotRecord(data, meta);
  RETURN_IF_ERROR(MakeRoomFor(RecordWriter::MaxSize(data.size())));
  writer_.Data(RecordType::kSnapshot, data);
  last_index_ = std::max(last_index_, meta.index);
  return Ok();
}

Status Wal::Sync() {
  if (!error_.ok()) return error_;
  RETURN_IF_ERROR(WriteBuffer());
  RETURN_IF_ERROR(SyncFile());
  PrepareNextWhenHalfFull();
  return Ok();
}

Status Wal::WriteBuffer() {
  if (writer_.bytes().empty()) return Ok();
  const uint64_t begin_ns = NowNs();
  if (Status status = file_->WriteAt(offset_, writer_.bytes()); !status.ok()) return Fail(std::move(status));
  stats_.last_write_ns = NowNs() - begin_ns;
  stats_.writes++;
  stats_.bytes_written += writer_.bytes().size();
  offset_ += writer_.bytes().size();
  segment_written_ += writer_.bytes().size();
  writer_.Clear();
  unsynced_ = true;
  return Ok();
}

Status Wal::SyncFile() {
  if (!unsynced_) return Ok();
  if (options_.sync) {
    const uint64_t begin_ns = NowNs();
    if (Status status = file_->Sync(); !status.ok()) return Fail(std::move(status));
    stats_.last_sync_ns = NowNs() - begin_ns;
    stats_.syncs++;
  }
  segment_syncs_++;
  unsynced_ = false;
  return Ok();
}

Status Wal::Fail(Status status) {
  if (error_.ok()) error_ = status;
  return error_;
}

// --- Segments

Status Wal::MakeRoomFor(uint64_t bytes) {
  const uint64_t used = offset_ + writer_.bytes().size();
  if (used == head_bytes_ || used + bytes <= options_.segment_bytes) return Ok();
  return Cut();
}

// Ends the newest segment and begins the next. The old one is whole on disk before the new one exists under its name,
// so that damage in any but the newest segment is never a crash's work; the new one has its head on disk before it
// gets its name.
Status Wal::Cut() {
  RETURN_IF_ERROR(WriteBuffer());
  if (Status status = file_->Truncate(offset_); !status.ok()) return Fail(std::move(status));
  unsynced_ = true;
  RETURN_IF_ERROR(SyncFile());

  if (next_ == nullptr) next_ = MakeNext();
  Result<std::unique_ptr<File>> next = next_->Take();
  next_.reset();
  if (!next.ok()) return Fail(std::move(next).status());
  file_ = *std::move(next);
  offset_ = segment_written_ = segment_syncs_ = 0;
  writer_.Crc();
  writer_.Data(RecordType::kMetadata, metadata_);
  if (state_ != raft::HardState{}) {
    std::string data;
    raft::AppendHardState(data, state_);
    writer_.Data(RecordType::kState, data);
  }
  RETURN_IF_ERROR(WriteBuffer());
  RETURN_IF_ERROR(SyncFile());
  head_bytes_ = offset_;

  const SegmentName name{.sequence = segments_.back().sequence + 1, .first = last_index_ + 1};
  if (Status status = disk_.Rename(TemporaryPath(), PathOf(name)); !status.ok()) return Fail(std::move(status));
  if (Status status = disk_.SyncDirectory(dir_); !status.ok()) return Fail(std::move(status));
  segments_.push_back(name);
  stats_.segments++;
  if (Status status = OpenNewest(); !status.ok()) return Fail(std::move(status));
  return Ok();
}

// Under its final name, for the errors.
Status Wal::OpenNewest() {
  ASSIGN_OR_RETURN(file_, disk_.OpenFile(PathOf(segments_.back()), Disk::Open::kReadWrite));
  return Ok();
}

void Wal::PrepareNextWhenHalfFull() {
  if (next_ != nullptr || options_.background == nullptr || offset_ < options_.segment_bytes / 2) return;
  next_ = MakeNext();
  next_->PrepareOn(*options_.background);
}

// Filled as suits what the newest segment was used for.
std::shared_ptr<NextSegment> Wal::MakeNext() {
  const bool large = segment_written_ > kLargeSyncBytes * segment_syncs_;
  return std::make_shared<NextSegment>(disk_, TemporaryPath(), options_.segment_bytes,
                                       large ? NextSegment::Fill::kReserved : NextSegment::Fill::kWritten);
}

Status Wal::ReleaseTo(Index index) {
  if (!error_.ok()) return error_;
  RETURN_IF_ERROR(WriteBuffer());
  RETURN_IF_ERROR(SyncFile());
  const std::optional<size_t> first = FirstSegmentFor(segments_, index);
  // Oldest first. No sync of the directory: a segment that comes back after a crash is in nobody's way.
  for (size_t i = 0; first && i < *first; i++) {
    const Status status = disk_.Remove(PathOf(segments_.front()));
    if (!status.ok() && status.code() != StatusCode::kNotFound) return Fail(status);
    segments_.erase(segments_.begin());
  }
  return Ok();
}

}  // namespace tenon::wal
