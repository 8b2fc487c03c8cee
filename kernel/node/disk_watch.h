// Has NOSPACE raised before the disk is full, while the engine and the log still have room for deletes and compaction;
// and taken back when there is space again.
//
// What lies below the watermark pays for deletes and compaction while the alarm is up. Another process may eat it: then
// the ballast, a file that only takes place, is given back to them. It is made again when there is space again.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernel/node/no_space.h"
#include "kernel/ports/disk.h"
#include "kernel/ports/executor.h"

namespace tenon::node {

class DiskWatch {
 public:
  // watermark: free bytes below which the disk counts as full; 0: never. ballasts: the paths of the ballast files, one
  // for each disk. The alarm runs on the same executor.
  DiskWatch(Disk& disk, std::vector<std::string> paths, uint64_t watermark, std::vector<std::string> ballasts,
            Executor& executor, NoSpace& alarm);
  void Start();                     // [main]
  void Stop() { stopped_ = true; }  // [any]
  // May a request that adds `bytes` go in? Looks at the disk each kLookBytes, so that a burst, or another process that
  // takes the rest, is noticed before the log or the engine hits the end. [any]
  bool Admit(uint64_t bytes);

  // A segment of the log, unless the watermark is too low to hold back as much again.
  static uint64_t BallastBytes(uint64_t watermark) { return std::min<uint64_t>(watermark / 4, 64 << 20); }

 private:
  static constexpr uint64_t kPeriodNs = 500'000'000;
  static constexpr uint64_t kLookBytes = 1 << 20;
  void Look();
  void Measure();
  void TendBallast();
  Status MakeBallast(const std::string& path);
  void Tell();

  Disk& disk_;
  const std::vector<std::string> paths_;  // of the data and of the log
  const uint64_t watermark_;
  const std::vector<std::string> ballasts_;
  Executor& executor_;
  NoSpace& alarm_;
  std::atomic<bool> full_{false}, stopped_{false};
  std::atomic<uint64_t> admitted_{0};    // bytes since the last look
  std::atomic<uint64_t> free_bytes_{0};  // at the last look
  enum class Ballast { kUnknown, kThere, kGone, kImpossible };
  Ballast ballast_ = Ballast::kUnknown;  // [executor]
  std::mutex measure_mutex_;
};

}  // namespace tenon::node
