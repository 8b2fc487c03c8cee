// absl's mutex, which spins a little before it sleeps; a thread sanitizer that did not see absl compiled does not know
// what it orders, and gets the standard library's.
#pragma once
#ifdef __SANITIZE_THREAD__
#include <mutex>

namespace tenon {
using Mutex = std::mutex;
class MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) : lock_(*mutex) {}

 private:
  std::lock_guard<Mutex> lock_;
};
}  // namespace tenon
#else
#include "absl/synchronization/mutex.h"

namespace tenon {
using absl::Mutex;
using absl::MutexLock;
}  // namespace tenon
#endif
