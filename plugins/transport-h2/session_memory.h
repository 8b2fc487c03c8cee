// nghttp2's allocator, so that a session costs a connection less.
#pragma once
#include <nghttp2/nghttp2.h>

#include <memory>

namespace tenon::transport_h2 {

// A session makes a buffer of 16 KiB for the frame it is sending, and keeps it. We take each frame out before we do
// anything else, so all sessions of a loop can have the same one.
class SessionMemory {
 public:
  SessionMemory();

  // Between Begin and End the loop makes one session.
  nghttp2_mem* Begin();
  void End() { making_ = false; }

 private:
  static constexpr size_t kFrameBuffer = 16 * 1024;  // and a frame's head: this size and little more

  nghttp2_mem table_{};
  size_t frame_bytes_ = 0;
  std::unique_ptr<char[]> frame_;
  bool making_ = false;
};

}  // namespace tenon::transport_h2
