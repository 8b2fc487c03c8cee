#include "kernel/raft/unstable.h"

#include <algorithm>

#include "kernel/base/check.h"

namespace tenon::raft {

void Unstable::CutAt(Index from) {
  offset_ = std::min(offset_, from);
  offset_in_progress_ = std::min(offset_in_progress_, from);
}

void Unstable::Restore(const SnapshotMeta& snapshot) {
  offset_ = offset_in_progress_ = snapshot.index + 1;
  snapshot_ = snapshot;
  snapshot_in_progress_ = false;
}

void Unstable::AcceptInProgress(Index last) {
  offset_in_progress_ = std::max(offset_in_progress_, last + 1);
  snapshot_in_progress_ = snapshot_.has_value();
}

void Unstable::StableTo(Index index) {
  CHECK_LT(index, offset_in_progress_);  // nobody can have written what was not handed out
  offset_ = std::max(offset_, index + 1);
}

void Unstable::StableSnapshotTo(Index index) {
  if (!snapshot_ || snapshot_->index != index) return;  // a newer one came meanwhile
  snapshot_.reset();
  snapshot_in_progress_ = false;
}

}  // namespace tenon::raft
