#include "plugins/transport-h2/session_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace tenon::transport_h2 {

SessionMemory::SessionMemory() {
  table_.mem_user_data = this;
  table_.malloc = [](size_t n, void*) { return malloc(n); };
  table_.calloc = [](size_t n, size_t each, void* user) {
    auto& self = *static_cast<SessionMemory*>(user);
    return self.making_ && n * each == kPage ? self.TakePage() : calloc(n, each);
  };
  table_.free = [](void* memory, void* user) {
    auto& self = *static_cast<SessionMemory*>(user);
    if (self.IsPage(memory)) return self.GivePage(memory);
    if (memory != self.frame_.get()) free(memory);
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
    const bool page = self.IsPage(memory);
    if (!page && (memory != self.frame_.get() || memory == nullptr)) return realloc(memory, n);
    void* own = malloc(n);
    if (own == nullptr) return nullptr;
    memcpy(own, memory, std::min(n, page ? kPage : self.frame_bytes_));
    if (page) self.GivePage(memory);
    return own;
  };
}

SessionMemory::~SessionMemory() {
  for (char* region : regions_) munmap(region, kRegion);
}

void* SessionMemory::TakePage() {
  if (free_pages_.empty()) {
    void* region = mmap(nullptr, kRegion, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) return nullptr;
    madvise(region, kRegion, MADV_NOHUGEPAGE);  // which would be there as a whole
    regions_.push_back(static_cast<char*>(region));
    for (size_t at = kRegion; at > 0; at -= kPage) free_pages_.push_back(regions_.back() + at - kPage);
  }
  void* page = free_pages_.back();
  free_pages_.pop_back();
  return page;
}

void SessionMemory::GivePage(void* page) {
  madvise(page, kPage, MADV_DONTNEED);  // zeros again
  free_pages_.push_back(page);
}

bool SessionMemory::IsPage(const void* memory) const {
  const auto* at = static_cast<const char*>(memory);
  if (at == nullptr || reinterpret_cast<uintptr_t>(at) % kPage != 0) return false;
  return std::any_of(regions_.begin(), regions_.end(),
                     [at](const char* region) { return at >= region && at < region + kRegion; });
}

nghttp2_mem* SessionMemory::Begin() {
  making_ = true;
  return &table_;
}

}  // namespace tenon::transport_h2
