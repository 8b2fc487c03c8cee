// Which part of the log is on its way to disk, and which is there.
//
//        compacted        stable           handed out        not yet taken
//   ............|-------------------|-----------------|------------------|
//                                    offset            offset_in_progress  last
//
// Entries in front of `offset` are on disk. Those in [offset, offset_in_progress) were handed out in a Ready and are
// being written, those behind it wait for the next Ready. The same holds for a snapshot that the leader sent.
//
// Never reads entries: the log owns them, all of them, in memory. That makes etcd's two containers one and leaves here
// only the rules, which are etcd's (raft/log_unstable.go).
#pragma once
#include <optional>

#include "kernel/base/ids.h"
#include "kernel/raft/types.h"

namespace tenon::raft {

class Unstable {
 public:
  // Everything up to `last` is on disk.
  explicit Unstable(Index last) : offset_(last + 1), offset_in_progress_(last + 1) {}

  // The log was cut in front of `from` and continues there. What the writer still has of the old tail will be
  // overwritten by the entries that now stand at `from` and behind: those count as not handed out.
  void CutAt(Index from);
  // The log was replaced by a snapshot.
  void Restore(const SnapshotMeta& snapshot);

  // A Ready took everything up to `last`, and the snapshot.
  void AcceptInProgress(Index last);
  // The caller attests that entries up to `index` are on disk and that nothing in flight overwrites them.
  void StableTo(Index index);
  void StableSnapshotTo(Index index);

  Index offset() const { return offset_; }
  Index offset_in_progress() const { return offset_in_progress_; }
  const std::optional<SnapshotMeta>& snapshot() const { return snapshot_; }
  bool has_next_snapshot() const { return snapshot_.has_value() && !snapshot_in_progress_; }

 private:
  Index offset_;
  Index offset_in_progress_;  // >= offset_
  std::optional<SnapshotMeta> snapshot_;
  bool snapshot_in_progress_ = false;
};

}  // namespace tenon::raft
