#include "kernel/os/thread.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "kernel/base/check.h"

namespace tenon {
namespace {

thread_local const Thread* current_thread = nullptr;

uint64_t NowNs() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

}  // namespace

Thread::Thread(const std::string& name) : thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

Thread::~Thread() { Stop(); }

void Thread::Post(Task task) {
  bool wake;
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;  // the task dies with the argument, outside the lock
    queue_.push_back(std::move(task));
    wake = std::exchange(sleeping_, false);
  }
  if (wake) wake_.notify_one();
}

void Thread::PostAfter(uint64_t delay_ns, Task task) {
  const uint64_t due_ns = NowNs() + delay_ns;
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    const bool earliest = delayed_.empty() || due_ns < delayed_.front().due_ns;
    delayed_.push_back({due_ns, next_sequence_++, std::move(task)});
    std::push_heap(delayed_.begin(), delayed_.end());
    if (earliest) wake = std::exchange(sleeping_, false);  // it sleeps too long now
  }
  if (wake) wake_.notify_one();
}

void Thread::RunOrPost(Task task) {
  {
    std::unique_lock lock(mutex_);
    if (!std::exchange(sleeping_, false)) {  // it works, or is about to
      lock.unlock();
      return Post(std::move(task));
    }
    stand_in_ = true;
  }
  const Thread* const caller = std::exchange(current_thread, this);
  task();
  task = nullptr;
  current_thread = caller;
  bool wake;
  {
    std::lock_guard lock(mutex_);
    stand_in_ = false;
    // Nobody woke it for what came meanwhile. It may wait without a deadline, so delayed tasks wake it too.
    wake = !queue_.empty() || !delayed_.empty() || stopping_;
    sleeping_ = !wake;
  }
  if (wake) wake_.notify_one();
}

bool Thread::IsCurrent() const { return current_thread == this; }

void Thread::Stop() {
  CHECK(!IsCurrent());
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    sleeping_ = false;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Thread::Run() {
  current_thread = this;
  std::vector<Task> turn;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (!Sleep(lock)) break;
      if (delayed_.empty()) {
        turn.swap(queue_);
      } else {
        TakeDue(NowNs(), turn);
        std::move(queue_.begin(), queue_.end(), std::back_inserter(turn));
        queue_.clear();
      }
    }
    for (Task& task : turn) {
      task();
      task = nullptr;  // what it holds goes now, not with the whole turn
    }
    turn.clear();
  }
  std::vector<Delayed> never_due;
  {
    std::lock_guard lock(mutex_);
    never_due.swap(delayed_);
  }
}

bool Thread::Sleep(std::unique_lock<std::mutex>& lock) {
  for (;;) {
    if (stand_in_) {
      wake_.wait(lock);
      continue;
    }
    if (!queue_.empty()) return true;
    if (!delayed_.empty() && delayed_.front().due_ns <= NowNs()) return true;
    if (stopping_) {
      stopped_ = true;
      return false;
    }
    sleeping_ = true;
    if (delayed_.empty()) {
      wake_.wait(lock);
    } else {
      const std::chrono::steady_clock::time_point due{std::chrono::nanoseconds(delayed_.front().due_ns)};
      wake_.wait_until(lock, due);
    }
    sleeping_ = false;
  }
}

void Thread::TakeDue(uint64_t now_ns, std::vector<Task>& to) {
  while (!delayed_.empty() && delayed_.front().due_ns <= now_ns) {
    std::pop_heap(delayed_.begin(), delayed_.end());
    to.push_back(std::move(delayed_.back().task));
    delayed_.pop_back();
  }
}

}  // namespace tenon
