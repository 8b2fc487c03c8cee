#include "kernel/mvcc/views.h"

#include <algorithm>

#include "kernel/base/check.h"
#include "kernel/base/errors.h"

namespace tenon::mvcc {

std::list<std::shared_ptr<Views::Pin>>::iterator Views::AddLocked(int64_t revision, bool keeps_all) {
  auto pin = std::make_shared<Pin>();
  pin->revision = revision;
  pin->opened_ns = clock_.MonoNs();
  pin->keeps_all = keeps_all;
  return pins_.insert(pins_.end(), std::move(pin));
}

Result<Views::Handle> Views::Open(int64_t revision) {
  MutexLock lock(&mutex_);
  if (revision < compact_revision_.load(std::memory_order_relaxed)) return errors::Compacted();
  return Handle(this, AddLocked(revision));
}

Views::Handle Views::OpenAtCompactRevision() {
  MutexLock lock(&mutex_);
  return Handle(this, AddLocked(compact_revision_.load(std::memory_order_relaxed)));
}

Views::Handle Views::KeepAll() {
  MutexLock lock(&mutex_);
  return Handle(this, AddLocked(INT64_MIN, /*keeps_all=*/true));
}

void Views::SetCompactRevision(int64_t revision) {
  MutexLock lock(&mutex_);
  CHECK_GE(revision, compact_revision_.load(std::memory_order_relaxed));
  compact_revision_.store(revision, std::memory_order_release);
}

bool Views::NoneBelow(int64_t revision) {
  const uint64_t now = clock_.MonoNs();
  MutexLock lock(&mutex_);
  for (const auto& pin : pins_) {
    if (pin->revision >= revision || pin->ended.load(std::memory_order_relaxed)) continue;
    if (pin->keeps_all || now - pin->opened_ns < max_age_ns_) return false;
    pin->ended.store(true, std::memory_order_release);
  }
  return true;
}

bool Views::AnyBelow(int64_t revision) {
  MutexLock lock(&mutex_);
  return std::any_of(pins_.begin(), pins_.end(), [&](const auto& pin) { return pin->revision < revision; });
}

Views::Handle::~Handle() {
  if (views_ == nullptr) return;
  MutexLock lock(&views_->mutex_);
  views_->pins_.erase(at_);
}

Status Views::Handle::Check() const { return pin_->ended.load(std::memory_order_acquire) ? errors::Compacted() : Ok(); }

}  // namespace tenon::mvcc
