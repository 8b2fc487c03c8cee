// HashKV: a checksum over the history up to a revision, equal to etcd's for the same history.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>

#include "kernel/base/mutex.h"
#include "kernel/base/status.h"

namespace tenon::mvcc {

class Store;

struct HashByRevision {
  uint32_t hash = 0;
  int64_t compact_revision = 0;  // -1: never compacted
  int64_t revision = 0;          // the one that was hashed
  int64_t current_revision = 0;
};

// CRC32C over the bucket name "key" and then key and value of each row up to `revision` (0: now), in order, passing
// over rows that compaction has removed or may still remove. The same before, during and after the removal, and on
// every engine. Compacted, FutureRevision; other errors mean that the engine failed. [worker] Source: etcd
// storage/mvcc/hash.go.
Result<HashByRevision> HashKv(Store& store, int64_t revision);

// The hash of history up to `revision` as it was while `compact_revision` was the newest compaction: what etcd computes
// while it compacts to `revision`. Nothing above `compact_revision` may have been removed yet.
Result<HashByRevision> HashForCompaction(Store& store, int64_t revision, int64_t compact_revision);

// The hashes of the last ten compactions; HashKv answers from them when it is asked for one of their revisions. [any]
class CompactionHashes {
 public:
  void Add(const HashByRevision& hash);
  std::optional<HashByRevision> Find(int64_t revision) const;

 private:
  static constexpr size_t kKept = 10;  // as in etcd
  mutable Mutex mutex_;
  std::deque<HashByRevision> hashes_;
};

}  // namespace tenon::mvcc
