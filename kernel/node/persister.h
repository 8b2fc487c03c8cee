// Makes the engine durable from time to time, so that the log before that point can go.
//
// The log alone already keeps every write; a persist only shortens it. One is due each 5 s or 64 MiB of log, if
// anything was applied since the last. For an engine that keeps nothing on disk it is a stream of the whole state in a
// file (kernel/snapshot), which is due by the bytes of log only. Index snapshots are written in passing.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>

#include "absl/functional/any_invocable.h"
#include "kernel/apply/applier.h"
#include "kernel/base/status.h"
#include "kernel/metrics/metrics.h"
#include "kernel/mvcc/index_snapshot.h"
#include "kernel/node/node.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"
#include "kernel/snapshot/stream_files.h"
#include "kernel/storage/engine.h"

namespace tenon::node {

class Persister {
 public:
  struct Options {
    uint64_t interval_ns = 5'000'000'000;
    uint64_t log_bytes = 64 << 20;
    snapshot::StreamFiles* streams = nullptr;       // for an engine without TENON_ST_PERSIST; none: it lives by the log
    mvcc::IndexSnapshot* index_snapshot = nullptr;  // none: each start reads all rows
    uint64_t log_bytes_behind = 0;                  // of entries that a former life has left behind its last persist
  };
  Persister(storage::Engine& engine, apply::Applier& applier, Node& node, Clock& clock, Executor& executor,
            metrics::Registry& metrics, std::function<void(Status)> fatal, Options options);

  void Start();                        // [main]
  void Abandon() { stopped_ = true; }  // no persist begins, and none under way counts any more [any]
  void Stop();                         // no persist begins after it returns; one under way has ended [main]
  // The last one, when nothing is applied any more: a start after it has no log to replay. [main]
  void Final();
  // For Applier::before_removal: `done` is called when the index snapshot of before the removal, if one is due, is on
  // disk, or cannot be written. [any]
  void BeforeRemoval(absl::AnyInvocable<void()> done);

 private:
  void SaveIndexIfDue();
  void Look();
  void Persist(bool force);
  void SaveStream();
  void Release(Index durable);
  bool Persists() const { return engine_.persistent() || options_.streams != nullptr; }

  storage::Engine& engine_;
  apply::Applier& applier_;
  Node& node_;
  Clock& clock_;
  Executor& executor_;  // the persist thread
  const std::function<void(Status)> fatal_;
  const Options options_;
  std::atomic<bool> stopped_{false};
  // [persist]
  uint64_t last_ns_ = 0, last_log_bytes_ = 0, log_bytes_behind_ = 0;
  Index last_applied_, durable_;
  uint64_t last_removals_ = 0;
  metrics::Histogram seconds_;
};

}  // namespace tenon::node
