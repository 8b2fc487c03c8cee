// The recorder's log: what reached the operating system, in the order in which it was done.
//
// A file of records. One begins with kMagic and is a Header, two paths relative to the recorded folder, and the data.
// Any other first byte begins a mark: a line of text up to '\n'. Whoever opens the log with O_APPEND and writes a line
// with one write(2) has put a mark in order with the disk's operations. replay.py reads this.
#pragma once
#include <cstdint>

namespace powerloss {

constexpr uint8_t kMagic = 0xD7;

enum class Op : uint8_t {
  kOpen = 1,        // handle, path; flags
  kWrite = 2,       // handle, offset, length, data (none with kZeros)
  kTruncate = 3,    // handle, length
  kAllocate = 4,    // handle, offset, length: zeros where there was nothing
  kRename = 5,      // path, path2
  kUnlink = 6,      // path
  kRemoveDir = 7,   // path
  kLink = 8,        // path, path2
  kMakeDir = 9,     // path
  kSyncBegin = 10,  // handle, offset = a number that kSyncEnd repeats
  kSyncEnd = 11,
  kClose = 12,      // handle
  kUncovered = 13,  // path = a sentence: something this recorder cannot record; the recording is void
};

enum Flags : uint16_t {
  kCreated = 1,    // by this open
  kTruncated = 2,  // by this open
  kDirectory = 4,
  kZeros = 8,
  kDataOnly = 16,  // fdatasync
  kKeepSize = 32,
};

#pragma pack(push, 1)
struct Header {  // little-endian
  uint8_t magic;
  Op op;
  uint16_t flags;
  uint32_t handle;  // of an open, never used twice
  uint64_t offset;
  uint64_t length;
  uint32_t path_size, path2_size;
};
#pragma pack(pop)
static_assert(sizeof(Header) == 32);

}  // namespace powerloss
