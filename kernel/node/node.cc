#include "kernel/node/node.h"

#include <algorithm>
#include <future>

#include "kernel/base/check.h"
#include "kernel/base/errors.h"
#include "kernel/base/log.h"

namespace tenon::node {

using apply::Proposal;

Node::Node(Parts p, Options options)
    : raft_(p.raft),
      applier_(p.applier),
      clock_(p.clock),
      executor_(p.executor),
      fatal_(p.fatal),
      options_(options),
      log_writer_(
          std::move(p.wal), p.wal_executor, p.metrics,
          [this](std::vector<raft::Message> messages) {
            if (messages.empty()) return;
            Put([&](Inbox& inbox) { std::move(messages.begin(), messages.end(), std::back_inserter(inbox.messages)); });
          },
          p.fatal),
      next_context_(p.clock.WallNs()),
      committed_metric_(p.metrics.NewGauge("etcd_server_proposals_committed_total",
                                           "The total number of consensus proposals committed.")),
      pending_metric_(
          p.metrics.NewGauge("etcd_server_proposals_pending", "The current number of pending proposals to commit.")),
      has_leader_(
          p.metrics.NewGauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.")),
      is_leader_(
          p.metrics.NewGauge("etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.")),
      failed_metric_(
          p.metrics.NewCounter("etcd_server_proposals_failed_total", "The total number of failed proposals seen.")),
      leader_changes_metric_(
          p.metrics.NewCounter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.")),
      reads_failed_metric_(p.metrics.NewCounter("etcd_server_read_indexes_failed_total",
                                                "The total number of failed read indexes seen.")),
      slow_reads_metric_(p.metrics.NewCounter(
          "etcd_server_slow_read_indexes_total",
          "The total number of pending read indexes not in sync with leader's or timed out read index requests.")) {
  terms_.emplace_back(p.raft.compacted.index, p.raft.compacted.term);
  for (const raft::Entry& e : p.raft.entries) {
    if (e.term != terms_.back().second) terms_.emplace_back(e.index, e.term);
  }
  if (p.bootstrap) raft_.Bootstrap(std::move(p.bootstrap->first), std::move(p.bootstrap->second));
  applier_.OnApplied([this](Index) {
    Release();
    // Raft learns of it at the next turn; only a follow-up that waits for it needs a wake-up of its own.
    if (!reads_are_current_.load(std::memory_order_relaxed)) Put([](Inbox& inbox) { inbox.applied = true; });
  });
  applier_.OnTaken([this] { Release(); });
}

template <class Fn>
void Node::Put(Fn&& fn) {
  std::lock_guard lock(inbox_mutex_);
  fn(inbox_);
  if (!std::exchange(scheduled_, true)) executor_.Post([this] { Turn(); });
}

void Node::Start() {
  executor_.Post([this] {
    if (IsSoleVoter()) raft_.Campaign();
    while (raft_.HasReady()) Carry(raft_.TakeReady());
    OnTick();
  });
}

void Node::Stop() {
  std::promise<void> done;
  executor_.Post([&] {
    Inbox inbox;
    {
      std::lock_guard lock(inbox_mutex_);
      stopped_ = true;
      std::swap(inbox, inbox_);
    }
    // Whoever is answered may ask again at once: no lock is held here.
    for (auto& [deadline, proposal] : waiting_) proposal->Complete(errors::Stopped(), {});
    for (const auto& proposal : inbox.proposals) proposal->Complete(errors::Stopped(), {});
    for (ReadDone& read : inbox.reads) read(errors::Stopped());
    for (auto& [context, round] : reads_) {
      for (ReadDone& read : round.reads) read(errors::Stopped());
    }
    waiting_.clear();
    reads_.clear();
    done.set_value();
  });
  done.get_future().wait();
  // Nothing acknowledged depends on it: what is not on disk now was answered to nobody.
  if (const Status status = log_writer_.Flush(); !status.ok()) fatal_(status);
}

void Node::Checkpoint(Index index) {
  std::promise<void> done;
  executor_.Post([&] {
    TakeApplied();
    TakePersisted(index);
    done.set_value();
  });
  done.get_future().wait();
  if (const Status status = log_writer_.Flush(); !status.ok()) fatal_(status);
}

void Node::Propose(std::shared_ptr<const Proposal> proposal) {
  const uint64_t commit = commit_.load(std::memory_order_relaxed);
  const uint64_t applied = applier_.applied().value;  // may be ahead of the commit index that we read
  const uint64_t bytes = proposal->bytes.size();
  Status refused;
  {
    std::lock_guard lock(inbox_mutex_);
    if (stopped_) {
      refused = errors::Stopped();
    } else if (commit > applied + options_.max_unapplied ||
               inbox_.proposal_bytes + bytes > options_.max_waiting_bytes) {
      refused = errors::TooManyRequests();
    } else {
      inbox_.proposals.push_back(std::move(proposal));
      inbox_.proposal_bytes += bytes;
      if (!holding_ && !std::exchange(scheduled_, true)) executor_.Post([this] { Turn(); });
      return;
    }
  }
  proposal->Complete(std::move(refused), {});
}

void Node::ReadBarrier(ReadDone done) {
  // The quorum is this member alone, and its state holds all it ever acknowledged: there is nobody to ask.
  if (reads_are_current_.load(std::memory_order_acquire)) return done(Ok());
  std::unique_lock lock(inbox_mutex_);
  if (stopped_) {
    lock.unlock();
    return done(errors::Stopped());
  }
  inbox_.reads.push_back(std::move(done));
  if (!std::exchange(scheduled_, true)) executor_.Post([this] { Turn(); });
}

void Node::Persisted(Index index) {
  Put([&](Inbox& inbox) { inbox.persisted = std::max(inbox.persisted.value_or(Index()), index); });
}

Node::State Node::state() const {
  return {leader_.load(), static_cast<raft::Role>(role_.load()), Term(term_.load()), Index(commit_.load())};
}

// ---- the loop ----

void Node::Turn() {
  Inbox inbox;
  {
    std::lock_guard lock(inbox_mutex_);
    std::swap(inbox, inbox_);
    scheduled_ = holding_ = false;
    if (stopped_) return;
  }
  TakeApplied();
  for (raft::Message& m : inbox.messages) {
    // The log writer's answers are our own: raft refuses none of them.
    const Status status = raft_.Step(std::move(m));
    CHECK_MSG(status.ok(), std::string(Message(status)));
  }
  if (inbox.tick) raft_.Tick();
  // After a restart the founding entries may have to be applied before we may stand for election.
  if (raft_.leader() == 0 && raft_.role() == raft::Role::kFollower && IsSoleVoter()) raft_.Campaign();
  while (raft_.HasReady()) Carry(raft_.TakeReady());
  // A tick takes them all the same: their time to answer begins then.
  if (inbox.tick || !Hold(inbox.proposals)) TakeProposals(inbox.proposals);
  TakeReads(inbox.reads);
  while (raft_.HasReady()) Carry(raft_.TakeReady());
  if (!inbox.proposals.empty()) PutBack(inbox.proposals, false);
  if (inbox.persisted) TakePersisted(*inbox.persisted);
  PublishState();
}

void Node::OnTick() {
  executor_.PostAfter(options_.tick_ns, [this] {
    {
      std::lock_guard lock(inbox_mutex_);
      if (stopped_) return;
    }
    Put([](Inbox& inbox) { inbox.tick = true; });
    const uint64_t now = clock_.MonoNs();
    // All that is answered goes, not only from the front: one slow request must not keep the bytes of all behind it.
    std::erase_if(waiting_, [&](const auto& waiting) {
      const auto& [deadline, proposal] = waiting;
      if (!proposal->completed() && deadline > now) return false;
      if (!proposal->completed()) {
        failed_metric_.Add();
        proposal->Complete(errors::Timeout(), {});
      }
      return true;
    });
    for (auto it = reads_.begin(); it != reads_.end();) {
      if (it->second.deadline_ns > now) {
        ++it;
        continue;
      }
      slow_reads_metric_.Add();
      for (ReadDone& read : it->second.reads) read(errors::Timeout());
      it = reads_.erase(it);
    }
    pending_metric_.Set(static_cast<double>(waiting_.size()));
    OnTick();
  });
}

void Node::TakeProposals(std::vector<std::shared_ptr<const Proposal>>& proposals) {
  if (proposals.empty()) return;
  const size_t n = std::min<size_t>(proposals.size(), options_.max_batch);
  std::vector<raft::Entry> entries(n);
  for (size_t i = 0; i < n; i++) entries[i].payload = proposals[i];
  const Status status = raft_.Propose(std::move(entries));
  const uint64_t deadline = clock_.MonoNs() + options_.request_timeout_ns;
  for (size_t i = 0; i < n; i++) {
    auto& proposal = proposals[i];
    if (status.ok()) {
      waiting_.emplace_back(deadline, std::move(proposal));
    } else {
      failed_metric_.Add();
      proposal->Complete(absl::IsResourceExhausted(status) ? errors::TooManyRequests() : errors::NoLeader(), {});
    }
  }
  proposals.erase(proposals.begin(), proposals.begin() + static_cast<ptrdiff_t>(n));
}

bool Node::IsAhead() const {
  return applier_.HasBacklog() || raft_.last_index().value >= applier_.applied().value + options_.max_ahead;
}

// Puts them back if the applier has enough to do; it tells when that is over.
bool Node::Hold(std::vector<std::shared_ptr<const Proposal>>& proposals) {
  if (proposals.empty() || !IsAhead()) return false;
  PutBack(proposals, true);
  if (!IsAhead()) Release();  // it told before we held
  return true;
}

// In front of those that came since.
void Node::PutBack(std::vector<std::shared_ptr<const Proposal>>& proposals, bool hold) {
  std::lock_guard lock(inbox_mutex_);
  for (const auto& proposal : proposals) inbox_.proposal_bytes += proposal->bytes.size();
  std::move(inbox_.proposals.begin(), inbox_.proposals.end(), std::back_inserter(proposals));
  inbox_.proposals = std::move(proposals);
  proposals.clear();
  holding_ = hold;
  if (!hold && !std::exchange(scheduled_, true)) executor_.Post([this] { Turn(); });
}

void Node::Release() {
  std::lock_guard lock(inbox_mutex_);
  if (!std::exchange(holding_, false) || stopped_) return;
  if (!std::exchange(scheduled_, true)) executor_.Post([this] { Turn(); });
}

void Node::TakeReads(std::vector<ReadDone>& reads) {
  if (reads.empty()) return;
  const uint64_t context = ++next_context_;
  const Status status = raft_.ReadIndex(context);
  if (status.ok()) {
    reads_[context] = {clock_.MonoNs() + options_.request_timeout_ns, std::move(reads)};
    return;
  }
  reads_failed_metric_.Add();
  for (ReadDone& read : reads) read(errors::NoLeader());
}

void Node::TakeApplied() {
  const Index applied = applier_.applied();
  if (applied <= raft_.applied()) return;
  const Status status = raft_.Step(raft_.AppliedMessage(applied));
  CHECK_MSG(status.ok(), std::string(Message(status)));
  // A sole voter sends its log to nobody; followers of the coming kind are served from what is kept.
  if (applied.value > options_.log_entries_kept + raft_.first_index().value + 1000) {
    raft_.CompactLog(applied - options_.log_entries_kept);
  }
}

void Node::TakePersisted(Index index) {
  raft::SnapshotMeta meta{index, TermOf(index), raft_.conf()};
  if (index.value == 0) return;
  while (terms_.size() > 1 && terms_[1].first <= index) terms_.erase(terms_.begin());
  deferred_state_.reset();
  log_writer_.Checkpoint(std::move(meta), raft_.hard_state());
}

bool Node::IsSoleVoter() const {
  const raft::ConfState& conf = raft_.conf();
  return conf.voters == std::vector<MemberId>{raft_.id()} && conf.voters_outgoing.empty();
}

Term Node::TermOf(Index index) const {
  Term term = terms_.front().second;
  for (const auto& [first, t] : terms_) {
    if (first <= index) term = t;
  }
  return term;
}

void Node::Carry(raft::Ready ready) {
  if (ready.soft_state) {
    const auto& soft = *ready.soft_state;
    if (soft.leader != leader_.load(std::memory_order_relaxed)) {
      leader_changes_metric_.Add();
      LOG_INFO("raft.node: leader changed", LogField::Hex("local-member-id", raft_.id()),
               LogField::Hex("leader", soft.leader), {"term", raft_.term()});
    }
    has_leader_.Set(soft.leader != 0);
    is_leader_.Set(soft.role == raft::Role::kLeader);
  }
  CHECK_MSG(ready.messages.empty(), "a cluster of one has nobody to send to");
  for (const raft::Entry& e : ready.entries) {
    if (e.term != terms_.back().second) terms_.emplace_back(e.index, e.term);
  }

  if (ready.hard_state) deferred_state_ = ready.hard_state;
  if (!ready.entries.empty() || ready.must_sync || !ready.after_append.empty()) {
    // A commit index alone is not worth a write: it goes out with the next entries, or at the next checkpoint.
    log_writer_.Write({std::exchange(deferred_state_, std::nullopt), std::move(ready.entries), ready.must_sync,
                       std::move(ready.after_append)});
  }
  if (!ready.committed.empty()) {
    applier_.Enqueue(std::move(ready.committed), IsSoleVoter());  // who has no heartbeats to send may as well apply
  }
  for (const raft::ReadState& read : ready.reads) {
    const auto it = reads_.find(read.context);
    if (it == reads_.end()) continue;  // timed out
    applier_.WhenApplied(read.index, [reads = std::move(it->second.reads)]() mutable {
      for (ReadDone& done : reads) done(Ok());
    });
    reads_.erase(it);
  }
}

void Node::PublishState() {
  leader_.store(raft_.leader(), std::memory_order_relaxed);
  role_.store(static_cast<uint8_t>(raft_.role()), std::memory_order_relaxed);
  term_.store(raft_.term().value, std::memory_order_relaxed);
  if (commit_.exchange(raft_.commit().value, std::memory_order_relaxed) != raft_.commit().value) {
    committed_metric_.Set(static_cast<double>(raft_.commit().value));
  }
  const Term leads = raft_.role() == raft::Role::kLeader ? raft_.term() : Term();
  if (leads != std::exchange(leads_, leads) && on_role_) on_role_(leads.value != 0, raft_.term());
  const bool sole_leader = raft_.role() == raft::Role::kLeader && raft_.committed_in_term() && IsSoleVoter();
  // Once true it stays true while we lead: all that was acknowledged before us is at or before our term's first entry.
  if (!sole_leader) {
    reads_are_current_.store(false, std::memory_order_release);
  } else if (applier_.applied_term() == raft_.term()) {
    reads_are_current_.store(true, std::memory_order_release);
  }
}

}  // namespace tenon::node
