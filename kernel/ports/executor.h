// A thread to run on, given from outside. No component of the kernel starts a thread of its own.
#pragma once
#include <cstdint>
#include <utility>

#include "absl/functional/any_invocable.h"

namespace tenon {

using Task = absl::AnyInvocable<void()>;

// Runs tasks one at a time, in the order in which they were posted (delayed ones when they are due).
// In production it is a thread (kernel/os/thread.h), in the simulator a queue of the seeded scheduler.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Post(Task task) = 0;                          // [any thread]; never runs inside the call
  virtual void PostAfter(uint64_t delay_ns, Task task) = 0;  // [any thread]
  // As Post; but where nothing runs or waits, the task may run inside the call. It saves a hand-over (the wake-up of a
  // thread on a sleeping core takes longer than a small task) for a caller that can wait for the task. [any thread]
  virtual void RunOrPost(Task task) { Post(std::move(task)); }
  virtual bool IsCurrent() const = 0;  // is the caller one of its tasks? For CHECKs.
};

}  // namespace tenon
