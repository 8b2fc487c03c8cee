// nghttp2's allocator, so that a session costs a connection less.
#pragma once
#include <nghttp2/nghttp2.h>

#include <memory>
#include <vector>

namespace tenon::transport_h2 {

// A session makes a buffer of 16 KiB for the frame it is sending, and keeps it. We take each frame out before we do
// anything else, so all sessions of a loop can have the same one.
//
// It also makes a table of 4 KiB for its streams, all zeros as long as there are none. That is a page of its own here:
// one that was never written takes no memory.
class SessionMemory {
 public:
  SessionMemory();
  ~SessionMemory();

  // Between Begin and End the loop makes one session.
  nghttp2_mem* Begin();
  void End() { making_ = false; }

 private:
  static constexpr size_t kFrameBuffer = 16 * 1024;  // and a frame's head: this size and little more

  static constexpr size_t kPage = 4096;
  static constexpr size_t kRegion = 1 << 20;  // of pages, mapped at once

  void* TakePage();  // zeros; nullptr: no memory
  void GivePage(void* page);
  bool IsPage(const void* memory) const;

  std::vector<char*> regions_;
  std::vector<void*> free_pages_;

  nghttp2_mem table_{};
  size_t frame_bytes_ = 0;
  std::unique_ptr<char[]> frame_;
  bool making_ = false;
};

}  // namespace tenon::transport_h2
