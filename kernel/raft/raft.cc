// Tick, Step with the term gate, Ready, and what all roles do alike.
#include "kernel/raft/raft.h"

#include <algorithm>
#include <utility>

#include "kernel/base/check.h"
#include "kernel/base/mutant.h"

namespace tenon::raft {
namespace {

// Travels only inside a member; the functions of Raft make them, nobody may send one.
bool IsInternal(MessageType type) {
  switch (type) {
    case MessageType::kHup:
    case MessageType::kBeat:
    case MessageType::kUnreachable:
    case MessageType::kSnapStatus:
    case MessageType::kCheckQuorum:
    case MessageType::kStorageAppend:
    case MessageType::kStorageApply:
    case MessageType::kForgetLeader: return true;
    default: return false;
  }
}

bool IsStorageAnswer(MessageType type) {
  return type == MessageType::kStorageAppendResp || type == MessageType::kStorageApplyResp;
}

bool IsPeerAnswer(MessageType type) {
  return type == MessageType::kAppResp || type == MessageType::kVoteResp || type == MessageType::kHeartbeatResp ||
         type == MessageType::kPreVoteResp || type == MessageType::kReadIndexResp;
}

bool IsVoteRequest(MessageType type) { return type == MessageType::kVote || type == MessageType::kPreVote; }

bool IsFromLeader(MessageType type) {
  return type == MessageType::kApp || type == MessageType::kHeartbeat || type == MessageType::kSnap;
}

// Belongs to no term: whoever leads when it arrives may serve it. Also what a member tells itself of its state machine.
bool HasNoTerm(MessageType type) {
  return type == MessageType::kProp || type == MessageType::kReadIndex || type == MessageType::kTransferLeader ||
         type == MessageType::kStorageApplyResp;
}

bool MayComeFromOurselves(MessageType type) {
  return HasNoTerm(type) || type == MessageType::kAppResp || type == MessageType::kVoteResp ||
         type == MessageType::kPreVoteResp || type == MessageType::kStorageAppendResp;
}

// What a peer must keep to, so that a broken one is refused and does not end this process by a CHECK.
bool WellFormed(const Message& m, MemberId self) {
  constexpr uint64_t kHuge = uint64_t{1} << 63;  // no honest number gets there, and arithmetic with those below is safe
  if (m.from == self) return MayComeFromOurselves(m.type) && (m.type != MessageType::kProp || !m.entries.empty());
  if (m.from == 0) return false;
  if (m.term.value >= kHuge || m.log_term.value >= kHuge || m.index.value >= kHuge) return false;
  if (m.term == Term(0) && !HasNoTerm(m.type)) return false;
  if (m.type == MessageType::kProp) return !m.entries.empty();
  if (m.type == MessageType::kSnap)
    return m.snapshot && m.term >= m.snapshot->term && m.snapshot->index.value < kHuge &&
           Validate(Sorted(m.snapshot->conf)).ok();
  if (m.type != MessageType::kApp) return true;
  EntryId previous{m.log_term, m.index};
  for (const Entry& e : m.entries) {
    if (e.index != previous.index + 1 || e.term < previous.term || e.term > m.term) return false;
    previous = {e.term, e.index};
  }
  return true;
}

// The log may end in a higher term than the hard state says: power failed between the two. Nobody was told of that
// term, so it has no vote in it.
HardState AtLeastTerm(HardState hard_state, Term last_term) {
  if (last_term > hard_state.term) hard_state = {last_term, 0, hard_state.commit};
  return hard_state;
}

// A leader appends a change of members only when it has applied the one before (thesis 4.1): that one is committed,
// whatever the commit index on disk says. It is written behind the entries, and a torn write loses it. To ask the
// voters of two configurations ago for votes would not be safe, as a majority of them may have left.
Index CommittedByChanges(const std::vector<Entry>& entries) {
  Index newest, before;
  for (const Entry& e : entries)
    if (e.type != EntryType::kNormal) before = std::exchange(newest, e.index);
  return before;
}

}  // namespace

Raft::Raft(Config config)
    : config_(std::move(config)),
      log_(config_.compacted, config_.entries,
           std::max({config_.hard_state.commit, config_.applied, CommittedByChanges(config_.entries)}),
           config_.applied),
      conf_(Sorted(std::move(config_.conf))),
      random_(config_.seed),
      last_hard_state_(config_.hard_state) {
  config_.entries = std::vector<Entry>();
  CHECK_NE(config_.id, 0u);
  CHECK_GT(config_.heartbeat_ticks, 0);
  CHECK_GT(config_.election_ticks, config_.heartbeat_ticks);
  CHECK_GT(config_.max_inflight, 0u);
  CHECK_MSG(Validate(conf_).ok(), Validate(conf_).ToString());
  const HardState start = AtLeastTerm(config_.hard_state, log_.last().term);
  term_ = start.term;
  vote_ = start.vote;
  BecomeFollower(term_, 0);
}

void Raft::Bootstrap(std::vector<Entry> entries, ConfState conf) {
  CHECK_EQ(log_.last_index(), Index(0));
  CHECK_EQ(term_, Term(0));
  CHECK(!entries.empty());
  BecomeFollower(Term(1), 0);
  log_.Append(std::move(entries), Term(1));
  log_.CommitTo(log_.last_index());
  conf_ = Sorted(std::move(conf));
  CHECK_MSG(Validate(conf_).ok(), Validate(conf_).ToString());
}

void Raft::Tick() {
  if (auto* leader = std::get_if<Leader>(&role_)) return TickLeader(*leader);
  election_elapsed_++;
  if (!promotable()) return;
  // Nobody else could have been elected: no reason to wait.
  if (election_elapsed_ < election_timeout_ && !(sole_voter() && role() == Role::kFollower)) return;
  election_elapsed_ = 0;
  Campaign();
}

void Raft::Campaign() { Hup(config_.pre_vote ? Campaigning::kPreElection : Campaigning::kElection); }

Status Raft::Step(Message m) {
  if (IsInternal(m.type) || (IsStorageAnswer(m.type) && m.from != id()))
    return absl::InvalidArgumentError("raft: cannot step raft local message");
  if (IsPeerAnswer(m.type) && m.from != id() && !IsMember(conf_, m.from))
    return absl::NotFoundError("raft: cannot step as peer not found");
  if (!WellFormed(m, id())) return absl::InvalidArgumentError("raft: malformed message");

  if (m.term > term_ && !OnHigherTerm(m)) return Ok();
  if (m.term < term_ && m.term != Term(0)) return OnLowerTerm(m), Ok();  // term 0: no term, a local or forwarded one

  switch (m.type) {
    case MessageType::kStorageAppendResp: return OnStorageAppendResp(m), Ok();
    case MessageType::kStorageApplyResp: return OnStorageApplyResp(m), Ok();
    case MessageType::kVote:
    case MessageType::kPreVote: return OnVote(m), Ok();
    default: break;
  }
  if (auto* leader = std::get_if<Leader>(&role_)) return StepLeader(*leader, m);
  if (auto* candidate = std::get_if<Candidate>(&role_)) return StepCandidate(*candidate, m);
  return StepFollower(std::get<Follower>(role_), m);
}

// While we hear from a leader, nobody gets our vote and nobody raises our term: a member that was cut off, or removed,
// must not disturb those who work (thesis 4.2.3).
bool Raft::IgnoresVote(const Message& m) const {
  if (m.context == kCampaignTransfer) return false;
  return config_.check_quorum && leader() != 0 && election_elapsed_ < config_.election_ticks;
}

// False: the message ends here.
bool Raft::OnHigherTerm(const Message& m) {
  if (IsVoteRequest(m.type) && IgnoresVote(m)) return false;
  if (m.type == MessageType::kPreVote) return true;                   // asks about a term that may never be
  if (m.type == MessageType::kPreVoteResp && !m.reject) return true;  // our own question's term comes back
  BecomeFollower(m.term, IsFromLeader(m.type) ? m.from : 0);
  return true;
}

void Raft::OnLowerTerm(const Message& m) {
  if ((config_.check_quorum || config_.pre_vote) &&
      (m.type == MessageType::kHeartbeat || m.type == MessageType::kApp)) {
    // A leader that we left behind. It would never learn of our term, because nobody answers our vote requests while
    // it leads: tell it, so that it steps down and an election includes us.
    Send({.type = MessageType::kAppResp, .to = m.from});
  } else if (m.type == MessageType::kPreVote) {
    // Silence could lock up a cluster of which some members do not ask before they raise their term.
    Send({.type = MessageType::kPreVoteResp, .to = m.from, .term = term_, .reject = true});
  } else if (m.type == MessageType::kStorageAppendResp && m.snapshot) {
    // Entries written in an earlier term may have been overwritten since, also by an equal copy whose write is still
    // on its way: not counted. The state in a snapshot is committed, whatever the term.
    OnSnapshotInstalled(m.snapshot->index);
  }
}

// Thesis 3.4, 3.6.1. Learners vote too: one that was promoted may not know it yet, and its vote may be needed to elect
// the leader who tells it.
void Raft::OnVote(const Message& m) {
  const bool pre = m.type == MessageType::kPreVote;
  const bool may_vote =
      Planted(Mutant::kVotesTwice) || vote_ == m.from || (vote_ == 0 && leader() == 0) || (pre && m.term > term_);
  const bool granted = may_vote && log_.IsUpToDate({m.log_term, m.index});
  // A grant carries the term that was asked for, else the asker would take it for an old answer. A refusal says what is
  // committed, see OnVoteResp.
  Message answer{.type = pre ? MessageType::kPreVoteResp : MessageType::kVoteResp, .to = m.from, .term = m.term};
  if (!granted) {
    answer.term = term_;
    answer.reject = true;
    answer.commit = log_.committed();
    answer.log_term = *log_.TermAt(log_.committed());
  }
  Send(std::move(answer));
  if (granted && !pre) {
    election_elapsed_ = 0;
    vote_ = m.from;
  }
}

void Raft::OnStorageAppendResp(const Message& m) {
  if (m.index != Index(0)) log_.StableTo({m.log_term, m.index});
  if (m.snapshot) OnSnapshotInstalled(m.snapshot->index);
}

void Raft::OnStorageApplyResp(const Message& m) { AppliedTo(m.index); }

void Raft::OnSnapshotInstalled(Index index) {
  log_.StableSnapshotTo(index);
  AppliedTo(index);
}

void Raft::AppliedTo(Index index) {
  if (index <= log_.applied()) return;  // a snapshot overtook it
  auto* leader = std::get_if<Leader>(&role_);
  if (leader != nullptr) {
    for (Index i = log_.applied() + 1; i <= index && leader->uncommitted_bytes > 0; ++i)
      leader->uncommitted_bytes -= std::min<uint64_t>(leader->uncommitted_bytes, log_.At(i).bytes().size());
  }
  log_.AppliedTo(index);
  if (leader != nullptr) MaybeLeaveJoint(*leader);
}

ConfState Raft::ApplyConfChange(Index index, const ConfChange& change) {
  if (index < log_.first_index()) return conf_;  // apply was still at work when a snapshot brought a newer one
  Result<ConfState> next = Apply(conf_, change);
  CHECK_MSG(next.ok(), next.status().ToString());
  SwitchTo(*std::move(next));
  return conf_;
}

Message Raft::AppliedMessage(Index last) const {
  return {.type = MessageType::kStorageApplyResp, .to = id(), .from = id(), .index = last};
}

void Raft::ReportUnreachable(MemberId peer) {
  if (auto* leader = std::get_if<Leader>(&role_)) OnUnreachable(*leader, peer);
}

void Raft::ReportSnapshot(MemberId peer, bool success) {
  if (auto* leader = std::get_if<Leader>(&role_)) OnSnapStatus(*leader, peer, success);
}

void Raft::TransferLeader(MemberId to) {
  // Without a leader there is nothing to move; the caller sees that nothing happens, as it must anyhow.
  Step({.type = MessageType::kTransferLeader, .from = to}).IgnoreError();
}

void Raft::StepDown() {
  if (role() == Role::kLeader) BecomeFollower(term_, 0);
}

void Raft::ForgetLeader() {
  if (auto* follower = std::get_if<Follower>(&role_)) follower->leader = 0;
}

Status Raft::Propose(std::vector<Entry> entries) {
  CHECK(!entries.empty());
  if (auto* leader = std::get_if<Leader>(&role_)) return OnPropose(*leader, std::move(entries));
  return Step({.type = MessageType::kProp, .from = id(), .entries = std::move(entries)});
}

Status Raft::ReadIndex(uint64_t context) {
  CHECK_NE(context, 0u);
  return Step({.type = MessageType::kReadIndex, .from = id(), .context = context});
}

void Raft::CompactLog(Index index) { log_.CompactTo(index); }

bool Raft::HasReady() const {
  return !messages_.empty() || !after_append_.empty() || log_.HasUnstableToWrite() || log_.HasCommittedToApply() ||
         !reads_.empty() || log_.unstable().has_next_snapshot() || hard_state() != last_hard_state_ ||
         soft_state() != last_soft_state_;
}

Ready Raft::TakeReady() {
  Ready ready;
  if (soft_state() != last_soft_state_) ready.soft_state = last_soft_state_ = soft_state();
  const HardState hard = hard_state();
  if (log_.unstable().has_next_snapshot()) ready.snapshot = log_.unstable().snapshot();
  ready.entries = log_.TakeUnstable();
  ready.must_sync = !ready.entries.empty() || ready.snapshot || hard.term != last_hard_state_.term ||
                    hard.vote != last_hard_state_.vote;
  if (hard != last_hard_state_) ready.hard_state = last_hard_state_ = hard;
  if (Planted(Mutant::kVoteForgotten) && ready.hard_state) ready.hard_state->vote = 0;
  ready.messages = std::exchange(messages_, {});
  ready.after_append = std::exchange(after_append_, {});
  if (ready.has_storage_work() && (log_.has_unstable_entries() || ready.snapshot)) {
    // Attests, when this write is done, all that was handed out in this term, not only this Ready's entries: an answer
    // from an earlier term is ignored (OnLowerTerm), and then this one must make up for it.
    Message done{.type = MessageType::kStorageAppendResp, .to = id(), .from = id(), .term = term_};
    if (log_.has_unstable_entries()) {
      done.log_term = log_.last().term;
      done.index = log_.last().index;
    }
    done.snapshot = ready.snapshot;
    ready.after_append.push_back(std::move(done));
  }
  ready.committed = log_.TakeCommitted();
  ready.reads = std::exchange(reads_, {});
  return ready;
}

// Answers that promise something wait until what they promise is on disk (thesis 3.8); everything else leaves at once,
// in parallel with the write.
void Raft::Send(Message m) {
  if (m.from == 0) m.from = id();
  const bool vote = m.type == MessageType::kVoteResp || m.type == MessageType::kPreVoteResp;
  const bool election = vote || IsVoteRequest(m.type);
  CHECK_EQ(m.term != Term(0), election);
  // A forwarded request has no term: whoever leads when it arrives may serve it.
  if (!election && m.type != MessageType::kProp && m.type != MessageType::kReadIndex) m.term = term_;
  const bool hasty = m.to != id() && Planted(vote ? Mutant::kVoteUnsynced : Mutant::kAppendUnsynced);
  if ((vote || m.type == MessageType::kAppResp) && !hasty) {
    after_append_.push_back(std::move(m));
  } else {
    CHECK_NE(m.to, id());
    messages_.push_back(std::move(m));
  }
}

void Raft::Reset(Term term) {
  if (term != term_) {
    CHECK_GT(term, term_);
    term_ = term;
    vote_ = 0;
  }
  election_elapsed_ = 0;
  // Not std::uniform_int_distribution: its results differ between standard libraries, and a seed must not.
  const auto ticks = static_cast<uint64_t>(config_.election_ticks);
  election_timeout_ = static_cast<int>(ticks + random_() % ticks);
}

void Raft::SwitchTo(ConfState conf) {
  conf_ = std::move(conf);
  if (auto* leader = std::get_if<Leader>(&role_)) OnConfSwitched(*leader);
}

Role Raft::role() const {
  if (std::holds_alternative<Leader>(role_)) return Role::kLeader;
  if (auto* candidate = std::get_if<Candidate>(&role_)) return candidate->pre ? Role::kPreCandidate : Role::kCandidate;
  return Role::kFollower;
}

MemberId Raft::leader() const {
  if (auto* follower = std::get_if<Follower>(&role_)) return follower->leader;
  return role() == Role::kLeader ? id() : 0;
}

MemberId Raft::transferee() const {
  auto* leader = std::get_if<Leader>(&role_);
  return leader == nullptr ? 0 : leader->transferee;
}

const Tracker* Raft::progress() const {
  auto* leader = std::get_if<Leader>(&role_);
  return leader == nullptr ? nullptr : &leader->tracker;
}

bool Raft::committed_in_term() const { return role() == Role::kLeader && log_.Matches({term_, log_.committed()}); }

// Who is to install a snapshot has no log to lead with, who abstains no state.
bool Raft::promotable() const { return !abstains_ && IsVoter(conf_, id()) && !log_.has_pending_snapshot(); }

bool Raft::sole_voter() const {
  return conf_.voters.size() == 1 && conf_.voters[0] == id() && conf_.voters_outgoing.empty();
}

bool Raft::leaving() const { return !std::binary_search(conf_.voters.begin(), conf_.voters.end(), id()); }

bool Raft::HasUnappliedConfChange() const {
  for (Index i = log_.applied() + 1; i <= log_.committed(); ++i) {
    if (i < log_.first_index()) continue;  // inside a snapshot
    if (log_.At(i).type != EntryType::kNormal) return true;
  }
  return false;
}

}  // namespace tenon::raft
