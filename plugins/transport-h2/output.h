// Bytes on their way into a socket: small ones copied, large ones left where the host has them.
#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "plugins/transport-h2/inbox.h"
#include "tenon/abi/base.h"

namespace tenon::transport_h2 {

// One reply of the host. Held by the queue it waits in and by each piece of output that points into it; loop's thread.
class Reply final : public Item {
 public:
  tenon_bufs bufs{};
  size_t bytes = 0;         // left, with the prefix
  uint8_t prefix[5];        // of a gRPC message
  uint8_t prefix_left = 0;  // bytes of it
  uint32_t part = 0;        // where the rest begins
  size_t offset = 0;
  Reply* next = nullptr;
  Item* home = nullptr;  // the object it lies in; NULL: allocated by itself

  // Takes the bytes; `framed`: as a gRPC message.
  void Set(tenon_bufs owned, bool framed);

 private:
  void Arrived() override {}
  void Unheld() override;
};

// Replies in order.
struct ReplyQueue {
  Reply *first = nullptr, *last = nullptr;

  bool empty() const { return first == nullptr; }
  void Push(Reply* reply) {
    reply->next = nullptr;
    (first == nullptr ? first : last->next) = reply;
    last = reply;
  }
  Reply* Pop() {
    Reply* reply = first;
    first = reply->next;
    return reply;
  }
};

class Output {
 public:
  Output() = default;
  ~Output() { Clear(); }
  Output(const Output&) = delete;

  bool empty() const { return bytes_ == 0; }
  size_t bytes() const { return bytes_; }

  void Copy(const void* bytes, size_t n);
  // The next n bytes of a reply, n <= reply->bytes.
  void Take(Reply* reply, size_t n);

  enum class Wrote { kAll, kBlocked, kFailed };
  // As much as the socket takes.
  Wrote WriteTo(int fd);
  void Clear();  // also lets go of memory that only a burst needed

 private:
  // A run of bytes; owner NULL: in our own blocks.
  struct Segment {
    const uint8_t* p;
    size_t n;
    Reply* owner;
  };
  static constexpr size_t kBlock = 32 * 1024;
  static constexpr size_t kCopyBelow = 512;  // a segment of its own costs more than copying so much

  void Refer(const uint8_t* p, size_t n, Reply* owner);

  std::vector<Segment> segments_;
  size_t first_ = 0;  // segment not yet written
  std::vector<std::unique_ptr<uint8_t[]>> blocks_;
  size_t block_ = 0, used_ = 0;  // where copies go
  size_t bytes_ = 0;
};

}  // namespace tenon::transport_h2
