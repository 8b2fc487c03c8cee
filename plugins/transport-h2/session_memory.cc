#include "plugins/transport-h2/session_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace tenon::transport_h2 {

SessionMemory::SessionMemory() {
  table_.mem_user_data = this;
  table_.malloc = [](size_t n, void*) { return malloc(n); };
  table_.calloc = [](size_t n, size_t each, void*) { return calloc(n, each); };
  table_.free = [](void* memory, void* self) {
    if (memory != static_cast<SessionMemory*>(self)->frame_.get()) free(memory);
  };
  table_.realloc = [](void* memory, size_t n, void* user) -> void* {
    auto& self = *static_cast<SessionMemory*>(user);
    if (memory == nullptr && self.making_ && n >= kFrameBuffer && n < kFrameBuffer + 64) {
      self.making_ = false;  // the first one; a second would be in use at the same time
      if (self.frame_ == nullptr) {
        self.frame_ = std::make_unique_for_overwrite<char[]>(n);
        self.frame_bytes_ = n;
      }
      if (self.frame_bytes_ == n) return self.frame_.get();
    }
    if (memory != self.frame_.get() || memory == nullptr) return realloc(memory, n);
    void* own = malloc(n);
    return own == nullptr ? nullptr : memcpy(own, memory, std::min(n, self.frame_bytes_));
  };
}

nghttp2_mem* SessionMemory::Begin() {
  making_ = true;
  return &table_;
}

}  // namespace tenon::transport_h2
