#include "kernel/wal/recovery.h"

#include <algorithm>
#include <utility>

#include "kernel/base/crc32c.h"
#include "kernel/wal/wire.h"

namespace tenon::wal {

Status Recovery::Read(const std::string& file, std::string_view segment, bool newest) {
  file_ = file;
  end_ = 0;
  for (int n = 0;; n++) {
    const bool in_head = n < 2;
    Frame frame = LookAt(segment, end_);
    if (frame.kind == Frame::Kind::kRecord) {
      // A segment begins with the chain's value and the metadata. They were synced before it got its name.
      if (in_head && frame.type != (n == 0 ? RecordType::kCrc : RecordType::kMetadata)) {
        return DataLoss(end_, "the segment does not begin with a crc and a metadata record");
      }
      const bool chained = frame.type == RecordType::kCrc;
      const uint32_t crc = chained ? crc_ : Crc32c(crc_, frame.data);
      const bool starts_chain = chained && first_segment_ && n == 0;
      if (crc == frame.crc || starts_chain) {
        crc_ = frame.crc;
        if (const std::string_view problem = Take(frame); !problem.empty()) return DataLoss(end_, problem);
        end_ += frame.size;
        continue;
      }
      const bool torn = LacksASector(segment, end_, frame.size);
      frame.kind = torn ? Frame::Kind::kTorn : Frame::Kind::kCorrupt;
      frame.why = torn ? "an unwritten sector inside a record" : "checksum mismatch";
    }
    if (in_head) return DataLoss(end_, "the segment's head is damaged");
    first_segment_ = false;
    if (frame.kind == Frame::Kind::kEnd) return Ok();
    if (frame.kind == Frame::Kind::kCorrupt || !newest) return DataLoss(end_, frame.why);
    out_.dropped = DroppedTail{file_, end_, std::string(frame.why)};
    return Ok();
  }
}

std::string_view Recovery::Take(const Frame& frame) {
  switch (frame.type) {
    case RecordType::kCrc: return {};
    case RecordType::kMetadata: return TakeMetadata(frame.data);
    case RecordType::kEntry: return TakeEntry(frame.data);
    case RecordType::kState: return TakeState(frame.data);
    case RecordType::kSnapshot: return TakeSnapshot(frame.data);
  }
  return "an unknown record type";
}

std::string_view Recovery::TakeMetadata(std::string_view data) {
  if (has_metadata_ && out_.metadata != data) return "conflicting metadata found";
  has_metadata_ = true;
  out_.metadata = data;
  return {};
}

// The checksum does not cover a record's type, so that a flipped bit can show a state as an entry: what raft never
// writes is refused.
std::string_view Recovery::TakeEntry(std::string_view data) {
  Result<raft::Entry> decoded = raft::DecodeEntry(data);
  if (!decoded.ok()) return "a malformed entry";
  raft::Entry& entry = *decoded;
  std::vector<raft::Entry>& entries = out_.entries;
  if (entry.term == Term(0) || entry.index == Index(0)) return "an entry without term or index";
  if (entry.type == raft::EntryType::kConfChange && entry.payload == nullptr) return "an empty configuration change";
  if (entry.index <= out_.hard_state.commit) return "an entry that overwrites a committed one";
  newest_term_ = std::max(newest_term_, entry.term);
  last_seen_ = entry.index;

  if (replaced_) return {};  // what Finish says
  if (foreign_ && entry.index <= foreign_->index) foreign_.reset();

  if (entry.index <= from_.index) {
    // It cuts off whatever the log held behind it.
    entries.clear();
    term_at_from_.reset();
    if (entry.index == from_.index) term_at_from_ = entry.term;
    return {};
  }
  const uint64_t offset = entry.index - from_.index - 1;  // CVE-2020-15112: never trusted before this comparison
  if (offset > entries.size()) return "a gap before an entry";
  if (offset > 0 && entry.term < entries[offset - 1].term) return "an entry of an older term behind a newer one";
  if (offset < entries.size() && entry.term == entries[offset].term) return "an entry that was written before";
  entries.resize(offset);
  entries.push_back(std::move(entry));
  return {};
}

std::string_view Recovery::TakeState(std::string_view data) {
  const Result<raft::HardState> decoded = raft::DecodeHardState(data, /*strict=*/true);
  if (!decoded.ok()) return "a malformed state";
  const raft::HardState& state = *decoded;
  if (state.term < out_.hard_state.term || state.term == Term(0)) return "a state whose term goes back";
  if (state.commit < out_.hard_state.commit) return "a state whose commit goes back";
  if (state.term < newest_term_) return "a state older than the entries before it";
  out_.hard_state = state;
  replaced_ |= foreign_ && state.commit >= foreign_->index;
  return {};
}

std::string_view Recovery::TakeSnapshot(std::string_view data) {
  Result<raft::SnapshotMeta> decoded = DecodeSnapshotRecord(data);
  if (!decoded.ok()) return "a malformed snapshot record";
  raft::SnapshotMeta& snapshot = *decoded;
  if (snapshot.index == from_.index) {
    if (snapshot.term != from_.term) return "snapshot mismatch";
    has_from_ = true;
    // A snapshot of our own log leaves the entries behind it alone. One that came from the leader because our log was
    // wrong at its index replaces the log: what stood behind would outlive the term that overruled it.
    if (term_at_from_ != from_.term) out_.entries.clear();
    // From here on that is our own log: what comes behind it stays when the same snapshot is recorded once more.
    term_at_from_ = from_.term;
  } else if (snapshot.index > from_.index && !replaced_) {
    const uint64_t offset = snapshot.index - from_.index - 1;
    const bool ours = offset < out_.entries.size() && out_.entries[offset].term == snapshot.term;
    if (!ours) foreign_ = snapshot;
  }
  out_.snapshots.push_back(std::move(snapshot));
  return {};
}

Index Recovery::last_index() const { return from_.index + out_.entries.size(); }

Status Recovery::Finish() {
  if (replaced_) {
    return Status(
        StatusCode::kNotFound,
        ToAbsl(fmt::format("wal: {}: the log goes on behind a snapshot at index {}, term {}, that another member "
                           "sent: it cannot be read from index {}",
                           file_, foreign_->index.value, foreign_->term.value, from_.index.value)));
  }
  if (!has_from_) {
    return Status(StatusCode::kNotFound, ToAbsl(fmt::format("wal: {}: snapshot not found: index {}, term {}", file_,
                                                            from_.index.value, from_.term.value)));
  }
  if (!out_.entries.empty() && out_.entries.front().term < from_.term) {
    return DataLoss(end_, "entries of an older term behind the snapshot");
  }
  if (last_index() < std::max(out_.hard_state.commit, min_index_)) {
    return DataLoss(end_, out_.dropped ? fmt::format("committed entries are missing: {}", out_.dropped->why)
                                       : "committed entries are missing: the log ends");
  }
  // A batch is entries, then state. Of one that was torn between them the entries stay; their term was in use.
  raft::HardState& state = out_.hard_state;
  if (!out_.entries.empty() && out_.entries.back().term > state.term) {
    state.term = out_.entries.back().term;
    state.vote = 0;
  }
  return Ok();
}

Status Recovery::DataLoss(uint64_t offset, std::string_view why) const {
  return Status(StatusCode::kDataLoss,
                ToAbsl(fmt::format("wal: {}: {} at offset {} (last entry {}, committed {}, applied {})", file_, why,
                                   offset, last_seen_.value, out_.hard_state.commit.value, min_index_.value)));
}

}  // namespace tenon::wal
