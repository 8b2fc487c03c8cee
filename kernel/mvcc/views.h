// The revisions that somebody is reading.
//
// Compaction moves the logical compact revision at once, but removes rows only when no registered view can see them.
// A view older than the limit is ended instead: its reader gets `compacted`.
#pragma once
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>

#include "kernel/base/mutex.h"
#include "kernel/base/status.h"
#include "kernel/ports/clock.h"

namespace tenon::mvcc {

class Views {
 public:
  struct Pin {
    int64_t revision;
    uint64_t opened_ns;
    std::atomic<bool> ended{false};
    bool keeps_all = false;  // at any age
  };

  Views(Clock& clock, uint64_t max_age_ns) : clock_(clock), max_age_ns_(max_age_ns) {}

  // Registers a reader at `revision`; it is released when the handle dies. Compacted: revision < the compact revision.
  // [any]
  class Handle;
  Result<Handle> Open(int64_t revision);
  // A reader of the compact revision itself: nothing that is there now goes away. For HashKV. [any]
  Handle OpenAtCompactRevision();
  // While it lives no row is removed, also not of a compaction that has begun. It does not end by its age: whoever
  // asks for it sees to that. For a state on its way to another member. [apply], so that no removal is half done
  Handle KeepAll();

  int64_t compact_revision() const { return compact_revision_.load(std::memory_order_acquire); }
  void SetCompactRevision(int64_t revision);  // [apply]

  // May rows be removed that only readers below `revision` see? Ends views that are too old first. [apply]
  bool NoneBelow(int64_t revision);
  // Is somebody there who opened a revision below, ended or not? [apply]
  bool AnyBelow(int64_t revision);

 private:
  std::list<std::shared_ptr<Pin>>::iterator AddLocked(int64_t revision, bool keeps_all = false);

  Clock& clock_;
  const uint64_t max_age_ns_;
  Mutex mutex_;
  std::list<std::shared_ptr<Pin>> pins_;
  std::atomic<int64_t> compact_revision_{-1};
};

class Views::Handle {
 public:
  Handle(Views* views, std::list<std::shared_ptr<Pin>>::iterator at) : views_(views), at_(at), pin_(*at) {}
  Handle(Handle&& o) noexcept : views_(std::exchange(o.views_, nullptr)), at_(o.at_), pin_(std::move(o.pin_)) {}
  Handle& operator=(Handle&&) = delete;
  ~Handle();
  int64_t revision() const { return pin_->revision; }
  // OK, or Compacted when the view was ended: what was read since then may have holes.
  Status Check() const;

 private:
  Views* views_;
  std::list<std::shared_ptr<Pin>>::iterator at_;
  std::shared_ptr<Pin> pin_;
};

}  // namespace tenon::mvcc
