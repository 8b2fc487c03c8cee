// The write-ahead log: what this member promised, in etcd's format (FORMAT.md).
//
// One writer, called on the wal thread. Append and SaveSnapshot only encode; Sync writes all of it in one call and
// syncs once: after it returned OK, everything appended before survives a power loss. After any error the writer
// refuses further work with that first error: the caller must stop the member, because nobody knows what the disk
// holds. A failed sync is never tried again (the system may have marked the lost pages clean).
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernel/ports/clock.h"
#include "kernel/ports/disk.h"
#include "kernel/ports/executor.h"
#include "kernel/raft/types.h"
#include "kernel/wal/record.h"
#include "kernel/wal/recovery.h"
#include "kernel/wal/segment.h"

namespace tenon::wal {

struct Options {
  uint64_t segment_bytes = 64'000'000;  // etcd's; a batch larger than that makes its segment longer
  Executor* background = nullptr;       // prepares the next segment; none: made when it is needed. Outlives the log
  Clock* clock = nullptr;               // for Stats; none: durations stay 0. Outlives the log
  bool sync = true;                     // false: --unsafe-no-fsync
};

// Since Create or Open; for the caller's metrics.
struct Stats {
  uint64_t bytes_written = 0;  // etcd_disk_wal_write_bytes_total
  uint64_t writes = 0;
  uint64_t last_write_ns = 0;  // etcd_disk_wal_write_duration_seconds
  uint64_t syncs = 0;
  uint64_t last_sync_ns = 0;  // etcd_disk_wal_fsync_duration_seconds
  uint64_t segments = 0;      // begun
};

class Wal {
 public:
  // A new log, on disk under its name when this returns: it is built in `dir`.tmp and renamed. AlreadyExists: `dir`
  // holds a log that began (see Began); another is replaced. `metadata` stands at the head of each segment:
  // walpb.Metadata.
  static Result<std::unique_ptr<Wal>> Create(Disk& disk, std::string dir, std::string metadata, Options options);

  // Reads everything behind the snapshot `from` (0,0: the beginning), which must have been saved to the log, and makes
  // the log ready for appending: a torn tail is wiped, and the newest segment is written and synced once more, since
  // after a failed sync pages that we can read may never have reached the disk.
  // `min_index`: the applied index that the engine stored. DataLoss: the log is damaged, or ends before what was
  // committed or applied. NotFound: no log, or nothing in it matches `from`.
  static Result<std::pair<std::unique_ptr<Wal>, Recovered>> Open(Disk& disk, std::string dir, raft::SnapshotMeta from,
                                                                 Index min_index, Options options);

  static Result<bool> Exists(Disk& disk, const std::string& dir);
  // A state is on disk. False: no log, or one that lost its power before the first batch was synced. Then no vote was
  // cast and nothing acknowledged in its name, and the member may be founded as if it had never started.
  static Result<bool> Began(Disk& disk, const std::string& dir);
  // The snapshots that Open can start from: those in the log, oldest first, up to HardState.commit. For choosing `from`
  // when the engine has told its applied index.
  static Result<std::vector<raft::SnapshotMeta>> Snapshots(Disk& disk, const std::string& dir);
  // All that the log holds from its newest snapshot on, and that snapshot; writes nothing. NotFound: it never began.
  // DataLoss: what is wrong with it.
  static Result<std::pair<raft::SnapshotMeta, Recovered>> Read(Disk& disk, const std::string& dir);
  // Whose log it is, also of one that is damaged behind its head. NotFound: no log. DataLoss: the head is damaged.
  static Result<std::string> Metadata(Disk& disk, const std::string& dir);

  ~Wal();
  Wal(const Wal&) = delete;

  // Entries without gaps; the first one's index may be at or before the last index: then it cuts off what follows it.
  // `state` null: unchanged; else its term is at least that of all entries so far.
  Status Append(const raft::HardState* state, std::span<const raft::Entry> entries);

  // A record that Open can start from. At a persist point: Append a state with commit >= index first. When a snapshot
  // of the leader replaces the log: this first, then the state, in one sync: commit never points behind the log, and
  // the record without the state counts for nothing. The next entry is meta.index + 1.
  Status SaveSnapshot(const raft::SnapshotMeta& meta);

  Status Sync();

  // Deletes segments that are not needed for reading from `index` on; a snapshot with this index must have been saved.
  // Syncs first what was appended.
  Status ReleaseTo(Index index);

  Index last_index() const { return last_index_; }
  const Stats& stats() const { return stats_; }
  const Status& error() const { return error_; }  // the first one; what every call answers from then on

 private:
  Wal(Disk& disk, std::string dir, std::string metadata, Options options);

  Status StartFresh(std::string_view tmp_dir);
  Status ContinueAt(std::string_view bytes, uint64_t end);
  Status Cut();
  Status OpenNewest();
  Status WriteBuffer();
  Status SyncFile();
  Status Fail(Status status);
  Status MakeRoomFor(uint64_t bytes);
  void PrepareNextWhenHalfFull();
  std::shared_ptr<NextSegment> MakeNext();
  std::string PathOf(const SegmentName& name) const { return dir_ + "/" + name.Format(); }
  std::string TemporaryPath() const { return dir_ + "/next.tmp"; }
  uint64_t NowNs() const { return options_.clock == nullptr ? 0 : options_.clock->MonoNs(); }

  Disk& disk_;
  const std::string dir_;
  const std::string metadata_;
  const Options options_;

  std::vector<SegmentName> segments_;  // the last one is being written
  std::unique_ptr<File> file_;
  uint64_t offset_ = 0;                               // where the buffer goes
  uint64_t head_bytes_ = 0;                           // of the newest segment
  uint64_t segment_written_ = 0, segment_syncs_ = 0;  // since it was begun or opened
  RecordWriter writer_;
  std::shared_ptr<NextSegment> next_;
  raft::HardState state_;
  Index last_index_;
  bool unsynced_ = false;
  Stats stats_;
  Status error_;
};

}  // namespace tenon::wal
