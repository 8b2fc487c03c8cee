// Puts raft's log on disk, on the wal thread: everything that waits in one write and one fdatasync.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/metrics/metrics.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"
#include "kernel/raft/types.h"
#include "kernel/wal/wal.h"

namespace tenon::node {

class LogWriter {
 public:
  struct Work {
    std::optional<raft::HardState> hard_state = std::nullopt;
    std::vector<raft::Entry> entries = {};
    std::optional<raft::SnapshotMeta> snapshot = std::nullopt;  // the log begins anew behind it
    // A point to restart from, which the engine holds in a crash-proof way: segments before it are released.
    std::optional<raft::SnapshotMeta> checkpoint = std::nullopt;
    bool adopts = false;  // the checkpoint's state is a fetched one: the member goes on from it, not from its engine's
    bool must_sync = false;
    std::vector<raft::Message> after_append = {};  // what may be said once this is durable
  };
  struct Durable {
    std::vector<raft::Message> messages;  // of all work that is on disk now
    bool restored = false;                // so is a snapshot, or a checkpoint that adopts
  };

  // durable: called on the wal thread. fatal: the disk is not to be
  // trusted any more; nothing is called afterwards.
  LogWriter(std::unique_ptr<wal::Wal> wal, Executor& executor, Clock& clock, metrics::Registry& metrics,
            std::function<void(Durable)> durable, std::function<void(Status)> fatal);

  // may_run: inside the call, in the wal thread's place, if that sleeps. [any]
  void Write(Work work, bool may_run = false);
  // Everything that was handed in is on disk when it returns. [main]
  Status Flush();

  // Since when the oldest work waits that is not on disk; 0: none does. [any]
  uint64_t BusySinceNs() const;
  uint64_t bytes_written() const { return bytes_written_.load(std::memory_order_relaxed); }

 private:
  void Turn();
  Status Carry(std::vector<Work>& works);

  std::unique_ptr<wal::Wal> wal_;
  Executor& executor_;
  Clock& clock_;
  const std::function<void(Durable)> durable_;
  const std::function<void(Status)> fatal_;
  mutable std::mutex mutex_;
  std::vector<Work> queue_;
  uint64_t queued_ns_ = 0;  // when the first of `queue_` came
  uint64_t taken_ns_ = 0;   // the same for what is being written; 0: nothing is
  bool scheduled_ = false;
  Status failed_;  // [wal]
  std::atomic<uint64_t> bytes_written_{0};
  metrics::Histogram fsync_seconds_, write_seconds_;
  metrics::Gauge written_;  // as in etcd, though it only grows
};

}  // namespace tenon::node
