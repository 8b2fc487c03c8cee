// A task of the simulation that can stand still in the middle, as a thread in a call that does not return.
//
// It runs on a real thread of its own, but never at the same time as the simulation's: whoever goes on waits for the
// other to stop. So it is as deterministic as a call, and as safe.
#pragma once
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "kernel/ports/executor.h"

namespace tenon::sim {

class Strand {
 public:
  explicit Strand(Task task) : task_(std::move(task)) {}
  // Before its end the task is unwound: its process is gone.
  ~Strand();
  Strand(const Strand&) = delete;

  // Runs the task until it stands still or ends. Throws what the task throws.
  void Go();
  bool done() const { return done_; }
  // From inside of the task: it stands still until the next Go.
  void StandStill();

 private:
  struct Unwound {};
  void Run();
  void SwitchTo(bool inside);

  Task task_;
  std::mutex mutex_;
  std::condition_variable switched_;
  bool inside_ = false, unwinds_ = false, done_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace tenon::sim
