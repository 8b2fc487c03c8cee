// Checksummed frames: how the files and streams of this folder (FORMAT.md) and the index snapshot keep their bytes.
//
// A frame's checksum goes on from the former frame's, so that damage, a missing, a moved and a repeated frame are all
// found at the frame where they begin. The end of a sequence is not seen here: its owner writes a last frame.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "kernel/base/status.h"
#include "kernel/ports/disk.h"

namespace tenon::snapshot {

// Takes all of the bytes, or ends the writing with its error.
using Sink = std::function<Status(std::string_view)>;
// Up to n bytes into `to`; fewer only at the end.
using Source = std::function<Result<size_t>(char* to, size_t n)>;

// One row of 64 MiB with its key and lengths fits.
inline constexpr size_t kMaxFrame = (64 << 20) + 4096;
// Where writers end a frame.
inline constexpr size_t kFrameTarget = 256 << 10;

class FrameWriter {
 public:
  explicit FrameWriter(Sink sink) : sink_(std::move(sink)) {}
  Status Write(std::string_view payload);  // 1..kMaxFrame bytes

 private:
  const Sink sink_;
  uint32_t crc_ = 0;
};

class FrameReader {
 public:
  explicit FrameReader(Source source) : source_(std::move(source)) {}
  // The next payload, valid until the next call; empty at the end of the source. DataLoss with the offset: torn or
  // damaged.
  Result<std::string_view> Next();
  // Of the frame that Next returned last.
  uint64_t offset() const { return offset_; }
  // DataLoss with the offset of that frame.
  Status Damaged(std::string_view why) const;

 private:
  const Source source_;
  std::string payload_;
  uint64_t offset_ = 0, next_ = 0;
  uint32_t crc_ = 0;
};

// From the beginning of an open file, which outlives it.
Source FileSource(File& file);

}  // namespace tenon::snapshot
