#include "kernel/node/disk_watch.h"

#include <algorithm>
#include <limits>

#include "kernel/base/log.h"

namespace tenon::node {

DiskWatch::DiskWatch(Disk& disk, std::vector<std::string> paths, uint64_t watermark, std::vector<std::string> ballasts,
                     Executor& executor, NoSpace& alarm)
    : disk_(disk),
      paths_(std::move(paths)),
      watermark_(watermark),
      ballasts_(std::move(ballasts)),
      executor_(executor),
      alarm_(alarm) {}

void DiskWatch::Start() {
  if (watermark_ == 0) return;
  executor_.Post([this] { Look(); });
}

bool DiskWatch::Admit(uint64_t bytes) {
  if (watermark_ > 0 && admitted_.fetch_add(bytes, std::memory_order_relaxed) + bytes >= kLookBytes) Measure();
  return !full_.load(std::memory_order_relaxed);
}

void DiskWatch::Measure() {
  const std::unique_lock lock(measure_mutex_, std::try_to_lock);
  if (!lock) return;  // somebody else is looking
  admitted_.store(0, std::memory_order_relaxed);
  uint64_t free_bytes = std::numeric_limits<uint64_t>::max();
  for (const std::string& path : paths_) {
    const Result<DiskSpace> space = disk_.Space(path);
    if (!space.ok()) {
      LOG_WARN("cannot see how full the disk is", {"error", space.status()});
      return;
    }
    free_bytes = std::min(free_bytes, space->free_bytes);
  }
  free_bytes_ = free_bytes;
  if (!full_ && free_bytes < watermark_) {
    full_ = true;
    LOG_WARN("the disk is nearly full: puts are refused until there is space again", {"free-bytes", free_bytes},
             {"watermark-bytes", watermark_}, {"path", paths_[0]});
    executor_.Post([this] { Tell(); });
  } else if (full_ && free_bytes > watermark_ + watermark_ / 8) {  // a little more, so that it does not flap
    full_ = false;
    LOG_INFO("there is space on the disk again", {"free-bytes", free_bytes});
  }
}

void DiskWatch::Look() {
  if (stopped_) return;
  executor_.PostAfter(kPeriodNs, [this] { Look(); });
  Measure();
  Tell();
  TendBallast();
}

void DiskWatch::TendBallast() {
  if (stopped_ || ballast_ == Ballast::kImpossible) return;
  const uint64_t bytes = BallastBytes(watermark_);
  // Given back, it must not look as if there was space again; made, it must not be what fills the disk.
  if (ballast_ != Ballast::kGone && full_ && free_bytes_ < watermark_ / 4) {
    for (const std::string& path : ballasts_) {
      const Status removed = disk_.Remove(path);
      if (removed.ok() || absl::IsNotFound(removed)) continue;
      LOG_WARN("cannot give the ballast back", {"error", removed});
      return;
    }
    ballast_ = Ballast::kGone;
    LOG_WARN("the disk is all but full: gave the ballast back, for deletes and compaction", {"bytes", bytes});
  } else if (ballast_ != Ballast::kThere && !full_ && free_bytes_ > watermark_ + watermark_ / 8 + bytes) {
    for (const std::string& path : ballasts_) {
      const Status made = MakeBallast(path);
      if (made.ok()) continue;
      LOG_WARN("cannot lay ballast by for a full disk", {"error", made});
      if (absl::IsUnimplemented(made)) ballast_ = Ballast::kImpossible;
      return;
    }
    ballast_ = Ballast::kThere;
  }
}

Status DiskWatch::MakeBallast(const std::string& path) {
  const uint64_t bytes = BallastBytes(watermark_);
  ASSIGN_OR_RETURN(const bool exists, disk_.Exists(path));
  if (exists) {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk_.OpenFile(path, Disk::Open::kRead));
    ASSIGN_OR_RETURN(const uint64_t size, file->Size());
    if (size == bytes) return Ok();
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk_.OpenFile(path, Disk::Open::kCreateOrTruncate));
  return file->Reserve(bytes);
}

void DiskWatch::Tell() {
  if (!stopped_) alarm_.TellDisk(full_);
}

}  // namespace tenon::node
