#include "kernel/node/disk_watch.h"

#include <algorithm>
#include <limits>

#include "kernel/apply/request.h"
#include "kernel/base/log.h"

namespace tenon::node {

DiskWatch::DiskWatch(Disk& disk, std::vector<std::string> paths, uint64_t watermark, std::string mark,
                     Executor& executor, Node& node, cluster::RequestIds& ids, MemberId self,
                     const apply::Alarms& alarms)
    : disk_(disk),
      paths_(std::move(paths)),
      watermark_(watermark),
      mark_(std::move(mark)),
      executor_(executor),
      node_(node),
      ids_(ids),
      self_(self),
      alarms_(alarms) {}

void DiskWatch::Start() {
  if (watermark_ == 0) return;
  executor_.Post([this] {
    const Result<bool> marked = disk_.Exists(mark_);
    if (!marked.ok()) LOG_WARN("cannot see whether NOSPACE was raised for this disk", {"error", marked.status()});
    raised_ = marked.value_or(false);
    Look();
  });
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
  if (!full_ && free_bytes < watermark_) {
    full_ = true;
    LOG_WARN("the disk is nearly full: puts are refused until there is space again", {"free-bytes", free_bytes},
             {"watermark-bytes", watermark_}, {"path", paths_[0]});
    executor_.Post([this] { RaiseOrTakeBack(); });
  } else if (full_ && free_bytes > watermark_ + watermark_ / 8) {  // a little more, so that it does not flap
    full_ = false;
    LOG_INFO("there is space on the disk again", {"free-bytes", free_bytes});
  }
}

void DiskWatch::Look() {
  if (stopped_) return;
  executor_.PostAfter(kPeriodNs, [this] { Look(); });
  Measure();
  RaiseOrTakeBack();
}

void DiskWatch::RaiseOrTakeBack() {
  if (stopped_) return;
  // Proposed again at each look until it is so: a proposal may be lost.
  if (full_ && !alarms_.Has(etcdserverpb::NOSPACE)) {
    if (!raised_) {
      // First, so that no crash leaves an alarm that nobody knows to be ours. Without it a restart would.
      if (const Status marked = SetMark(true); !marked.ok()) {
        LOG_WARN("cannot note that NOSPACE is for the disk: after a restart it must be disarmed by hand",
                 {"error", marked});
      }
    }
    raised_ = true;
    Propose(true, [] {});
  } else if (!full_ && raised_) {
    // Not only while the alarm is seen: one that was proposed may still be on its way, and this goes behind it.
    Propose(false, [this] {
      if (full_ || stopped_) return;
      if (const Status unmarked = SetMark(false); unmarked.ok()) {
        raised_ = false;
      } else {
        LOG_WARN("cannot remove the mark of a full disk", {"error", unmarked});
      }
    });
  }
}

void DiskWatch::Propose(bool raise, absl::AnyInvocable<void()> done) {
  etcdserverpb::AlarmRequest request;
  request.set_action(raise ? etcdserverpb::AlarmRequest::ACTIVATE : etcdserverpb::AlarmRequest::DEACTIVATE);
  request.set_memberid(self_);
  request.set_alarm(etcdserverpb::NOSPACE);
  apply::Request r{ids_.Next(), request};
  std::string entry = apply::EncodeEntry(r.id, apply::Field::kAlarm, request.SerializeAsString());
  node_.Propose(std::make_shared<const apply::Proposal>(
      std::move(entry), std::move(r), [this, done = std::move(done)](const Status& status, Bufs) mutable {
        if (status.ok()) executor_.Post(std::move(done));
      }));
}

Status DiskWatch::SetMark(bool raised) {
  if (raised) {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk_.OpenFile(mark_, Disk::Open::kCreateOrTruncate));
    RETURN_IF_ERROR(file->Sync());
  } else {
    ASSIGN_OR_RETURN(const bool exists, disk_.Exists(mark_));
    if (exists) RETURN_IF_ERROR(disk_.Remove(mark_));
  }
  return disk_.SyncDirectory(mark_.substr(0, mark_.rfind('/')));
}

}  // namespace tenon::node
