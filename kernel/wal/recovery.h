// What a log says after a restart. Pure: bytes of segments in, entries and states out.
//
// The rules for a place where no good record lies (FORMAT.md has the reasons):
//
//   what lies there                  | older segment, or    | newest segment
//                                    | head of any segment  |
//   ---------------------------------+----------------------+---------------------------------------------------
//   zeros to the end of the file     | end (head: DataLoss) | end
//   a missing sector, a cut-off file | DataLoss             | torn: the rest is dropped
//   anything else                    | DataLoss             | DataLoss
//
// and whatever the end was: DataLoss if the log ends before HardState.commit or the caller's min_index.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/raft/types.h"
#include "kernel/wal/record.h"

namespace tenon::wal {

// A tail that a crash left half written; none of it was ever answered for.
struct DroppedTail {
  std::string file;
  uint64_t offset = 0;
  std::string why;
};

struct Recovered {
  std::string metadata;
  raft::HardState hard_state;
  std::vector<raft::Entry> entries;           // behind `from`, without gaps; what was overwritten is left out
  std::vector<raft::SnapshotMeta> snapshots;  // in the order of writing
  std::optional<DroppedTail> dropped;
};

class Recovery {
 public:
  Recovery(raft::SnapshotMeta from, Index min_index) : from_(std::move(from)), min_index_(min_index) {}

  // The segments in order, each once. After an error only the destructor may be called.
  Status Read(const std::string& file, std::string_view segment, bool newest);
  // After the newest. NotFound: no snapshot record matches `from`, or a snapshot behind it has replaced the log.
  Status Finish();

  Recovered& recovered() { return out_; }
  uint64_t end() const { return end_; }  // of the good records in the segment read last
  uint32_t crc() const { return crc_; }
  Index last_index() const;

 private:
  // Each takes what a record says and answers what is wrong with it; empty: nothing.
  std::string_view Take(const Frame& frame);
  std::string_view TakeMetadata(std::string_view data);
  std::string_view TakeEntry(std::string_view data);
  std::string_view TakeState(std::string_view data);
  std::string_view TakeSnapshot(std::string_view data);
  Status DataLoss(uint64_t offset, std::string_view why) const;

  const raft::SnapshotMeta from_;
  const Index min_index_;
  Recovered out_;
  std::string file_;
  uint64_t end_ = 0;
  uint32_t crc_ = 0;
  bool first_segment_ = true;
  bool has_metadata_ = false;
  bool has_from_ = false;             // its snapshot record was read
  std::optional<Term> term_at_from_;  // of the entry at from.index, while the log holds one
  Term newest_term_;                  // of all entries so far
  Index last_seen_;                   // of the entry read last
  // A snapshot behind `from_` whose entry the log does not hold: it came from the leader. It has replaced the log once
  // a state commits it; where the log goes on without it, a crash came before that state.
  std::optional<raft::SnapshotMeta> foreign_;
  bool replaced_ = false;  // by foreign_
};

}  // namespace tenon::wal
