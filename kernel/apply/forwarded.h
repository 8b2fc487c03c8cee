// Proposals that another member appends to the log: they come back as bytes, and the request's id tells whose they are.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>

#include "kernel/apply/proposal.h"
#include "kernel/base/mutex.h"

namespace tenon::apply {

class Forwarded {
 public:
  // Before the leader hears of it. [any]
  void Add(std::shared_ptr<const Proposal> proposal) {
    const uint64_t id = proposal->request().id;
    MutexLock lock(&mutex_);
    waiting_.insert_or_assign(id, std::move(proposal));
    size_.store(waiting_.size(), std::memory_order_relaxed);
  }
  // Whose entry this is; null: nobody's here, or it was answered meanwhile. [any]
  std::shared_ptr<const Proposal> Take(uint64_t request_id) {
    if (size_.load(std::memory_order_relaxed) == 0) return nullptr;  // as on every leader
    MutexLock lock(&mutex_);
    const auto it = waiting_.find(request_id);
    if (it == waiting_.end()) return nullptr;
    std::shared_ptr<const Proposal> proposal = std::move(it->second);
    waiting_.erase(it);
    size_.store(waiting_.size(), std::memory_order_relaxed);
    return proposal;
  }

 private:
  Mutex mutex_;
  std::unordered_map<uint64_t, std::shared_ptr<const Proposal>> waiting_;
  std::atomic<size_t> size_{0};
};

}  // namespace tenon::apply
