// Files, as the kernel sees them. The seeded twin (tests/sim) loses, tears and reorders what was not synced.
//
// Every error is a Status with the operation, the path and the system's words. What was written is safe only after
// Sync() of the file returned OK and, for a new or renamed name, SyncDirectory() of its folder. After a failed Sync
// nothing is known about the file: the caller must stop using it (the kernel may have dropped the dirty pages).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/status.h"

namespace tenon {

// An open file. One thread at a time.
class File {
 public:
  virtual ~File() = default;
  virtual Status WriteAt(uint64_t offset, std::string_view data) = 0;  // all of it, or an error
  // Up to n bytes into `to`; fewer only at the end of the file. Returns how many.
  virtual Result<size_t> ReadAt(uint64_t offset, char* to, size_t n) = 0;
  virtual Status Sync() = 0;  // fdatasync
  virtual Status Truncate(uint64_t size) = 0;
  // Makes an empty file `size` bytes long, of zeros whose place on the disk is taken. ResourceExhausted; Unimplemented:
  // this file system cannot.
  virtual Status Reserve(uint64_t size) = 0;
  virtual Result<uint64_t> Size() = 0;
};

// Held until destroyed.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

struct DiskSpace {
  uint64_t free_bytes = 0;  // to an ordinary user
  uint64_t total_bytes = 0;
};

class Disk {
 public:
  virtual ~Disk() = default;
  enum class Open { kRead, kReadWrite, kCreate /* must not exist; mode 0600 */, kCreateOrTruncate };
  virtual Result<std::unique_ptr<File>> OpenFile(const std::string& path, Open how) = 0;  // NotFound, AlreadyExists
  virtual Result<std::vector<std::string>> List(const std::string& directory) = 0;  // names, sorted, without . and ..
  virtual Result<bool> Exists(const std::string& path) = 0;
  virtual Status MakeDirectory(const std::string& path) = 0;  // with its parents, mode 0700; OK if it exists
  virtual Status Rename(const std::string& from, const std::string& to) = 0;  // replaces `to`
  virtual Status Remove(const std::string& path) = 0;                         // a file; NotFound
  virtual Status RemoveTree(const std::string& path) = 0;                     // OK if absent
  virtual Status SyncDirectory(const std::string& path) = 0;
  // FailedPrecondition: another process holds it.
  virtual Result<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
  virtual Result<DiskSpace> Space(const std::string& path) = 0;
};

}  // namespace tenon
