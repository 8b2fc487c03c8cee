// absl's mutex, which spins a little before it sleeps; a thread sanitizer that did not see absl compiled does not know
// what it orders, and gets the standard library's.
#pragma once
#ifdef __SANITIZE_THREAD__
#include <mutex>
#include <shared_mutex>

namespace tenon {
using Mutex = std::shared_mutex;
class MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) : lock_(*mutex) {}

 private:
  std::lock_guard<Mutex> lock_;
};
class ReaderMutexLock {
 public:
  explicit ReaderMutexLock(Mutex* mutex) : lock_(*mutex) {}

 private:
  std::shared_lock<Mutex> lock_;
};
}  // namespace tenon
#else
#include "absl/synchronization/mutex.h"

namespace tenon {
using absl::Mutex;
using absl::MutexLock;
using absl::ReaderMutexLock;
}  // namespace tenon
#endif
