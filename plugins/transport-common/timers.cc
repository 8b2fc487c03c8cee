#include "plugins/transport-common/timers.h"

namespace tenon::transport {

void Timers::Set(Timer* timer, uint64_t when_ns) {
  if (!timer->set()) {
    heap_.push_back({when_ns, timer});
    return Up(heap_.size() - 1, {when_ns, timer});
  }
  size_t at = timer->at;
  if (when_ns < heap_[at].when_ns) {
    Up(at, {when_ns, timer});
  } else {
    Down(at, {when_ns, timer});
  }
}

void Timers::Cancel(Timer* timer) {
  if (!timer->set()) return;
  size_t at = timer->at;
  timer->at = Timer::kIdle;
  Entry last = heap_.back();
  heap_.pop_back();
  if (at == heap_.size()) return;
  if (at > 0 && last.when_ns < heap_[(at - 1) / 4].when_ns) {
    Up(at, last);
  } else {
    Down(at, last);
  }
}

void Timers::Fire(uint64_t now_ns) {
  while (!heap_.empty() && heap_[0].when_ns <= now_ns) {
    Timer* timer = heap_[0].timer;
    Cancel(timer);
    timer->fire(timer->self);
  }
}

// Four children to a node: the heap is flat, and the usual timer goes to the end and stays there.
void Timers::Up(size_t at, Entry entry) {
  while (at > 0 && entry.when_ns < heap_[(at - 1) / 4].when_ns) {
    Put(at, heap_[(at - 1) / 4]);
    at = (at - 1) / 4;
  }
  Put(at, entry);
}

void Timers::Down(size_t at, Entry entry) {
  for (;;) {
    size_t first = at * 4 + 1, least = first;
    if (first >= heap_.size()) break;
    for (size_t child = first + 1; child < first + 4 && child < heap_.size(); ++child) {
      if (heap_[child].when_ns < heap_[least].when_ns) least = child;
    }
    if (entry.when_ns <= heap_[least].when_ns) break;
    Put(at, heap_[least]);
    at = least;
  }
  Put(at, entry);
}

}  // namespace tenon::transport
