// The files of a log directory: their names, and making a new one ready.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/ports/disk.h"
#include "kernel/ports/executor.h"

namespace tenon::wal {

// %016x-%016x.wal: the number of the segment, and the index of the first entry that was not in the log when the
// segment was begun. Every entry of the log with this index or a higher one is in it or in a later one.
struct SegmentName {
  uint64_t sequence = 0;
  Index first;

  std::string Format() const;
  static std::optional<SegmentName> Parse(std::string_view name);
  bool operator==(const SegmentName&) const = default;
};

// The segments of `dir` in the order of their sequence; other files are left out.
Result<std::vector<SegmentName>> ListSegments(Disk& disk, const std::string& dir);
// The segment to read first in order to get every entry behind `from`; nullopt: it was released.
std::optional<size_t> FirstSegmentFor(const std::vector<SegmentName>& segments, Index from);

Result<std::string> ReadWhole(Disk& disk, const std::string& path);
// Writes zeros over [begin, end) in steps.
Status WriteZeros(File& file, uint64_t begin, uint64_t end);

// A file full of zeros that becomes the next segment. A sync into blocks that were written before costs a third of one
// that makes the file grow (86 us against 240 us), so every block is written once ahead of time. Where syncs are large
// that costs more than it saves: such a log only has the blocks' place reserved.
//
// Prepared in the background, step by step, so that no step holds up the disk for long; whoever needs it earlier does
// the rest itself. Never a used segment: old records behind the end of new ones could pass for them.
class NextSegment : public std::enable_shared_from_this<NextSegment> {
 public:
  enum class Fill { kWritten, kReserved };

  NextSegment(Disk& disk, std::string path, uint64_t bytes, Fill fill);

  void PrepareOn(Executor& background);  // returns at once
  // The finished, synced file; it still has its temporary name.
  Result<std::unique_ptr<File>> Take();
  void Abandon();  // no more steps; returns when none is running. The file stays for the next start to remove

 private:
  Status ZeroMore(uint64_t bytes);  // mutex_ held
  Status OpenFile();
  bool done() const { return taken_ || !status_.ok() || (file_ != nullptr && zeroed_ == bytes_); }
  void StepAndPost(Executor& background);

  Disk& disk_;
  const std::string path_;
  const uint64_t bytes_;
  const Fill fill_;
  std::mutex mutex_;  // one step at a time
  std::unique_ptr<File> file_;
  uint64_t zeroed_ = 0;
  bool taken_ = false;
  Status status_;
};

}  // namespace tenon::wal
