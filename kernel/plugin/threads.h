// Which of the ABI's thread tags the calling thread has just now.
//
//   ThreadTag tag(TENON_ON_APPLY);   // at the top of the apply loop, or around one call
//
// A thread may hold several (the simulator's one thread does). Cheap: one thread_local word.
#pragma once
#include <cstdint>

#include "tenon/abi/host.h"

namespace tenon::plugin {

// Adds the tag until destroyed; nests.
class ThreadTag {
 public:
  explicit ThreadTag(tenon_thread tag);
  ~ThreadTag();
  ThreadTag(const ThreadTag&) = delete;
  ThreadTag& operator=(const ThreadTag&) = delete;

 private:
  uint32_t before_;
};

bool OnThread(int tag);      // false for a tag that does not exist
bool OnlyOnThread(int tag);  // it has that tag and no other

}  // namespace tenon::plugin
