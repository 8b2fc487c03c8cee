// Raises NOSPACE before the disk is full, while the engine and the log still have room for deletes and compaction;
// takes the alarm back when there is space again.
//
// What it raised is its own to take back, also after a restart: an empty file, the mark, lies in the data directory
// from before the alarm is proposed until it is gone. An alarm that was there already is somebody else's and stays.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/apply/alarms.h"
#include "kernel/cluster/ids.h"
#include "kernel/node/node.h"
#include "kernel/ports/disk.h"
#include "kernel/ports/executor.h"

namespace tenon::node {

class DiskWatch {
 public:
  // watermark: free bytes below which the disk counts as full; 0: never. mark: the path of the mark.
  DiskWatch(Disk& disk, std::vector<std::string> paths, uint64_t watermark, std::string mark, Executor& executor,
            Node& node, cluster::RequestIds& ids, MemberId self, const apply::Alarms& alarms);
  void Start();                     // [main]
  void Stop() { stopped_ = true; }  // [any]
  // May a request that adds `bytes` go in? Looks at the disk each kLookBytes, so that a burst, or another process that
  // takes the rest, is noticed before the log or the engine hits the end. [any]
  bool Admit(uint64_t bytes);

 private:
  static constexpr uint64_t kPeriodNs = 500'000'000;
  static constexpr uint64_t kLookBytes = 1 << 20;
  void Look();
  void Measure();
  void RaiseOrTakeBack();
  void Propose(bool raise, absl::AnyInvocable<void()> done);
  Status SetMark(bool raised);

  Disk& disk_;
  const std::vector<std::string> paths_;  // of the data and of the log
  const uint64_t watermark_;
  const std::string mark_;
  Executor& executor_;
  Node& node_;
  cluster::RequestIds& ids_;
  const MemberId self_;
  const apply::Alarms& alarms_;
  std::atomic<bool> full_{false}, stopped_{false};
  std::atomic<uint64_t> admitted_{0};  // bytes since the last look
  std::mutex measure_mutex_;
  bool raised_ = false;  // by us, or perhaps: so it is ours to take back. As the mark says [executor]
};

}  // namespace tenon::node
