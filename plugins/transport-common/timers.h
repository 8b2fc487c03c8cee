// Points in time to be told of: a heap, so that a loop sleeps exactly until the next one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenon::transport {

// Lives inside what it belongs to; cancelled before that goes.
struct Timer {
  void (*fire)(void* self) = nullptr;
  void* self = nullptr;
  size_t at = kIdle;  // its place in the heap
  static constexpr size_t kIdle = SIZE_MAX;

  bool set() const { return at != kIdle; }
};

class Timers {
 public:
  void Set(Timer* timer, uint64_t when_ns);  // again: moves it
  void Cancel(Timer* timer);                 // also one that is not set
  // Fires what is due, each timer once. A timer may be set again and others cancelled by it.
  void Fire(uint64_t now_ns);
  // UINT64_MAX: none.
  uint64_t next_ns() const { return heap_.empty() ? UINT64_MAX : heap_[0].when_ns; }

 private:
  struct Entry {
    uint64_t when_ns;
    Timer* timer;
  };
  void Put(size_t at, Entry entry) {
    heap_[at] = entry;
    entry.timer->at = at;
  }
  void Up(size_t at, Entry entry);
  void Down(size_t at, Entry entry);

  std::vector<Entry> heap_;
};

}  // namespace tenon::transport
