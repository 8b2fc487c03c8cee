// What a leader does with each message: replicate, count, commit, answer reads (thesis 3.5, 3.6, 6.4).
#include <algorithm>
#include <utility>

#include "kernel/base/check.h"
#include "kernel/base/mutant.h"
#include "kernel/raft/raft.h"

namespace tenon::raft {

void Raft::BecomeLeader() {
  CHECK(role() == Role::kCandidate);
  Reset(term_);
  Leader& leader =
      role_.emplace<Leader>(Leader{.tracker = Tracker({config_.max_inflight, config_.max_inflight_bytes})});
  leader.tracker.SwitchTo(conf_, log_.last_index() + 1);
  for (auto& [member, progress] : leader.tracker.all()) progress.recent_active = member == id();
  if (Progress* own = leader.tracker.Find(id())) {
    own->match = log_.unstable().offset() - 1;
    own->BecomeReplicate();
  }
  // There may be a change of members in the tail that we took over. Looking for it costs more than waiting for it.
  leader.pending_conf = log_.last_index();
  // Thesis 6.4, 3.6.2: an entry of our own term lets us commit what we took over, and answer reads.
  CHECK(AppendAsLeader(leader, std::vector<Entry>(1)).ok());
  BroadcastAppend(leader);
}

Status Raft::StepLeader(Leader& leader, Message& m) {
  switch (m.type) {
    case MessageType::kProp: return OnPropose(leader, std::move(m.entries));
    case MessageType::kReadIndex: return OnReadIndex(leader, m), Ok();
    case MessageType::kAppResp: return OnAppendResp(leader, m), Ok();
    case MessageType::kHeartbeatResp: return OnHeartbeatResp(leader, m), Ok();
    case MessageType::kTransferLeader: return OnTransferLeader(leader, m.from), Ok();
    case MessageType::kApp:
    case MessageType::kHeartbeat:
    case MessageType::kSnap:
      // One of us broke the rules; who, we cannot know. Not believing it is what etcd does too.
      return absl::InvalidArgumentError(fmt::format("raft: {:x} also leads in our term {}", m.from, term_.value));
    default: return Ok();  // votes that came late
  }
}

void Raft::TickLeader(Leader& leader) {
  election_elapsed_++;
  leader.heartbeat_elapsed++;
  if (election_elapsed_ >= config_.election_ticks) {
    election_elapsed_ = 0;
    // The target did not make it in the time of an election: go on leading.
    leader.transferee = 0;
    if (config_.check_quorum) OnCheckQuorum(leader);
    if (role() != Role::kLeader) return;
    if (leaving()) HandOver(leader);
  }
  if (leader.heartbeat_elapsed < config_.heartbeat_ticks) return;
  leader.heartbeat_elapsed = 0;
  BroadcastHeartbeat(leader);
  // The target may have been at work on the very change that removes us, and then it did not campaign.
  if (leaving()) MaybeSendTimeoutNow(leader);
}

// Thesis 6.2: a leader that nobody hears must not keep its clients waiting.
void Raft::OnCheckQuorum(Leader& leader) {
  if (!leader.tracker.QuorumActive(conf_)) return BecomeFollower(term_, 0);
  for (auto& [member, progress] : leader.tracker.all()) progress.recent_active = member == id();
}

Status Raft::OnPropose(Leader& leader, std::vector<Entry>&& entries) {
  if (leaving()) return absl::UnavailableError("raft proposal dropped: the leader was removed");
  if (leader.transferee != 0) return absl::UnavailableError("raft proposal dropped: leadership is moving");
  ASSIGN_OR_RETURN(const Index pending_conf, AdmitConfChanges(leader, entries));
  RETURN_IF_ERROR(AppendAsLeader(leader, std::move(entries)));
  leader.pending_conf = pending_conf;
  BroadcastAppend(leader);
  return Ok();
}

// One change of members at a time (thesis 4.1). etcd appends an empty entry in place of one that may not be now, and
// its proposer waits until it times out; we say so at once. Returns the index of the newest change once they are
// appended.
Result<Index> Raft::AdmitConfChanges(const Leader& leader, const std::vector<Entry>& entries) {
  Index pending = leader.pending_conf;
  for (size_t i = 0; i < entries.size(); i++) {
    const Entry& e = entries[i];
    if (e.type == EntryType::kNormal) continue;
    const bool leaves_joint = e.type == EntryType::kConfChangeV2 && e.bytes().empty();
    if (pending > log_.applied())
      return absl::FailedPreconditionError(fmt::format("possible unapplied conf change at index {} (applied to {})",
                                                       pending.value, log_.applied().value));
    if (IsJoint(conf_) && !leaves_joint)
      return absl::FailedPreconditionError("must transition out of joint config first");
    if (!IsJoint(conf_) && leaves_joint)
      return absl::FailedPreconditionError("not in joint state; refusing empty conf change");
    pending = log_.last_index() + i + 1;
  }
  return pending;
}

Status Raft::AppendAsLeader(Leader& leader, std::vector<Entry>&& entries) {
  const uint64_t bytes = PayloadBytes(entries);
  // When nothing waits a proposal of any size is accepted, else one larger than the limit could never be made. An empty
  // entry is never refused: a new term and the end of a joint configuration depend on it.
  if (leader.uncommitted_bytes > 0 && bytes > 0 && leader.uncommitted_bytes + bytes > config_.max_uncommitted_bytes)
    return absl::ResourceExhaustedError("raft proposal dropped: too much is uncommitted");
  leader.uncommitted_bytes += bytes;
  log_.Append(std::move(entries), term_);
  // Our own answer, once the entries are on disk. One for all that leave in the same Ready.
  if (!after_append_.empty()) {
    Message& last = after_append_.back();
    if (last.type == MessageType::kAppResp && last.to == id() && last.term == term_) {
      last.index = log_.last_index();
      return Ok();
    }
  }
  Send({.type = MessageType::kAppResp, .to = id(), .index = log_.last_index()});
  return Ok();
}

// Thesis 6.4. Before the first commit of our term we do not know what is committed: a sole voter as well, whose disk
// may hold acknowledged entries behind the commit index that it wrote last.
void Raft::OnReadIndex(Leader& leader, const Message& m) {
  if (!committed_in_term() && !Planted(Mutant::kReadsBeforeOwnCommit))
    leader.pending_reads.push_back(m);
  else
    StartRead(leader, m);
}

void Raft::StartRead(Leader& leader, const Message& m) {
  const ReadRequest request{m.from, m.context, log_.committed()};
  if (sole_voter() || Planted(Mutant::kReadsWithoutQuorum)) return AnswerRead(request);
  leader.reads.Add(request);
  leader.reads.Ack(id(), leader.reads.round());
  BroadcastHeartbeat(leader);
}

void Raft::AnswerRead(const ReadRequest& request) {
  if (request.from == id()) return reads_.push_back({request.context, request.index});
  Send({.type = MessageType::kReadIndexResp, .to = request.from, .index = request.index, .context = request.context});
}

void Raft::OnAppendResp(Leader& leader, const Message& m) {
  CHECK_EQ(m.term, term_);
  Progress* progress = leader.tracker.Find(m.from);
  if (progress == nullptr) return;                       // removed while its answer was on the way
  if (!m.reject && m.index > log_.last_index()) return;  // nobody can have what we did not send
  progress->recent_active = true;
  if (m.reject) return OnAppendRejected(leader, *progress, m);
  const bool news = progress->MaybeUpdate(Planted(Mutant::kCountsUnsent) ? log_.last_index() : m.index);
  // A probe may be answered with what we knew already: also that ends the probing.
  if (!news && !(progress->match == m.index && progress->state == ProgressState::kProbe)) return;

  switch (progress->state) {
    case ProgressState::kProbe: progress->BecomeReplicate(); break;
    case ProgressState::kReplicate: progress->inflights.FreeUpTo(m.index); break;
    case ProgressState::kSnapshot:
      // Whatever snapshot it installed: if our log continues behind it, go on from there.
      if (progress->match + 1 >= log_.first_index()) {
        progress->BecomeProbe();
        progress->BecomeReplicate();
      }
      break;
  }
  const bool peer = m.from != id();
  if (MaybeCommit(leader))
    BroadcastAppend(leader);
  else if (peer && progress->CanBumpCommit(log_.committed()))
    MaybeSendAppend(m.from, *progress, true);
  if (!peer) return;
  while (MaybeSendAppend(m.from, *progress, false)) {
  }
  if (m.from == leader.transferee) MaybeSendTimeoutNow(leader);
}

// The logs do not agree at m.index. The member says that it has an entry of term m.log_term at m.reject_hint: we know
// of no agreement behind the last entry of ours, up to there, whose term is not greater, for terms only grow in a log.
void Raft::OnAppendRejected(Leader&, Progress& progress, const Message& m) {
  Index hint = m.reject_hint;
  if (m.log_term > Term(0)) hint = log_.FindConflictByTerm(m.reject_hint, m.log_term).index;
  if (!progress.MaybeDecrease(m.index, hint)) return;
  if (progress.state == ProgressState::kReplicate) progress.BecomeProbe();
  MaybeSendAppend(m.from, progress, true);
}

void Raft::OnHeartbeatResp(Leader& leader, const Message& m) {
  Progress* progress = leader.tracker.Find(m.from);
  if (progress == nullptr) return;
  progress->recent_active = true;
  progress->append_paused = false;
  // A message may have been lost; this one resumes, or is rejected and tells where to resume.
  if (progress->match < log_.last_index() || progress->state == ProgressState::kProbe)
    MaybeSendAppend(m.from, *progress, true);
  const uint64_t context = Planted(Mutant::kReadsByOldAnswers) ? leader.reads.round() : m.context;
  if (context == 0) return;
  leader.reads.Ack(m.from, context);
  for (const ReadRequest& request : leader.reads.Advance(conf_)) AnswerRead(request);
}

void Raft::OnSnapStatus(Leader& leader, MemberId from, bool success) {
  Progress* progress = leader.tracker.Find(from);
  if (progress == nullptr || progress->state != ProgressState::kSnapshot) return;
  if (!success) progress->pending_snapshot = Index(0);
  progress->BecomeProbe();
  // After a success its answer comes first, after a failure the next heartbeat: no new snapshot right away.
  progress->append_paused = true;
}

// What we sent ahead is probably lost: ask where to go on.
void Raft::OnUnreachable(Leader& leader, MemberId from) {
  Progress* progress = leader.tracker.Find(from);
  if (progress != nullptr && progress->state == ProgressState::kReplicate) progress->BecomeProbe();
}

// Thesis 3.10: bring the target up to date, refuse proposals meanwhile, then let it campaign at once.
void Raft::OnTransferLeader(Leader& leader, MemberId to) {
  Progress* progress = leader.tracker.Find(to);
  if (progress == nullptr || progress->is_learner) return;
  if (leader.transferee == to) return;  // on its way
  leader.transferee = 0;
  if (to == id()) return;
  election_elapsed_ = 0;  // it has the time of an election
  leader.transferee = to;
  if (!MaybeSendTimeoutNow(leader)) MaybeSendAppend(to, *progress, true);
}

// The target may campaign once it has all that we have.
bool Raft::MaybeSendTimeoutNow(Leader& leader) {
  const Progress* progress = leader.tracker.Find(leader.transferee);
  if (progress == nullptr || progress->match != log_.last_index()) return false;
  Send({.type = MessageType::kTimeoutNow, .to = leader.transferee});
  return true;
}

// A leader that is no voter of the incoming configuration takes no more proposals and makes one of the others leader:
// the end of a joint configuration is proposed by someone who stays. If it just left, or proposed the end itself, the
// others could need its vote, as they may not know yet that the change is committed, and not get it, as its log may be
// longer than theirs; and it may not campaign any more.
void Raft::HandOver(Leader& leader) {
  MemberId best = 0;
  Index match;
  for (const auto& [member, progress] : leader.tracker.all()) {
    if (!std::binary_search(conf_.voters.begin(), conf_.voters.end(), member)) continue;
    if (best != 0 && progress.match <= match) continue;
    best = member;
    match = progress.match;
  }
  if (best != 0) OnTransferLeader(leader, best);
}

// A joint configuration that leaves by itself: proposes the end of it once its beginning is applied (thesis 4.3).
void Raft::MaybeLeaveJoint(Leader& leader) {
  if (!conf_.auto_leave || log_.applied() < leader.pending_conf) return;
  // Refused while leadership moves: the next applied entry, or the next leader, tries again.
  std::vector<Entry> leave(1);
  leave[0].type = EntryType::kConfChangeV2;
  OnPropose(leader, std::move(leave)).IgnoreError();
}

bool Raft::MaybeCommit(Leader& leader) {
  // Only entries of our own term are committed by counting; those before them with them (thesis 3.6.2).
  if (!log_.MaybeCommit({term_, leader.tracker.Committed(conf_)})) return false;
  for (const Message& read : std::exchange(leader.pending_reads, {})) StartRead(leader, read);
  return true;
}

void Raft::BroadcastAppend(Leader& leader) {
  for (auto& [member, progress] : leader.tracker.all())
    if (member != id()) MaybeSendAppend(member, progress, true);
}

void Raft::BroadcastHeartbeat(Leader& leader) {
  for (auto& [member, progress] : leader.tracker.all()) {
    if (member == id()) continue;
    // Never more than the member is known to have: its log behind that may not be ours.
    const Index commit =
        Planted(Mutant::kHeartbeatCommitsAll) ? log_.committed() : std::min(progress.match, log_.committed());
    Send({.type = MessageType::kHeartbeat, .to = member, .commit = commit, .context = leader.reads.round()});
    progress.sent_commit = commit;
  }
}

// False: nothing was sent.
bool Raft::MaybeSendAppend(MemberId to, Progress& progress, bool even_if_empty) {
  if (progress.paused()) return false;
  const Index previous = progress.next - 1;
  const std::optional<Term> previous_term = log_.TermAt(previous);
  if (!previous_term) return MaybeSendSnapshot(to, progress);
  std::vector<Entry> entries;
  if (progress.state != ProgressState::kReplicate || !progress.inflights.full())
    entries = log_.Read(progress.next, log_.last_index(), config_.max_size_per_message);
  if (entries.empty() && !even_if_empty) return false;
  const size_t count = entries.size();
  const uint64_t bytes = PayloadBytes(entries);
  Send({.type = MessageType::kApp,
        .to = to,
        .log_term = *previous_term,
        .index = previous,
        .entries = std::move(entries),
        .commit = log_.committed()});
  progress.SentEntries(count, bytes);
  progress.sent_commit = log_.committed();
  return true;
}

bool Raft::MaybeSendSnapshot(MemberId to, Progress& progress) {
  if (!progress.recent_active) return false;  // nobody there to take it
  const EntryId least = log_.compacted();
  progress.BecomeSnapshot(least.index);
  Send({.type = MessageType::kSnap, .to = to, .snapshot = SnapshotMeta{least.index, least.term, {}}});
  return true;
}

// Other members count from now on: something may be committed, a read confirmed, and those who are new need the log.
void Raft::OnConfSwitched(Leader& leader) {
  leader.tracker.SwitchTo(conf_, std::max(log_.last_index(), Index(1)));
  if (leader.transferee != 0 && !IsVoter(conf_, leader.transferee)) leader.transferee = 0;
  const bool committed = MaybeCommit(leader);
  for (auto& [member, progress] : leader.tracker.all())
    if (member != id()) MaybeSendAppend(member, progress, committed);
  for (const ReadRequest& request : leader.reads.Advance(conf_)) AnswerRead(request);
  if (leaving()) HandOver(leader);
}

}  // namespace tenon::raft
