// Time and threads that stand still until the test moves them.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"

namespace tenon::testing {

class ManualClock : public Clock {
 public:
  uint64_t MonoNs() override { return now_; }
  uint64_t WallNs() override { return 1'700'000'000'000'000'000 + now_; }
  void Advance(uint64_t ns) { now_ += ns; }

 private:
  std::atomic<uint64_t> now_{1'000'000'000};
};

// Runs tasks when the test says so, on the thread of the test. Post comes from any thread.
class ManualExecutor : public Executor {
 public:
  explicit ManualExecutor(ManualClock& clock) : clock_(clock) {}

  void Post(Task task) override {
    const std::scoped_lock lock(mutex_);
    ready_.push_back(std::move(task));
  }
  void PostAfter(uint64_t delay_ns, Task task) override {
    const std::scoped_lock lock(mutex_);
    delayed_.emplace(clock_.MonoNs() + delay_ns, std::move(task));
  }
  bool IsCurrent() const override { return true; }

  // The next task that is due; false: there is none.
  bool RunOne() {
    Task task;
    {
      const std::scoped_lock lock(mutex_);
      while (!delayed_.empty() && delayed_.begin()->first <= clock_.MonoNs()) {
        ready_.push_back(std::move(delayed_.begin()->second));
        delayed_.erase(delayed_.begin());
      }
      if (ready_.empty()) return false;
      task = std::move(ready_.front());
      ready_.pop_front();
    }
    task();
    return true;
  }
  void Run() {
    while (RunOne()) {
    }
  }

 private:
  ManualClock& clock_;
  std::mutex mutex_;
  std::deque<Task> ready_;
  std::multimap<uint64_t, Task> delayed_;
};

}  // namespace tenon::testing
