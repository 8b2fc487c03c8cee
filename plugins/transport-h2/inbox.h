// How other threads hand work to a loop: a list without a lock, emptied in one go, and one wake for all that came.
#pragma once
#include <atomic>
#include <cstdint>

namespace tenon::transport_h2 {

// Something that belongs to one loop. Its holders are counted by the loop's thread only; when the last one lets go it
// can be used for something else, or freed.
class Item {
 public:
  // [loop] It was posted. Never from inside a callback of nghttp2 or of the host.
  virtual void Arrived() = 0;

  void Hold() { ++holders_; }
  void Drop() {
    if (--holders_ == 0) Unheld();
  }

 protected:
  ~Item() = default;
  virtual void Unheld() = 0;

 private:
  friend class Inbox;
  friend class Loop;
  Item* next_ = nullptr;
  int holders_ = 0;
};

class Inbox {
 public:
  // [any] True: the loop sleeps and is the caller's to wake.
  bool Push(Item* item) {
    Item* head = head_.load(std::memory_order_relaxed);
    do {
      item->next_ = head;
    } while (!head_.compare_exchange_weak(head, item, std::memory_order_seq_cst, std::memory_order_relaxed));
    // Most pushes find the loop awake, or woken by the one before: a load is all they pay.
    return asleep_.load(std::memory_order_seq_cst) && asleep_.exchange(false, std::memory_order_acq_rel);
  }
  // [loop] All items, the oldest first, linked.
  Item* Take() {
    if (head_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    Item* newest = head_.exchange(nullptr, std::memory_order_acquire);
    Item* oldest = nullptr;
    while (newest != nullptr) {
      Item* next = newest->next_;
      newest->next_ = oldest;
      oldest = newest;
      newest = next;
    }
    return oldest;
  }
  // [loop] False: something came, do not sleep.
  bool FallAsleep() {
    asleep_.store(true, std::memory_order_seq_cst);
    if (head_.load(std::memory_order_seq_cst) == nullptr) return true;
    WakeUp();
    return false;
  }
  void WakeUp() { asleep_.store(false, std::memory_order_relaxed); }

 private:
  std::atomic<Item*> head_{nullptr};
  std::atomic<bool> asleep_{false};
};

}  // namespace tenon::transport_h2
