// A request message: one run of bytes that is filled here and given to the host.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "tenon/abi/base.h"

namespace tenon::transport_h2 {

// Small ones are made again and again by the thread that also frees most of them, so each thread keeps a few.
class Message {
 public:
  struct Free {
    void operator()(Message* message) const { Recycle(message); }
  };
  using Ptr = std::unique_ptr<Message, Free>;

  static Ptr Make(size_t capacity) {
    Spare& spare = spare_;
    if (capacity <= kSmall && spare.n > 0) return Ptr(spare.at[--spare.n]);
    void* memory = malloc(sizeof(Message) + (capacity <= kSmall ? kSmall : capacity));
    if (memory == nullptr) throw std::bad_alloc();
    return Ptr(new (memory) Message(capacity <= kSmall));
  }

  uint8_t* data() { return reinterpret_cast<uint8_t*>(this + 1); }
  void set_size(size_t n) { part_ = {data(), n}; }

  // For the host, which releases it on any thread.
  static tenon_bufs Give(Ptr message) {
    Message* m = message.release();
    return {&m->part_, 1, m, [](void* ctx) { Recycle(static_cast<Message*>(ctx)); }};
  }

 private:
  explicit Message(bool small) : small_(small) {}

  static void Recycle(Message* message) {
    Spare& spare = spare_;
    if (message->small_ && spare.n < spare.room) {
      spare.at[spare.n++] = message;
    } else {
      free(message);
    }
  }

  static constexpr size_t kSmall = 1024 - 32;
  static constexpr size_t kKept = 64;
  struct Spare {
    size_t n = 0, room = kKept;
    Message* at[kKept];
    ~Spare() {
      room = 0;  // a release after the end of the thread's own data frees
      while (n > 0) free(at[--n]);
    }
  };
  static thread_local Spare spare_;

  tenon_slice part_{};
  bool small_;
};
static_assert(sizeof(Message) <= 32);

using MessagePtr = Message::Ptr;

}  // namespace tenon::transport_h2
