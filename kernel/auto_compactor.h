// The loop around a compactor module: comes by as its schedule says, asks it on the leader, does what it decides.
//
// Samples are taken on every member, so that a new leader knows the past. While a compaction is under way the module is
// not asked.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/base/status.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"
#include "tenon/abi/compactor.h"

namespace tenon {

class AutoCompactor {
 public:
  struct Parts {
    tenon_compactor_v1 table;
    void* self;  // outlives this
    Clock& clock;
    Executor& executor;  // where the module is called
    std::function<bool()> leads;
    // All of tenon_compact_in but now_ms and the samples.
    std::function<tenon_compact_in()> describe;
    // Compacts through an entry; OutOfRange: it was compacted to there before. `done` may come on any thread.
    std::function<void(int64_t revision, absl::AnyInvocable<void(Status)> done)> compact;
  };
  explicit AutoCompactor(Parts parts) : p_(std::move(parts)) {}

  void Start();                     // [main]
  void Stop() { stopped_ = true; }  // [any]; the executor is to be stopped before this goes

 private:
  void ComeBy();
  void Decide();
  void Sample();
  void Compact(int64_t revision);

  const Parts p_;
  std::atomic<bool> stopped_{false};
  // [executor]
  uint64_t started_ns_ = 0, every_ms_ = 0;
  uint32_t keep_ = 0;
  bool compacting_ = false;
  std::vector<uint64_t> times_ms_;
  std::vector<int64_t> revisions_;
};

}  // namespace tenon
