#include "plugins/transport-grpc/peer_loop.h"

#include <grpc/support/time.h>

#include <utility>

#include "kernel/base/check.h"
#include "plugins/transport-common/peer_log.h"
#include "plugins/transport-grpc/peer_call.h"
#include "plugins/transport-grpc/peer_link.h"
#include "plugins/transport-grpc/peer_session.h"

namespace tenon::transport_grpc {

PeerLoop::~PeerLoop() { CHECK(over_ && sessions_.empty()); }

void PeerLoop::Start(Queue& queue) {
  queue_ = &queue;
  queue.Hold();
  deadline_ = {.fire = [](void* self) { static_cast<PeerLoop*>(self)->BreakAll(); }, .self = this};
  std::lock_guard lock(mutex_);
  over_ = false;
}

void PeerLoop::Drain(uint64_t deadline_ns) {
  Run([=, this] {
    draining_ = true;
    timers_.Set(&deadline_, deadline_ns);
  });
}

void PeerLoop::Finish() {
  now_ns_ = transport::MonoNs();
  std::unique_lock lock(mutex_);
  CHECK(over_);
  while (!work_.empty()) {
    const auto work = std::exchange(work_, {});
    lock.unlock();
    for (const auto& one : work) one();
    lock.lock();
  }
}

transport::PeerCall* PeerLoop::NewCall(std::string method, tenon_bufs request, uint64_t deadline_ns, tenon_done done) {
  return new PeerCall(std::move(method), request, deadline_ns, done);
}

std::shared_ptr<transport::PeerLink> PeerLoop::NewLink(transport::PeerClient& client, uint64_t id, bool urgent) {
  return std::make_shared<PeerLink>(client, id, urgent, *this);
}

// ---- work -----------------------------------------------------------------------------------------------------------

void PeerLoop::Run(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  work_.push_back(std::move(work));
  if (over_ || std::exchange(rung_, true)) return;
  bell_.alarm.Set(cq(), gpr_time_0(GPR_CLOCK_MONOTONIC), bell_.tag());
}

void PeerLoop::Work() {
  std::vector<std::function<void()>> work;
  {
    std::lock_guard lock(mutex_);
    rung_ = false;
    work.swap(work_);
  }
  BeginTurn();
  for (const auto& one : work) one();
  work.clear();
  EndTurn();
}

// ---- time -----------------------------------------------------------------------------------------------------------

void PeerLoop::OnTime() {
  alarm_ns_ = UINT64_MAX;
  alarm_cancelled_ = false;
  BeginTurn();
  EndTurn();
}

void PeerLoop::BeginTurn() { now_ns_ = transport::MonoNs(); }

// An alarm that is set cannot be moved, only cancelled; then it rings, and is set anew.
void PeerLoop::EndTurn() {
  if (timers_.next_ns() <= now_ns_) timers_.Fire(now_ns_);
  const bool last = draining_ && exchanges_ == 0 && sessions_.empty();
  if (last) timers_.Cancel(&deadline_);
  const uint64_t next = timers_.next_ns();
  if (alarm_ns_ != UINT64_MAX) {
    if ((next < alarm_ns_ || last) && !std::exchange(alarm_cancelled_, true)) clock_.alarm.Cancel();
    return;
  }
  if (next != UINT64_MAX) {
    alarm_ns_ = next;
    const gpr_timespec wait =
        gpr_time_from_nanos(next > now_ns_ ? static_cast<int64_t>(next - now_ns_) : 0, GPR_TIMESPAN);
    return clock_.alarm.Set(cq(), gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), wait), clock_.tag());
  }
  if (!last) return;
  {
    std::lock_guard lock(mutex_);
    if (over_ || rung_) return;
    over_ = true;
  }
  queue_->Release();
}

void PeerLoop::BreakAll() {
  const std::vector<PeerSession*> sessions = sessions_;
  for (PeerSession* session : sessions) session->Break("this member is stopping");
}

}  // namespace tenon::transport_grpc
