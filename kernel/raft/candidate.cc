// Elections: how a member becomes candidate, and what it does with each message meanwhile (thesis 3.4, 9.6).
#include <utility>

#include "kernel/base/check.h"
#include "kernel/raft/raft.h"

namespace tenon::raft {

void Raft::Hup(Campaigning kind) {
  if (role() == Role::kLeader || !promotable()) return;
  // Who may vote is about to change, and we know it: first apply the change.
  if (HasUnappliedConfChange()) return;
  StartCampaign(kind);
}

void Raft::BecomeCandidate() {
  CHECK(role() != Role::kLeader);
  Reset(term_ + 1);
  vote_ = id();
  role_ = Candidate{};
}

// Term and vote stay as they are: nothing has happened yet.
void Raft::BecomePreCandidate() {
  CHECK(role() != Role::kLeader);
  role_ = Candidate{.pre = true};
}

void Raft::StartCampaign(Campaigning kind) {
  const bool pre = kind == Campaigning::kPreElection;
  pre ? BecomePreCandidate() : BecomeCandidate();
  const Term term = pre ? term_ + 1 : term_;
  const EntryId last = log_.last();
  for (MemberId to : Voters(conf_)) {
    if (to == id()) {
      // Our own vote counts like all others: once it is on disk.
      Send({.type = pre ? MessageType::kPreVoteResp : MessageType::kVoteResp, .to = to, .term = term});
    } else {
      Send({.type = pre ? MessageType::kPreVote : MessageType::kVote,
            .to = to,
            .term = term,
            .log_term = last.term,
            .index = last.index,
            .context = kind == Campaigning::kTransfer ? kCampaignTransfer : 0});
    }
  }
}

Status Raft::StepCandidate(Candidate& candidate, Message& m) {
  switch (m.type) {
    case MessageType::kApp:
    case MessageType::kHeartbeat:
    case MessageType::kSnap:
      // Somebody was elected in this term. `candidate` is gone from here on.
      BecomeFollower(m.term, m.from);
      return StepFollower(std::get<Follower>(role_), m);
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp: return OnVoteResp(candidate, m), Ok();
    case MessageType::kProp:
    case MessageType::kReadIndex:
    case MessageType::kTransferLeader: return absl::UnavailableError("raft proposal dropped: no leader");
    default: return Ok();
  }
}

void Raft::OnVoteResp(Candidate& candidate, const Message& m) {
  // Who refuses says what it knows to be committed. It may be a change of members that we have and do not know to be
  // committed: then we ask for votes that are not needed any more and perhaps never given, because who was removed by
  // it has a longer log and may not campaign itself. (raft-rs does this; etcd's raft can stay without a leader here.)
  if (m.reject && log_.MaybeCommit({m.log_term, m.commit}) && HasUnappliedConfChange())
    return BecomeFollower(term_, 0);                                   // first apply it: others may vote then
  if (candidate.pre != (m.type == MessageType::kPreVoteResp)) return;  // an answer to another question
  candidate.votes.try_emplace(m.from, !m.reject);
  const VoteResult result = JointVote(conf_, [&](MemberId voter) -> std::optional<bool> {
    const auto vote = candidate.votes.find(voter);
    if (vote == candidate.votes.end()) return std::nullopt;
    return vote->second;
  });
  if (result == VoteResult::kLost) return BecomeFollower(term_, 0);
  if (result == VoteResult::kPending) return;
  if (candidate.pre) return StartCampaign(Campaigning::kElection);
  // Others' votes may come before our own is on disk. Who forgets a term that it led may be elected into it again.
  if (candidate.votes.contains(id())) BecomeLeader();
}

}  // namespace tenon::raft
