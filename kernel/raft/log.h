// The log of one member, from the last compaction to its end, and the marks on it.
//
// Everything since the compaction point stays in memory: entries share their payloads with the queues that work on
// them, so the log costs a few words an entry more than the retained bytes, and no read ever waits for a disk.
//
//   compacted <= applied <= applying <= committed <= last
//
// Only entries that are committed and on this member's own disk are handed to apply (etcd#14370: an entry acknowledged
// from memory is lost by a crash).
#pragma once
#include <deque>
#include <optional>
#include <vector>

#include "kernel/raft/types.h"
#include "kernel/raft/unstable.h"

namespace tenon::raft {

// Names an entry: no two entries of a cluster share it (thesis 3.5, log matching).
struct EntryId {
  Term term;
  Index index;
  bool operator==(const EntryId&) const = default;
};

class Log {
 public:
  // `entries` follow `compacted` without a gap and are all on disk. `applied` and `committed` lie in the log.
  Log(const SnapshotMeta& compacted, std::vector<Entry> entries, Index committed, Index applied);

  Index first_index() const { return compacted_.index + 1; }  // of the first entry that can be read
  Index last_index() const { return compacted_.index + entries_.size(); }
  EntryId last() const { return {entries_.empty() ? compacted_.term : entries_.back().term, last_index()}; }
  EntryId compacted() const { return compacted_; }
  Index committed() const { return committed_; }
  Index applied() const { return applied_; }
  Index applying() const { return applying_; }
  const Unstable& unstable() const { return unstable_; }
  bool has_unstable_entries() const { return unstable_.offset() <= last_index(); }
  bool has_pending_snapshot() const { return unstable_.snapshot().has_value(); }

  // The term of the entry at `index`; of the last compacted one too. Nothing if it is outside.
  std::optional<Term> TermAt(Index index) const;
  bool Matches(EntryId id) const { return TermAt(id.index) == std::optional<Term>(id.term); }
  // Whether a candidate whose log ends with `theirs` may get our vote (thesis 3.6.1).
  bool IsUpToDate(EntryId theirs) const;
  const Entry& At(Index index) const;
  // Entries from `from` on: as many as fit into `max_bytes`, at least one if there is one.
  std::vector<Entry> Read(Index from, Index last, uint64_t max_bytes) const;
  // The best guess where this log ends matching one that has `term` at `index`: the greatest index <= `index` whose
  // term is <= `term`, or unknown (then the term is 0).
  EntryId FindConflictByTerm(Index index, Term term) const;

  // Of all entries that are kept, as SizeBytes counts them.
  uint64_t bytes() const { return bytes_; }

  // Appends as leader: numbers the entries and gives them `term`.
  void Append(std::vector<Entry>&& entries, Term term);
  // Appends what a leader sent after `previous`. Cuts off a tail that conflicts; never touches what agrees, because the
  // message may be an old one (thesis 3.5). Nothing if `previous` does not match, else the last index of the message.
  std::optional<Index> MaybeAppend(EntryId previous, std::vector<Entry>&& entries, Index leader_commit);
  // The log begins with the snapshot; all entries are gone.
  void Restore(const SnapshotMeta& snapshot);
  // Forgets entries up to `index`, which is applied.
  void CompactTo(Index index);

  void CommitTo(Index index);    // never backwards
  bool MaybeCommit(EntryId at);  // only if the entry at that index has that term (thesis 3.6.2)
  void AppliedTo(Index index);
  void StableTo(EntryId id);  // ignored if another entry stands there by now
  void StableSnapshotTo(Index index);

  bool HasUnstableToWrite() const;
  bool HasCommittedToApply() const;
  std::vector<Entry> TakeUnstable();   // marks them as being written, and the snapshot too
  std::vector<Entry> TakeCommitted();  // marks them as being applied

 private:
  Index MaxAppliable() const;
  void PushBack(Entry&& entry);

  EntryId compacted_;          // the entry in front of entries_
  std::deque<Entry> entries_;  // entries_[i] has index compacted_.index + 1 + i
  uint64_t bytes_ = 0;
  Unstable unstable_;
  Index committed_;
  Index applying_;  // handed to apply
  Index applied_;
};

// What an entry costs in a message.
inline uint64_t SizeBytes(const Entry& e) { return e.bytes().size() + 16; }
uint64_t PayloadBytes(const std::vector<Entry>& entries);

}  // namespace tenon::raft
