// Linearizable reads: one ReadIndex round serves all that wait when it is sent (thesis 6.4).
//
// A round whose question or answer is lost is asked anew with a new context after half a second, as in etcd, and at
// once when a leader is found; readers wait meanwhile, up to their deadline.
#include "kernel/base/errors.h"
#include "kernel/base/mutant.h"
#include "kernel/node/node.h"

namespace tenon::node {
namespace {

constexpr uint64_t kAskAgainNs = 500'000'000;

}  // namespace

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

void Node::TakeReads(std::vector<ReadDone>& reads) {
  if (reads.empty()) return;
  StartRound({clock_.MonoNs() + options_.request_timeout_ns, 0, std::move(reads)});
}

void Node::StartRound(ReadRound round) {
  const uint64_t context = ++next_context_;
  round.retry_ns = clock_.MonoNs() + kAskAgainNs;
  if (raft_.ReadIndex(context).ok()) {
    rounds_.emplace(context, std::move(round));
  } else {
    unasked_.push_back(std::move(round));
  }
}

void Node::RetryReads(uint64_t now, bool leader_changed) {
  std::vector<ReadRound> again = std::exchange(unasked_, {});
  for (auto it = rounds_.begin(); it != rounds_.end();) {
    if (!leader_changed && it->second.retry_ns > now) {
      ++it;
      continue;
    }
    if (!leader_changed) slow_reads_metric_.Add();
    again.push_back(std::move(it->second));
    it = rounds_.erase(it);
  }
  for (ReadRound& round : again) {
    if (round.deadline_ns > now) {
      StartRound(std::move(round));
      continue;
    }
    reads_failed_metric_.Add();
    for (ReadDone& read : round.reads) read(errors::Timeout());
  }
}

void Node::OnReadState(const raft::ReadState& read) {
  const auto it = rounds_.find(read.context);
  if (it == rounds_.end()) return;  // asked anew since
  const Index from = Planted(Mutant::kReadsBeforeApply) ? Index() : read.index;
  applier_.WhenApplied(from, [reads = std::move(it->second.reads)]() mutable {
    for (ReadDone& done : reads) done(Ok());
  });
  rounds_.erase(it);
}

}  // namespace tenon::node
