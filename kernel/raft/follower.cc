// What a follower does with each message: it believes its leader and answers.
#include <utility>

#include "kernel/base/check.h"
#include "kernel/raft/raft.h"

namespace tenon::raft {

void Raft::BecomeFollower(Term term, MemberId leader) {
  Reset(term);
  role_ = Follower{leader};
}

Status Raft::StepFollower(Follower& follower, Message& m) {
  switch (m.type) {
    case MessageType::kApp:
    case MessageType::kHeartbeat:
    case MessageType::kSnap:
      election_elapsed_ = 0;
      follower.leader = m.from;
      if (m.type == MessageType::kApp)
        OnAppend(m);
      else if (m.type == MessageType::kHeartbeat)
        OnHeartbeat(m);
      else
        OnSnapshot(m);
      return Ok();
    case MessageType::kProp:
    case MessageType::kReadIndex:
    case MessageType::kTransferLeader: return ForwardToLeader(follower, m);
    case MessageType::kTimeoutNow: return OnTimeoutNow(m), Ok();
    case MessageType::kReadIndexResp: return OnReadIndexResp(m), Ok();
    default: return Ok();  // an answer to a role that we had
  }
}

Status Raft::ForwardToLeader(const Follower& follower, Message& m) {
  if (follower.leader == 0) return absl::UnavailableError("raft proposal dropped: no leader");
  m.to = follower.leader;
  m.term = Term(0);
  Send(std::move(m));
  return Ok();
}

// Thesis 3.5.
void Raft::OnAppend(Message& m) {
  Message answer{.type = MessageType::kAppResp, .to = m.from};
  if (m.index < log_.committed()) {  // an old one: what is committed agrees with every leader's log
    answer.index = log_.committed();
  } else if (const auto last = log_.MaybeAppend({m.log_term, m.index}, std::move(m.entries), m.commit)) {
    answer.index = *last;
  } else {
    // Our best guess where the logs agree: skip all that is newer than the leader's entry at that place, for it cannot
    // agree. That makes finding the place cost a message per term instead of one per entry.
    const EntryId hint = log_.FindConflictByTerm(std::min(m.index, log_.last_index()), m.log_term);
    answer.reject = true;
    answer.index = m.index;
    answer.reject_hint = hint.index;
    answer.log_term = hint.term;
  }
  Send(std::move(answer));
}

void Raft::OnHeartbeat(const Message& m) {
  log_.CommitTo(m.commit);  // the leader knows that we have it: it sends at most our match
  Send({.type = MessageType::kHeartbeatResp, .to = m.from, .context = m.context});
}

void Raft::OnSnapshot(const Message& m) {
  const bool restored = Restore(*m.snapshot);
  Send({.type = MessageType::kAppResp, .to = m.from, .index = restored ? log_.last_index() : log_.committed()});
}

// False: nothing to install.
bool Raft::Restore(const SnapshotMeta& snapshot) {
  if (snapshot.index <= log_.committed()) return false;
  // Before the configuration, which an offer lacks: an answer that does not grow would bring the same offer again.
  if (log_.Matches({snapshot.term, snapshot.index})) {
    log_.CommitTo(snapshot.index);  // we have all of it
    return false;
  }
  ConfState conf = Sorted(snapshot.conf);
  if (!IsMember(conf, id())) return false;  // not for us, or from a sender that forgot the configuration
  log_.Restore(snapshot);
  SwitchTo(std::move(conf));
  return true;
}

// Thesis 3.10. No pre-vote: the leader itself asks for it, nobody comes back from a partition.
void Raft::OnTimeoutNow(const Message&) { Hup(Campaigning::kTransfer); }

void Raft::OnReadIndexResp(const Message& m) { reads_.push_back({m.context, m.index}); }

}  // namespace tenon::raft
