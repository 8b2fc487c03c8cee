// The frames of the log, to and from bytes (FORMAT.md). Pure: no I/O.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "kernel/raft/types.h"

namespace tenon::wal {

enum class RecordType : uint8_t { kMetadata = 1, kEntry = 2, kState = 3, kCrc = 4, kSnapshot = 5 };

inline constexpr size_t kSectorBytes = 512;  // what a disk writes as a whole or not at all

// Encodes records one after the other; each record's checksum is that of all data so far.
class RecordWriter {
 public:
  explicit RecordWriter(uint32_t crc = 0) : crc_(crc) {}

  void Crc();  // the chain's value so far, at the head of a segment
  void Data(RecordType type, std::string_view data);
  void Entry(const raft::Entry& entry);

  std::string_view bytes() const { return buffer_; }  // since Clear()
  void Clear() { buffer_.clear(); }
  uint32_t crc() const { return crc_; }

  static size_t MaxSize(size_t data_bytes) { return 8 + 2 + 6 + 11 + data_bytes + 7; }
  static size_t MaxSize(const raft::Entry& entry) { return MaxSize(2 + 3 * 11 + entry.bytes().size()); }

 private:
  void Put(RecordType type, std::string_view head, std::string_view body);

  uint32_t crc_;
  std::string buffer_;
};

// What lies at an offset of a segment.
struct Frame {
  enum class Kind {
    kRecord,   // well formed; the checksum is still to be compared
    kEnd,      // zeros, or nothing, to the end of the file
    kTorn,     // as a crash leaves it: a sector that was never written, or the file ends too early
    kCorrupt,  // nothing that a crash leaves
  };
  Kind kind = Kind::kEnd;
  std::string_view why;  // of torn and corrupt
  RecordType type = RecordType::kCrc;
  uint32_t crc = 0;
  std::string_view data;
  size_t size = 0;  // with length and padding
};
Frame LookAt(std::string_view segment, size_t offset);

// Whether a record of full length with a wrong checksum is what a crash leaves: since segments are zeroed before use,
// a sector that did not reach the disk reads as zeros.
bool LacksASector(std::string_view segment, size_t offset, size_t size);

}  // namespace tenon::wal
