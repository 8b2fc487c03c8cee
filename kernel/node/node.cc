#include "kernel/node/node.h"

#include <algorithm>
#include <future>

#include "kernel/base/check.h"
#include "kernel/base/errors.h"
#include "kernel/base/bufs.h"
#include "kernel/base/log.h"
#include "kernel/base/units.h"
#include "kernel/wal/wire.h"

namespace tenon::node {

namespace {

constexpr uint64_t kAskToFetchAgainNs = 5'000'000'000;

}  // namespace

Node::Node(Parts p, Options options)
    : door_(std::make_shared<Door>()),
      raft_(p.raft),
      applier_(p.applier),
      clock_(p.clock),
      executor_(p.executor),
      fatal_(p.fatal),
      peers_(p.peers),
      fetch_state_(std::move(p.fetch_state)),
      options_(options),
      election_ns_(static_cast<uint64_t>(p.raft.election_ticks) * options.tick_ns),
      log_writer_(
          std::move(p.wal), p.wal_executor, p.clock, p.metrics,
          [this, self = p.raft.id, restored = std::move(p.restored)](LogWriter::Durable durable) {
            const auto others = std::stable_partition(durable.messages.begin(), durable.messages.end(),
                                                      [&](const raft::Message& m) { return m.to == self; });
            std::vector<raft::Message> to_others(std::make_move_iterator(others),
                                                 std::make_move_iterator(durable.messages.end()));
            durable.messages.erase(others, durable.messages.end());
            Send(std::move(to_others));
            if (durable.restored) return restored();
            if (durable.messages.empty()) return;
            Put([&](Inbox& inbox) {
              std::move(durable.messages.begin(), durable.messages.end(), std::back_inserter(inbox.own));
            });
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
  applier_.OnMemberChange([this, tell = std::move(p.member_changed)](Index index, const cluster::MemberChange& change) {
    Put([&](Inbox& inbox) { inbox.changes.emplace_back(index, change.ForRaft()); });
    if (tell) tell(change);
  });
  door_->node = this;
}

void Node::Start() {
  executor_.Post([this] {
    if (IsSoleVoter()) raft_.Campaign();
    while (raft_.HasReady()) Carry(raft_.TakeReady());
    OnTick();
  });
}

void Node::Stop() {
  {
    std::lock_guard lock(door_->mutex);
    door_->node = nullptr;
  }
  std::promise<void> done;
  executor_.Post([&] {
    Inbox inbox;
    {
      std::lock_guard lock(inbox_mutex_);
      stopped_ = true;
      std::swap(inbox, inbox_);
    }
    // Whoever is answered may ask again at once: no lock is held here.
    for (auto& job : inbox.jobs) job();  // each answers somebody
    for (const BatchPtr& batch : waiting_) Fail(*batch, errors::Stopped());
    for (const auto& proposal : inbox.proposals) proposal->Complete(errors::Stopped(), {});
    for (ReadDone& read : inbox.reads) read(errors::Stopped());
    for (auto& [context, round] : rounds_) unasked_.push_back(std::move(round));
    for (ReadRound& round : unasked_) {
      for (ReadDone& read : round.reads) read(errors::Stopped());
    }
    for (Transfer& transfer : transfers_) transfer.done(errors::Stopped());
    waiting_.clear();
    parked_.clear();
    rounds_.clear();
    unasked_.clear();
    transfers_.clear();
    done.set_value();
  });
  done.get_future().wait();
  // Nothing acknowledged depends on it: what is not on disk now was answered to nobody.
  if (const Status status = log_writer_.Flush(); !status.ok()) fatal_(status);
}

void Node::Checkpoint(Index index) {
  std::promise<void> done;
  executor_.Post([&] {
    TakePersisted(index);
    done.set_value();
  });
  done.get_future().wait();
  if (const Status status = log_writer_.Flush(); !status.ok()) fatal_(status);
}

void Node::Persisted(Index index) {
  Put([&](Inbox& inbox) { inbox.persisted = std::max(inbox.persisted.value_or(Index()), index); });
}

Node::State Node::state() const {
  return {leader_.load(), static_cast<raft::Role>(role_.load()), Term(term_.load()), Index(commit_.load())};
}

// ---- between members ----

Status Node::Deliver(const PeerSender& from, std::string_view bytes) {
  Result<raft::Message> message = raft::DecodeMessage(bytes);
  if (!message.ok()) return message.status();
  if (message->to != raft_.id() || message->from != from.member_id) {
    return absl::FailedPreconditionError(fmt::format("a message from {:x} to {:x} came from {:x} to {:x}",
                                                     message->from, message->to, from.member_id, raft_.id()));
  }
  std::lock_guard lock(inbox_mutex_);
  if (stopped_ || inbox_.message_bytes + bytes.size() > options_.max_message_bytes) {
    return absl::ResourceExhaustedError("this member has too much to do");
  }
  inbox_.message_bytes += bytes.size();
  inbox_.messages.push_back(*std::move(message));
  if (!std::exchange(scheduled_, true)) executor_.Post([this] { Turn(); });
  return Ok();
}

void Node::Unreachable(MemberId id) {
  Put([&](Inbox& inbox) { inbox.jobs.push_back([this, id] { raft_.ReportUnreachable(id); }); });
}

void Node::Restored(raft::Message message) {
  fetched_ = true;
  Put([&](Inbox& inbox) {
    inbox.jobs.push_back([this, message = std::move(message)]() mutable {
      Restore(std::move(message));
      fetched_ = false;
    });
  });
}

void Node::Restore(raft::Message message) {
  const Index index = message.snapshot->index;
  const Status status = raft_.Step(std::move(message));
  if (status.ok() && raft_.commit() == index) {
    LOG_INFO("raft goes on from the fetched state", {"index", index});
  } else {
    LOG_INFO("the fetched state is of no use any more", {"index", index}, {"commit", raft_.commit()},
             {"reason", status});
  }
  while (raft_.HasReady()) Carry(raft_.TakeReady());
}

void Node::Abstain() {
  Put([&](Inbox& inbox) {
    inbox.jobs.push_back([this] {
      if (abstains_since_ns_) return;
      abstains_since_ns_ = clock_.MonoNs();
      raft_.Abstain();
      if (const MemberId to = Leads() ? BestTransferee() : 0; to != 0) raft_.TransferLeader(to);
    });
  });
}

void Node::Adopt(raft::SnapshotMeta state) {
  fetched_ = true;
  Put([&](Inbox& inbox) {
    inbox.jobs.push_back([this, state = std::move(state)]() mutable { adopted_ = std::move(state); });
  });
}

void Node::MoveLeader(MemberId to, absl::AnyInvocable<void(Status)> done) {
  Put([&](Inbox& inbox) {
    inbox.jobs.push_back([this, to, done = std::move(done)]() mutable {
      if (!Leads()) return done(errors::NotLeader());
      if (to == raft_.id()) return done(Ok());
      raft_.TransferLeader(to);
      transfers_.push_back({to, clock_.MonoNs() + options_.request_timeout_ns, std::move(done)});
    });
  });
}

void Node::HandOver(absl::AnyInvocable<void()> done) {
  Put([&](Inbox& inbox) {
    inbox.jobs.push_back([this, done = std::move(done)]() mutable {
      const MemberId to = Leads() ? BestTransferee() : 0;
      if (to == 0) return done();
      LOG_INFO("leadership transfer starting", LogField::Hex("local-member-id", raft_.id()),
               LogField::Hex("transferee-member-id", to));
      raft_.TransferLeader(to);
      transfers_.push_back(
          {to, clock_.MonoNs() + election_ns_, [done = std::move(done)](const Status&) mutable { done(); }});
    });
  });
}

// The voter that can take over soonest: reachable, with the longest log.
MemberId Node::BestTransferee() const {
  MemberId best = 0;
  Index match;
  for (const auto& [id, progress] : raft_.progress()->all()) {
    if (id == raft_.id() || progress.is_learner || peers_ == nullptr || peers_->ActiveSinceNs(id) == 0) continue;
    if (best != 0 && progress.match <= match) continue;
    best = id;
    match = progress.match;
  }
  return best;
}

void Node::ReachOf(MemberId id, absl::AnyInvocable<void(Result<Reach>)> done) {
  Put([&](Inbox& inbox) {
    inbox.jobs.push_back([this, id, done = std::move(done)]() mutable {
      if (!Leads()) return done(errors::NotLeader());
      const raft::Progress* progress = raft_.progress()->Find(id);
      if (progress == nullptr) return done(errors::MemberNotFound());
      done(Reach{progress->match, raft_.progress()->Find(raft_.id())->match, progress->is_learner});
    });
  });
}

// ---- the loop ----

void Node::Turn() {
  Inbox inbox;
  // In front of the inbox: a change of members comes into it before its index counts as applied.
  const Index applied = applier_.applied();
  {
    std::lock_guard lock(inbox_mutex_);
    std::swap(inbox, inbox_);
    scheduled_ = holding_ = false;
    if (stopped_) return;
  }
  if (restoring_) {
    for (auto& job : inbox.jobs) job();  // each answers somebody
    return;
  }
  for (const auto& [index, change] : inbox.changes) raft_.ApplyConfChange(index, change);
  TakeApplied(applied);
  for (raft::Message& m : inbox.own) {
    // Raft refuses none of the log writer's answers.
    const Status status = raft_.Step(std::move(m));
    CHECK_MSG(status.ok(), std::string(Message(status)));
  }
  for (raft::Message& m : inbox.messages) TakeMessage(std::move(m));
  for (auto& job : inbox.jobs) job();
  if (restoring_) return;
  if (inbox.tick) {
    const uint64_t now = clock_.MonoNs();
    if (!LeadsWithoutDisk(now)) raft_.Tick();
    if (abstains_since_ns_ && Leads() && now >= *abstains_since_ns_ + election_ns_) raft_.StepDown();
    if (peers_ != nullptr) WatchFetches(now);
  }
  // After a restart the founding entries may have to be applied before we may stand for election.
  if (raft_.leader() == 0 && raft_.role() == raft::Role::kFollower && IsSoleVoter()) raft_.Campaign();
  while (raft_.HasReady()) Carry(raft_.TakeReady());
  place_parked_ |= inbox.tick;
  PlaceParked();
  // A tick takes them all the same: their time to answer begins then.
  if (inbox.tick || !Hold(inbox.proposals)) TakeProposals(inbox.proposals);
  TakeReads(inbox.reads);
  while (raft_.HasReady()) Carry(raft_.TakeReady());
  if (!inbox.proposals.empty()) PutBack(inbox.proposals, false);
  if (inbox.persisted) TakePersisted(*inbox.persisted);
  if (adopted_) TakeAdopted();
  if (!transfers_.empty()) TakeTransfers(clock_.MonoNs());
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
    ExpireProposals(now);
    RetryReads(now, false);
    OnTick();
  });
}

void Node::TakeMessage(raft::Message&& message) {
  if (message.type == raft::MessageType::kSnap && message.snapshot && message.snapshot->index > raft_.commit() &&
      !raft_.log().Matches({message.snapshot->term, message.snapshot->index})) {
    if (adopted_ && adopted_->index >= message.snapshot->index) {
      message.snapshot = adopted_;
      return Restore(std::move(message));
    }
    if (adopted_) {  // it is too old by now: another one
      adopted_.reset();
      fetched_ = false;
    }
    // Its state comes first; raft hears of it when that is here.
    if (message.term >= raft_.term() && fetch_state_ && !fetched_) fetch_state_(std::move(message));
    return;
  }
  raft_.Step(std::move(message)).IgnoreError();  // from nobody of ours, or of no use to the role we have
}

void Node::TakeApplied(Index applied) {
  if (applied <= raft_.applied()) return;
  const Status status = raft_.Step(raft_.AppliedMessage(applied));
  CHECK_MSG(status.ok(), std::string(Message(status)));
  CompactLog();
}

// A sole voter sends its log to nobody. Others keep what a follower may still need; while one fetches a state, all that
// comes behind that.
void Node::CompactLog() {
  if (!fetching_.empty()) return;
  const uint64_t kept = IsSoleVoter() ? options_.log_entries_kept : options_.log_entries_for_followers;
  const Index applied = raft_.applied();
  Index to;
  if (applied.value > kept + raft_.first_index().value + 1000) to = applied - kept;
  if (const raft::Log& log = raft_.log(); log.bytes() > 2 * options_.log_bytes_kept) {
    uint64_t bytes = log.bytes();
    for (Index i = log.first_index(); i <= applied && bytes > options_.log_bytes_kept; i = i + 1) {
      bytes -= raft::SizeBytes(log.At(i));
      to = std::max(to, i);
    }
  }
  if (to.value != 0) raft_.CompactLog(to);
}

// A leader goes on asking a member that needs a state to fetch one, and keeps the log that it will need behind it,
// until the member follows again or is gone.
void Node::WatchFetches(uint64_t now) {
  if (!Leads()) return fetching_.clear();
  for (const auto& [id, progress] : raft_.progress()->all()) {
    if (progress.state == raft::ProgressState::kReplicate || peers_->ActiveSinceNs(id) == 0) {
      fetching_.erase(id);
    } else if (progress.state == raft::ProgressState::kSnapshot) {
      uint64_t& asked = fetching_.try_emplace(id, now).first->second;
      if (now < asked + kAskToFetchAgainNs) continue;
      asked = now;
      raft_.ReportSnapshot(id, false);
    }
  }
}

// A leader whose disk does not answer for the time of an election holds everybody up: what it appends commits, but is
// neither applied nor answered here. So it hands over, and if nobody takes it, it stops to lead all the same, its
// leases with it (etcd#15247: they were all revoked by a leader that hung in fdatasync). It asks for no votes
// meanwhile.
bool Node::LeadsWithoutDisk(uint64_t now) {
  const uint64_t since = log_writer_.BusySinceNs();
  if (IsSoleVoter() || since == 0 || now < since + election_ns_) {
    handing_over_ = false;
    return false;
  }
  if (!Leads()) return true;
  if (!std::exchange(handing_over_, true)) {
    LOG_WARN("the log's disk does not answer: handing leadership over", LogField::Hex("local-member-id", raft_.id()),
             {"for", FormatDurationNs(static_cast<int64_t>(now - since))});
    if (const MemberId to = BestTransferee(); to != 0) raft_.TransferLeader(to);
  } else if (now >= since + 2 * election_ns_) {
    raft_.StepDown();
  }
  return true;
}

void Node::TakeTransfers(uint64_t now) {
  for (size_t i = 0; i < transfers_.size();) {
    const bool arrived = raft_.leader() == transfers_[i].to;
    if (!arrived && transfers_[i].deadline_ns > now) {
      i++;
      continue;
    }
    transfers_[i].done(arrived ? Ok() : errors::TimeoutLeaderTransfer());
    transfers_.erase(transfers_.begin() + static_cast<ptrdiff_t>(i));
  }
}

void Node::TakePersisted(Index index) {
  if (index.value == 0 || restoring_) return;  // the log begins behind the fetched state by now
  raft::SnapshotMeta meta{index, TermOf(index), raft_.conf()};
  while (terms_.size() > 1 && terms_[1].first <= index) terms_.erase(terms_.begin());
  deferred_state_.reset();
  // In its turn with what else is written: a state written behind a newer one would take the commit index back.
  log_writer_.Write({.hard_state = raft_.hard_state(), .checkpoint = std::move(meta), .must_sync = true},
                    IsSoleVoter());
}

// As a checkpoint, with the fetched state in the place of the engine's.
void Node::TakeAdopted() {
  if (restoring_ || raft_.commit() < adopted_->index) return;
  CHECK_MSG(TermOf(adopted_->index) == adopted_->term,
            fmt::format("entry {} is of term {} here and of term {} where the state comes from", adopted_->index.value,
                        TermOf(adopted_->index).value, adopted_->term.value));
  LOG_INFO("the log goes on from the fetched state", {"index", adopted_->index});
  deferred_state_.reset();
  restoring_ = true;
  log_writer_.Write(
      {.hard_state = raft_.hard_state(), .checkpoint = std::move(adopted_), .adopts = true, .must_sync = true});
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
      if (soft.leader != 0) leader_elected_ns_ = clock_.MonoNs();
      place_parked_ = true;
      LOG_INFO("raft.node: leader changed", LogField::Hex("local-member-id", raft_.id()),
               LogField::Hex("leader", soft.leader), {"term", raft_.term()});
    }
    has_leader_.Set(soft.leader != 0);
    is_leader_.Set(soft.role == raft::Role::kLeader);
    if (soft.leader != 0) RetryReads(clock_.MonoNs(), true);
  }
  Send(std::move(ready.messages));  // beside the write
  if (!ready.entries.empty()) {
    while (terms_.size() > 1 && terms_.back().first >= ready.entries.front().index) terms_.pop_back();
  }
  for (const raft::Entry& e : ready.entries) {
    if (e.term != terms_.back().second) terms_.emplace_back(e.index, e.term);
  }

  if (ready.hard_state) deferred_state_ = ready.hard_state;
  if (!ready.entries.empty() || ready.must_sync || !ready.after_append.empty() || ready.snapshot) {
    // A commit index alone is not worth a write: it goes out with the next entries, or at the next checkpoint. Who
    // leads nobody may as well write here; a leader of others must not wait for its disk, nor a follower.
    restoring_ = ready.snapshot.has_value();
    log_writer_.Write({.hard_state = std::exchange(deferred_state_, std::nullopt),
                       .entries = std::move(ready.entries),
                       .snapshot = std::move(ready.snapshot),
                       .must_sync = ready.must_sync,
                       .after_append = std::move(ready.after_append)},
                      IsSoleVoter());
  }
  if (restoring_) return;
  if (!ready.committed.empty()) {
    applier_.Enqueue(std::move(ready.committed), IsSoleVoter());  // who has no heartbeats to send may as well apply
  }
  for (const raft::ReadState& read : ready.reads) OnReadState(read);
}

// Entries may be many: what must be quick has a way of its own. [node, wal]
void Node::Send(std::vector<raft::Message>&& messages) {
  if (messages.empty()) return;
  CHECK_MSG(peers_ != nullptr, "a cluster of one has nobody to send to");
  std::vector<PeerMessage> out;
  out.reserve(messages.size());
  for (const raft::Message& m : messages) {
    std::string bytes;
    raft::AppendMessage(bytes, m);
    const bool bulk = m.type == raft::MessageType::kApp || m.type == raft::MessageType::kSnap;
    BufsBuilder builder;
    builder.Append(bytes);
    out.push_back({m.to, !bulk, static_cast<uint32_t>(m.type), builder.Take()});
  }
  peers_->Send(std::move(out));
}

void Node::PublishState() {
  leader_.store(raft_.leader(), std::memory_order_relaxed);
  role_.store(static_cast<uint8_t>(raft_.role()), std::memory_order_relaxed);
  term_.store(raft_.term().value, std::memory_order_relaxed);
  if (commit_.exchange(raft_.commit().value, std::memory_order_relaxed) != raft_.commit().value) {
    committed_metric_.Set(static_cast<double>(raft_.commit().value));
  }
  // Not before all that former leaders have left is applied: what they decided about leases counts first.
  const bool arrived = raft_.role() == raft::Role::kLeader && applier_.applied_term() == raft_.term();
  const Term leads = arrived ? raft_.term() : Term();
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
