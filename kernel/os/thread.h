// An Executor that is one thread of the operating system.
//
// Post takes one lock and wakes the thread only when it sleeps; the thread takes everything that waits in one go.
// Tasks run in the order of their posting; delayed ones run when due, before what was posted since.
#pragma once
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kernel/ports/executor.h"

namespace tenon {

class Thread : public Executor {
 public:
  explicit Thread(const std::string& name);  // shown by ps -L and top -H; 15 characters are kept
  ~Thread() override;                        // Stop()

  void Post(Task task) override;
  void PostAfter(uint64_t delay_ns, Task task) override;
  // While this thread sleeps, the caller stands in for it: to the task it is this one.
  void RunOrPost(Task task) override;
  bool IsCurrent() const override;

  // Runs what is posted by now and what that posts, then ends the thread. Delayed tasks that are not due, and what is
  // posted later, are destroyed without being run. A second call does nothing. [any thread but this one]
  void Stop();

 private:
  struct Delayed {
    uint64_t due_ns;
    uint64_t sequence;  // equal times: in the order of posting
    Task task;
    bool operator<(const Delayed& other) const {  // for a heap with the earliest on top
      return due_ns != other.due_ns ? due_ns > other.due_ns : sequence > other.sequence;
    }
  };

  void Run();
  bool Sleep(std::unique_lock<std::mutex>& lock);  // until there is something to run; false: stopped
  void TakeDue(uint64_t now_ns, std::vector<Task>& to);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Task> queue_;
  std::vector<Delayed> delayed_;  // a heap
  uint64_t next_sequence_ = 0;
  bool sleeping_ = false;  // and nobody has woken it yet
  bool stand_in_ = false;  // a caller of RunOrPost runs a task; this thread runs none meanwhile
  bool stopping_ = false;
  bool stopped_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace tenon
