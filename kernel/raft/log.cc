#include "kernel/raft/log.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "fmt/format.h"
#include "kernel/base/check.h"
#include "kernel/base/mutant.h"

namespace tenon::raft {

Log::Log(const SnapshotMeta& compacted, std::vector<Entry> entries, Index committed, Index applied)
    : compacted_{compacted.term, compacted.index},
      entries_(std::make_move_iterator(entries.begin()), std::make_move_iterator(entries.end())),
      unstable_(compacted.index + entries.size()),
      committed_(committed),
      applying_(applied),
      applied_(applied) {
  EntryId previous = compacted_;
  for (const Entry& e : entries_) {
    CHECK_EQ(e.index, previous.index + 1);
    CHECK_GE(e.term, previous.term);
    previous = {e.term, e.index};
    bytes_ += SizeBytes(e);
  }
  CHECK_LE(compacted_.index, applied_);
  CHECK_LE(applied_, committed_);
  CHECK_LE(committed_, last_index());
}

std::optional<Term> Log::TermAt(Index index) const {
  if (index < compacted_.index || index > last_index()) return std::nullopt;
  if (index == compacted_.index) return compacted_.term;
  return At(index).term;
}

bool Log::IsUpToDate(EntryId theirs) const {
  const EntryId ours = last();
  return theirs.term > ours.term || (theirs.term == ours.term && theirs.index >= ours.index);
}

const Entry& Log::At(Index index) const {
  CHECK_GE(index, first_index());
  CHECK_LE(index, last_index());
  return entries_[index - compacted_.index - 1];
}

std::vector<Entry> Log::Read(Index from, Index last, uint64_t max_bytes) const {
  if (from > last) return {};
  CHECK_GE(from, first_index());
  CHECK_LE(last, last_index());
  const auto begin = entries_.begin() + static_cast<ptrdiff_t>(from - compacted_.index - 1);
  auto end = begin + static_cast<ptrdiff_t>(last - from + 1);
  if (max_bytes != UINT64_MAX) {
    uint64_t bytes = 0;
    auto it = begin;
    while (it != end && (bytes += SizeBytes(*it)) <= max_bytes) ++it;
    end = it == begin ? begin + 1 : it;
  }
  return {begin, end};
}

EntryId Log::FindConflictByTerm(Index index, Term term) const {
  for (; index > Index(0); index = index - 1) {
    const std::optional<Term> ours = TermAt(index);
    if (!ours) return {Term(0), index};  // compacted: it may match, we cannot know
    if (*ours <= term) return {*ours, index};
  }
  return {};
}

void Log::Append(std::vector<Entry>&& entries, Term term) {
  CHECK_GE(term, last().term);
  Index index = last_index();
  for (Entry& e : entries) {
    e.term = term;
    e.index = ++index;
    PushBack(std::move(e));
  }
}

std::optional<Index> Log::MaybeAppend(EntryId previous, std::vector<Entry>&& entries, Index leader_commit) {
  if (!Matches(previous)) return std::nullopt;
  const Index last_new = previous.index + entries.size();
  auto first_new = entries.begin();
  while (first_new != entries.end() && Matches({first_new->term, first_new->index})) ++first_new;
  if (first_new != entries.end()) {
    const Index from = first_new->index;
    CHECK_MSG(from > committed_,
              fmt::format("a leader contradicts entry {}, which is committed up to {}: safety is gone", from.value,
                          committed_.value));
    if (from <= last_index()) {
      if (Planted(Mutant::kConflictKept)) return last_new;
      while (last_index() >= from) {
        bytes_ -= SizeBytes(entries_.back());
        entries_.pop_back();
      }
      unstable_.CutAt(from);
    }
    for (; first_new != entries.end(); ++first_new) {
      CHECK_EQ(first_new->index, last_index() + 1);
      PushBack(std::move(*first_new));
    }
  }
  CommitTo(std::min(leader_commit, last_new));
  return last_new;
}

void Log::Restore(const SnapshotMeta& snapshot) {
  CHECK_GT(snapshot.index, committed_);
  entries_.clear();
  bytes_ = 0;
  compacted_ = {snapshot.term, snapshot.index};
  committed_ = snapshot.index;
  unstable_.Restore(snapshot);
}

void Log::CompactTo(Index index) {
  CHECK_LE(index, applied_);
  if (index <= compacted_.index) return;
  compacted_ = {At(index).term, index};
  while (!entries_.empty() && entries_.front().index <= index) {
    bytes_ -= SizeBytes(entries_.front());
    entries_.pop_front();
  }
}

void Log::PushBack(Entry&& entry) {
  bytes_ += SizeBytes(entry);
  entries_.push_back(std::move(entry));
}

void Log::CommitTo(Index index) {
  if (index <= committed_) return;
  CHECK_MSG(index <= last_index(), fmt::format("commit {} is behind the log's end {}: acknowledged entries are lost",
                                               index.value, last_index().value));
  committed_ = index;
}

bool Log::MaybeCommit(EntryId at) {
  if (at.index <= committed_ || !Matches(at)) return false;
  CommitTo(at.index);
  return true;
}

void Log::AppliedTo(Index index) {
  CHECK_GE(index, applied_);
  CHECK_LE(index, committed_);
  applied_ = index;
  applying_ = std::max(applying_, index);
}

void Log::StableTo(EntryId id) {
  if (id.index < unstable_.offset()) return;  // known already
  if (!Matches(id)) return;                   // cut off since, another entry is on its way to that place
  unstable_.StableTo(id.index);
}

void Log::StableSnapshotTo(Index index) { unstable_.StableSnapshotTo(index); }

bool Log::HasUnstableToWrite() const { return unstable_.offset_in_progress() <= last_index(); }

// Behind a snapshot that is not installed yet nothing is applied: its state comes first.
Index Log::MaxAppliable() const {
  if (has_pending_snapshot()) return applying_;
  if (Planted(Mutant::kAppliesUnsynced)) return committed_;
  return std::min(committed_, unstable_.offset() - 1);
}

bool Log::HasCommittedToApply() const { return applying_ < MaxAppliable(); }

std::vector<Entry> Log::TakeUnstable() {
  std::vector<Entry> out = Read(unstable_.offset_in_progress(), last_index(), UINT64_MAX);
  unstable_.AcceptInProgress(last_index());
  return out;
}

std::vector<Entry> Log::TakeCommitted() {
  if (!HasCommittedToApply()) return {};
  const Index last = MaxAppliable();
  std::vector<Entry> out = Read(applying_ + 1, last, UINT64_MAX);
  applying_ = last;
  return out;
}

uint64_t PayloadBytes(const std::vector<Entry>& entries) {
  uint64_t bytes = 0;
  for (const Entry& e : entries) bytes += e.bytes().size();
  return bytes;
}

}  // namespace tenon::raft
