#include "kernel/wal/segment.h"

#include <algorithm>
#include <utility>

#include "kernel/base/check.h"

namespace tenon::wal {
namespace {

constexpr uint64_t kStepBytes = 1 << 20;  // a third of a millisecond of disk time

bool ParseHex16(std::string_view text, uint64_t& v) {
  v = 0;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    v = v << 4 | static_cast<uint64_t>(digit);
  }
  return true;
}

}  // namespace

std::string SegmentName::Format() const { return fmt::format("{:016x}-{:016x}.wal", sequence, first.value); }

std::optional<SegmentName> SegmentName::Parse(std::string_view name) {
  constexpr size_t kSize = 16 + 1 + 16 + 4;
  SegmentName parsed;
  if (name.size() != kSize || name[16] != '-' || name.substr(33) != ".wal") return std::nullopt;
  if (!ParseHex16(name.substr(0, 16), parsed.sequence)) return std::nullopt;
  if (!ParseHex16(name.substr(17, 16), parsed.first.value)) return std::nullopt;
  return parsed;
}

Result<std::vector<SegmentName>> ListSegments(Disk& disk, const std::string& dir) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, disk.List(dir));
  std::vector<SegmentName> segments;
  for (const std::string& name : names) {
    if (const auto segment = SegmentName::Parse(name)) segments.push_back(*segment);
  }
  return segments;  // List sorts, and the names sort as their numbers
}

std::optional<size_t> FirstSegmentFor(const std::vector<SegmentName>& segments, Index from) {
  for (size_t i = segments.size(); i-- > 0;) {
    if (segments[i].first <= from) return i;
  }
  return std::nullopt;
}

Result<std::string> ReadWhole(Disk& disk, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk.OpenFile(path, Disk::Open::kRead));
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  std::string bytes(size, '\0');
  ASSIGN_OR_RETURN(const size_t n, file->ReadAt(0, bytes.data(), size));
  bytes.resize(n);
  return bytes;
}

Status WriteZeros(File& file, uint64_t begin, uint64_t end) {
  static char zeros[kStepBytes];  // not const: so it lies in .bss, and no page of it takes memory while it is only read
  while (begin < end) {
    const uint64_t n = std::min(kStepBytes, end - begin);
    RETURN_IF_ERROR(file.WriteAt(begin, std::string_view(zeros, n)));
    begin += n;
  }
  return Ok();
}

NextSegment::NextSegment(Disk& disk, std::string path, uint64_t bytes, Fill fill)
    : disk_(disk), path_(std::move(path)), bytes_(bytes), fill_(fill) {}

void NextSegment::PrepareOn(Executor& background) {
  background.Post([self = shared_from_this(), &background] { self->StepAndPost(background); });
}

void NextSegment::StepAndPost(Executor& background) {
  {
    std::lock_guard lock(mutex_);
    if (done()) return;
    status_ = ZeroMore(kStepBytes);
    if (done()) return;
  }
  PrepareOn(background);
}

Status NextSegment::ZeroMore(uint64_t bytes) {
  if (file_ == nullptr) RETURN_IF_ERROR(OpenFile());
  const uint64_t end = zeroed_ + std::min(bytes, bytes_ - zeroed_);
  RETURN_IF_ERROR(WriteZeros(*file_, zeroed_, end));
  RETURN_IF_ERROR(file_->Sync());  // each time: 64 MB at once would hold up the log's own syncs
  zeroed_ = end;
  return Ok();
}

Status NextSegment::OpenFile() {
  ASSIGN_OR_RETURN(file_, disk_.OpenFile(path_, Disk::Open::kCreateOrTruncate));
  if (fill_ == Fill::kWritten) return Ok();
  const Status reserved = file_->Reserve(bytes_);
  if (reserved.ok()) zeroed_ = bytes_;
  return absl::IsUnimplemented(reserved) ? Ok() : reserved;  // then it is written
}

Result<std::unique_ptr<File>> NextSegment::Take() {
  std::lock_guard lock(mutex_);
  CHECK(!taken_);
  if (!done()) status_ = ZeroMore(bytes_);  // the rest at once: somebody waits
  taken_ = true;
  if (!status_.ok()) return status_;
  return std::move(file_);
}

void NextSegment::Abandon() {
  std::lock_guard lock(mutex_);
  taken_ = true;
}

}  // namespace tenon::wal
