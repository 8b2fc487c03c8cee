#include "kernel/node/disk_watch.h"

#include <algorithm>
#include <limits>

#include "kernel/apply/request.h"
#include "kernel/base/log.h"

namespace tenon::node {

DiskWatch::DiskWatch(Disk& disk, std::vector<std::string> paths, uint64_t watermark, Executor& executor, Node& node,
                     cluster::RequestIds& ids, MemberId self, const apply::Alarms& alarms)
    : disk_(disk),
      paths_(std::move(paths)),
      watermark_(watermark),
      executor_(executor),
      node_(node),
      ids_(ids),
      self_(self),
      alarms_(alarms) {}

void DiskWatch::Start() {
  if (watermark_ > 0) executor_.Post([this] { Look(); });
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
  const bool alarm = alarms_.Has(etcdserverpb::NOSPACE);
  // Proposed again at each look until it is so: a proposal may be lost.
  if (full_ && !alarm) {
    raised_ = true;
    Propose(true);
  } else if (!full_ && alarm && raised_) {
    Propose(false);
  }
  if (!full_ && !alarm) raised_ = false;
}

void DiskWatch::Propose(bool raise) {
  etcdserverpb::AlarmRequest request;
  request.set_action(raise ? etcdserverpb::AlarmRequest::ACTIVATE : etcdserverpb::AlarmRequest::DEACTIVATE);
  request.set_memberid(self_);
  request.set_alarm(etcdserverpb::NOSPACE);
  apply::Request r{ids_.Next(), request};
  std::string entry = apply::EncodeEntry(r.id, apply::Field::kAlarm, request.SerializeAsString());
  node_.Propose(std::make_shared<const apply::Proposal>(std::move(entry), std::move(r), [](const Status&, Bufs) {}));
}

}  // namespace tenon::node
