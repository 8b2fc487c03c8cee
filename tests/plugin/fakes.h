// A clock that is set by hand, a pool that is run by hand, a pool that is a thread, and a log that is kept.
#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "kernel/base/log.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"

namespace tenon::plugin {

class FakeClock : public Clock {
 public:
  uint64_t MonoNs() override { return mono_ns; }
  uint64_t WallNs() override { return wall_ns; }
  uint64_t mono_ns = 1'000, wall_ns = 2'000;
};

// Runs what is due when the test says so, on the test's thread.
class ManualPool : public Executor {
 public:
  explicit ManualPool(FakeClock& clock) : clock_(clock) {}
  void Post(Task task) override { PostAfter(0, std::move(task)); }
  void PostAfter(uint64_t delay_ns, Task task) override { tasks_.emplace(clock_.mono_ns + delay_ns, std::move(task)); }
  bool IsCurrent() const override { return running_; }

  void Advance(uint64_t ns) {
    const uint64_t until = clock_.mono_ns + ns;
    while (!tasks_.empty() && tasks_.begin()->first <= until) {
      auto next = tasks_.extract(tasks_.begin());
      clock_.mono_ns = std::max(clock_.mono_ns, next.key());
      running_ = true;
      next.mapped()();
      running_ = false;
    }
    clock_.mono_ns = until;
  }
  size_t waiting() const { return tasks_.size(); }

 private:
  FakeClock& clock_;
  std::multimap<uint64_t, Task> tasks_;
  bool running_ = false;
};

// One real thread; delays are ignored, so that a timer is due at once.
class ThreadPool : public Executor {
 public:
  ThreadPool() : thread_([this] { Run(); }) {}
  ~ThreadPool() override {
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void Post(Task task) override {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }
  void PostAfter(uint64_t, Task task) override { Post(std::move(task)); }
  bool IsCurrent() const override { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return ending_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      Task task = std::move(tasks_.front());
      tasks_.erase(tasks_.begin());
      lock.unlock();
      task();
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Task> tasks_;
  bool ending_ = false;
  std::thread thread_;
};

// A door that one thread waits at until another opens it.
class Gate {
 public:
  void Open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

class LogCapture {
 public:
  LogCapture() {
    SetLogSink([this](LogLevel, std::string_view line) {
      std::lock_guard lock(mutex_);
      text_ += line;
    });
  }
  ~LogCapture() { SetLogSink(nullptr); }
  std::string text() const {
    std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

}  // namespace tenon::plugin
