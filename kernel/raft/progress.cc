#include "kernel/raft/progress.h"

#include <algorithm>

#include "fmt/format.h"
#include "kernel/base/check.h"
#include "kernel/raft/conf_change.h"
#include "kernel/raft/quorum.h"

namespace tenon::raft {

void Inflights::Add(Index last, uint64_t bytes) {
  CHECK(!full());
  if (!sent_.empty()) CHECK_LT(sent_.back().last, last);
  sent_.push_back({last, bytes});
  bytes_ += bytes;
}

void Inflights::FreeUpTo(Index index) {
  for (; !sent_.empty() && sent_.front().last <= index; sent_.pop_front()) bytes_ -= sent_.front().bytes;
}

void Progress::BecomeProbe() {
  // A snapshot that arrived answers for everything in it.
  next = std::max(match, state == ProgressState::kSnapshot ? pending_snapshot : Index(0)) + 1;
  state = ProgressState::kProbe;
  append_paused = false;
  pending_snapshot = Index(0);
  inflights.Clear();
  sent_commit = std::min(sent_commit, next - 1);
}

void Progress::BecomeReplicate() {
  state = ProgressState::kReplicate;
  append_paused = false;
  pending_snapshot = Index(0);
  inflights.Clear();
  next = match + 1;
}

void Progress::BecomeSnapshot(Index snapshot) {
  state = ProgressState::kSnapshot;
  append_paused = false;
  inflights.Clear();
  pending_snapshot = snapshot;
  next = snapshot + 1;
  sent_commit = snapshot;
}

void Progress::SentEntries(size_t entries, uint64_t bytes) {
  CHECK(state != ProgressState::kSnapshot);
  if (state == ProgressState::kProbe) {
    if (entries > 0) append_paused = true;
    return;
  }
  if (entries > 0) {
    next = next + entries;
    inflights.Add(next - 1, bytes);
  }
  append_paused = inflights.full();
}

bool Progress::MaybeUpdate(Index index) {
  if (index <= match) return false;
  match = index;
  next = std::max(next, index + 1);
  append_paused = false;
  return true;
}

bool Progress::MaybeDecrease(Index rejected, Index hint) {
  if (state == ProgressState::kReplicate) {
    if (rejected <= match) return false;  // answered since
    next = match + 1;
  } else {
    if (next - 1 != rejected) return false;  // not the probe that we sent last
    next = std::max(std::min(rejected, hint + 1), match + 1);
    append_paused = false;
  }
  sent_commit = std::min(sent_commit, next - 1);
  return true;
}

std::string Progress::ToString() const {
  static constexpr const char* kNames[] = {"StateProbe", "StateReplicate", "StateSnapshot"};
  std::string out = fmt::format("{} match={} next={}", kNames[static_cast<int>(state)], match.value, next.value);
  if (is_learner) out += " learner";
  if (paused()) out += " paused";
  if (pending_snapshot > Index(0)) out += fmt::format(" pendingSnap={}", pending_snapshot.value);
  if (!recent_active) out += " inactive";
  if (inflights.count() > 0) {
    out += fmt::format(" inflight={}", inflights.count());
    if (inflights.full()) out += "[full]";
  }
  return out;
}

Progress* Tracker::Find(MemberId id) {
  const auto it = members_.find(id);
  return it == members_.end() ? nullptr : &it->second;
}

const Progress* Tracker::Find(MemberId id) const { return const_cast<Tracker*>(this)->Find(id); }

void Tracker::SwitchTo(const ConfState& conf, Index next) {
  std::erase_if(members_, [&](const auto& m) { return !IsMember(conf, m.first); });
  for (MemberId id : Members(conf)) {
    const auto [it, added] = members_.try_emplace(id, next, window_);
    it->second.is_learner = IsLearner(conf, id);
    // Else the check of the quorum could end our term before the new member had a chance to say anything.
    if (added) it->second.recent_active = true;
  }
}

Index Tracker::Committed(const ConfState& conf) const {
  return Index(JointReached(conf, [&](MemberId id) {
    const Progress* progress = Find(id);
    return progress == nullptr ? 0 : progress->match.value;
  }));
}

bool Tracker::QuorumActive(const ConfState& conf) const {
  return JointVote(conf, [&](MemberId id) -> std::optional<bool> {
           const Progress* progress = Find(id);
           return progress != nullptr && progress->recent_active;
         }) == VoteResult::kWon;
}

}  // namespace tenon::raft
