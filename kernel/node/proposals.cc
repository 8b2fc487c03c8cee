// What becomes of a proposal: appended by this member if it leads, else handed to the leader by a call, else it waits.
//
// The leader's answer to the call says where the entries stand in its log, so that each fate is known as early as it
// can be: refused means appended nowhere, and asking again is safe; appended and then replaced by an entry of another
// term means lost for ever, and asking again is safe as well. Only who is never told waits for the deadline. Source of
// the words at a deadline: etcd server/etcdserver/server.go, parseProposeCtxErr.
#include <algorithm>

#include "kernel/base/errors.h"
#include "kernel/base/mutant.h"
#include "kernel/node/node.h"
#include "kernel/wal/wire.h"
#include "proto/peer.pb.h"

namespace tenon::node {

void Node::Propose(std::shared_ptr<const apply::Proposal> proposal) {
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

// ---- how many at a time ----

void Node::TakeProposals(Proposals& proposals) {
  if (proposals.empty()) return;
  const size_t n = std::min<size_t>(proposals.size(), options_.max_batch);
  // A change of members is proposed by itself (raft refuses it without refusing what came with it).
  const auto is_change = [](const auto& p) { return p->type != raft::EntryType::kNormal; };
  const uint64_t now = clock_.MonoNs();
  for (size_t begin = 0; begin < n;) {
    size_t end = begin + 1;
    if (!is_change(proposals[begin])) {
      uint64_t bytes = proposals[begin]->bytes.size();
      while (end < n && !is_change(proposals[end]) &&
             (bytes += proposals[end]->bytes.size()) <= options_.max_batch_bytes) {
        end++;
      }
    }
    auto batch = std::make_shared<Batch>(Batch{now, now + options_.request_timeout_ns, {}, {}, {}});
    batch->proposals.assign(std::make_move_iterator(proposals.begin() + static_cast<ptrdiff_t>(begin)),
                            std::make_move_iterator(proposals.begin() + static_cast<ptrdiff_t>(end)));
    waiting_.push_back(batch);
    Place(batch);
    begin = end;
  }
  proposals.erase(proposals.begin(), proposals.begin() + static_cast<ptrdiff_t>(n));
}

bool Node::IsAhead() const {
  return applier_.HasBacklog() || raft_.last_index().value >= applier_.applied().value + options_.max_ahead;
}

// Puts them back if the applier has enough to do; it tells when that is over.
bool Node::Hold(Proposals& proposals) {
  if (proposals.empty() || !IsAhead()) return false;
  PutBack(proposals, true);
  if (!IsAhead()) Release();  // it told before we held
  return true;
}

// In front of those that came since.
void Node::PutBack(Proposals& proposals, bool hold) {
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

// ---- where they go ----

void Node::Place(const BatchPtr& batch) {
  // From now on the place in the batch is the place in the log.
  std::erase_if(batch->proposals, [](const auto& p) { return p == nullptr || p->completed(); });
  if (batch->proposals.empty()) return;
  if (Leads()) return PlaceAsLeader(batch);
  if (raft_.leader() != 0 && peers_ != nullptr) return Forward(batch);
  Park(batch);
}

void Node::PlaceAsLeader(const BatchPtr& batch) {
  std::vector<raft::Entry> entries;
  entries.reserve(batch->proposals.size());
  for (const auto& proposal : batch->proposals) entries.push_back({.type = proposal->type, .payload = proposal});
  const Index first = raft_.last_index() + 1;
  const Status status = raft_.Propose(std::move(entries));
  if (status.ok()) {
    batch->first = first;
    batch->term = raft_.term();
  } else if (absl::IsResourceExhausted(status)) {
    Fail(*batch, errors::TooManyRequests());
  } else {
    Park(batch);  // leadership moves, or another change of members is under way
  }
}

void Node::Forward(const BatchPtr& batch) {
  raft::Message message{.type = raft::MessageType::kProp, .to = raft_.leader(), .from = raft_.id()};
  for (const auto& proposal : batch->proposals) {
    message.entries.push_back({.type = proposal->type, .payload = proposal});
    applier_.forwarded().Add(proposal);
  }
  std::string request;
  raft::AppendMessage(request, message);
  const uint64_t now = clock_.MonoNs();
  const uint64_t timeout = batch->deadline_ns > now ? batch->deadline_ns - now : 1;
  if (Planted(Mutant::kForwardsTwice)) {
    peers_->Call(message.to, {}, "Propose", request, timeout, [](const Status&, const std::string&) {});
  }
  peers_->Call(message.to, {}, "Propose", std::move(request), timeout,
               [door = door_, batch](const Status& status, std::string answer) mutable {
                 std::lock_guard lock(door->mutex);
                 Node* const node = door->node;
                 if (node == nullptr) return;
                 node->Put([&](Inbox& inbox) {
                   inbox.jobs.push_back(
                       [node, batch, status, answer = std::move(answer)] { node->OnForwarded(batch, status, answer); });
                 });
               });
}

void Node::OnForwarded(const BatchPtr& batch, const Status& status, const std::string& answer) {
  if (status.ok()) {
    tenonpb::ProposeResponse response;
    if (!response.ParseFromString(answer)) return;  // no member of ours: who asked waits for the deadline
    batch->first = Index(response.index());
    batch->term = Term(response.term());
  } else if (absl::IsResourceExhausted(status)) {
    Fail(*batch, errors::TooManyRequests());
  } else if (absl::IsFailedPrecondition(status) || absl::IsUnavailable(status)) {
    // It does not lead, or the call was never sent: nothing was appended.
    for (const auto& proposal : batch->proposals) {
      if (proposal != nullptr) applier_.forwarded().Take(proposal->request().id);
    }
    Park(batch);
  }
}

void Node::Forwarded(std::string request, PeerHandler::Done done) {
  Put([&](Inbox& inbox) {
    inbox.jobs.push_back([this, request = std::move(request), done = std::move(done)]() mutable {
      if (!Leads()) return done(absl::FailedPreconditionError("not the leader"), {});
      Result<raft::Message> message = raft::DecodeMessage(request);
      if (!message.ok() || message->type != raft::MessageType::kProp || message->entries.empty()) {
        return done(absl::InvalidArgumentError("not a raftpb.Message MsgProp with entries"), {});
      }
      if (raft_.commit().value > applier_.applied().value + options_.max_unapplied) {
        return done(absl::ResourceExhaustedError("too many requests"), {});
      }
      tenonpb::ProposeResponse response;
      response.set_term(raft_.term().value);
      response.set_index(raft_.last_index().value + 1);
      const Status status = raft_.Propose(std::move(message->entries));
      if (absl::IsUnavailable(status))
        return done(Status(StatusCode::kFailedPrecondition, ToAbsl(Message(status))), {});
      done(status, status.ok() ? response.SerializeAsString() : std::string());
    });
  });
}

void Node::PlaceParked() {
  if (!std::exchange(place_parked_, false) || raft_.leader() == 0 || raft_.transferee() != 0) return;
  for (const BatchPtr& batch : std::exchange(parked_, {})) Place(batch);
}

// ---- how they end without an answer ----

void Node::Fail(Batch& batch, const Status& status) {
  for (auto& proposal : batch.proposals) {
    if (proposal == nullptr || proposal->completed()) continue;
    failed_metric_.Add();
    applier_.forwarded().Take(proposal->request().id);
    proposal->Complete(status, {});
  }
  batch.proposals.clear();
}

// Once a tick. All that is answered goes, not only from the front: one slow request must not keep the bytes of all
// behind it.
void Node::ExpireProposals(uint64_t now) {
  size_t pending = 0;
  std::vector<BatchPtr> lost;
  std::erase_if(waiting_, [&](const BatchPtr& batch) {
    size_t open = 0;
    for (auto& proposal : batch->proposals) {
      if (proposal != nullptr && proposal->completed()) proposal = nullptr;
      open += proposal != nullptr;
    }
    if (open == 0) return true;
    if (batch->deadline_ns <= now) {
      Fail(*batch, TimeoutError(batch->start_ns));
      return true;
    }
    pending += open;
    if (BatchPtr again = Lost(*batch)) lost.push_back(std::move(again));
    return false;
  });
  for (BatchPtr& batch : lost) {
    waiting_.push_back(batch);
    Park(std::move(batch));
  }
  pending_metric_.Set(static_cast<double>(pending));
}

// Those whose place in the log went to an entry of another term: as a batch of their own, to be proposed anew. Null:
// none.
Node::BatchPtr Node::Lost(Batch& batch) {
  if (batch.first.value == 0) return nullptr;
  BatchPtr lost;
  for (size_t i = 0; i < batch.proposals.size(); i++) {
    const Index index = batch.first + i;
    if (batch.proposals[i] == nullptr || index > raft_.applied()) continue;
    const std::optional<Term> term = raft_.log().TermAt(index);
    if (!term || *term == batch.term) continue;  // too long ago to tell; or it is about to be answered
    if (lost == nullptr) lost = std::make_shared<Batch>(Batch{batch.start_ns, batch.deadline_ns, {}, {}, {}});
    applier_.forwarded().Take(batch.proposals[i]->request().id);
    lost->proposals.push_back(std::move(batch.proposals[i]));
  }
  return lost;
}

Status Node::TimeoutError(uint64_t start_ns) const {
  // etcd's guess that a change of leaders was the reason.
  if (leader_elected_ns_ > start_ns && start_ns + 2 * election_ns_ > leader_elected_ns_) {
    return errors::TimeoutDueToLeaderFail();
  }
  const auto connected = [&](MemberId id) {
    const uint64_t since = peers_ == nullptr ? 0 : peers_->ActiveSinceNs(id);
    return id == raft_.id() || (since != 0 && since < start_ns);
  };
  const MemberId leader = raft_.leader();
  if (leader == 0) return errors::Timeout();
  if (leader != raft_.id()) return connected(leader) ? errors::Timeout() : errors::TimeoutDueToConnectionLost();
  const std::vector<MemberId> voters = raft::Voters(raft_.conf());
  const auto reached = static_cast<size_t>(std::count_if(voters.begin(), voters.end(), connected));
  return reached >= voters.size() / 2 + 1 ? errors::Timeout() : errors::TimeoutDueToConnectionLost();
}

}  // namespace tenon::node
