#include "tests/sim/scheduler.h"

#include <algorithm>
#include <utility>

#include "kernel/base/check.h"

namespace tenon::sim {

void Scheduler::Queue::Post(Task task) {
  const std::pair<uint64_t, uint64_t> key{scheduler_.MonoNs(), scheduler_.sequence_++};
  tasks_.emplace(key, std::move(task));
  if (!scheduler_.main_waits_ || scheduler_.current_ != nullptr) return;
  while (tasks_.count(key) > 0) scheduler_.Run(*this);
}

void Scheduler::Queue::PostAfter(uint64_t delay_ns, Task task) {
  const uint64_t late = scheduler_.random_.Below(200'000);  // no timer is exact
  if (machine_ != nullptr) delay_ns = machine_->Wait(delay_ns);
  tasks_.emplace(std::pair{scheduler_.MonoNs() + delay_ns + late, scheduler_.sequence_++}, std::move(task));
}

void Scheduler::Queue::PostAt(uint64_t world_ns, Task task) {
  tasks_.emplace(std::pair{world_ns, scheduler_.sequence_++}, std::move(task));
}

// A thread that could be asleep is, half of the time.
void Scheduler::Queue::RunOrPost(Task task) {
  const uint64_t now = scheduler_.MonoNs();
  const bool idle = busy_until_ <= now && (tasks_.empty() || tasks_.begin()->first.first > now);
  if (!idle || may_stand_still_ || scheduler_.current_ == this || scheduler_.random_.Chance(50))
    return Post(std::move(task));
  struct StandIn {  // also when a failed CHECK throws
    Queue& queue;
    Queue* const caller = std::exchange(queue.scheduler_.current_, &queue);
    ~StandIn() {
      queue.busy_until_ = queue.scheduler_.MonoNs();
      queue.scheduler_.current_ = caller;
    }
  } stand_in{*this};
  task();
  task = nullptr;
}

void Scheduler::Queue::Clear() {
  strand_.reset();
  while (!tasks_.empty()) {
    const auto dropped = std::move(tasks_);  // what a task owns may post when it is destroyed
    tasks_.clear();
  }
  busy_until_ = 0;
}

void Scheduler::Queue::Drain() {
  while (!tasks_.empty() && tasks_.begin()->first.first <= std::max(scheduler_.now_ns_, busy_until_)) {
    scheduler_.Run(*this);
  }
}

uint64_t Scheduler::Queue::NextAt() const {
  if (tasks_.empty() && strand_ == nullptr) return UINT64_MAX;
  const uint64_t at = strand_ != nullptr ? busy_until_ : std::max(busy_until_, tasks_.begin()->first.first);
  return machine_ == nullptr ? at : std::max(at, machine_->standing_until_ns());
}

Scheduler::Queue& Scheduler::NewQueue(MachineClock* machine) {
  queues_.push_back(std::make_unique<Queue>(*this, queues_.size(), machine));
  return *queues_.back();
}

bool Scheduler::Step() {
  uint64_t next = UINT64_MAX;
  for (const auto& queue : queues_) next = std::min(next, queue->NextAt());
  if (next == UINT64_MAX) return false;
  now_ns_ = std::max(now_ns_, next);
  due_.clear();
  for (const auto& queue : queues_) {
    if (queue->NextAt() <= now_ns_) due_.push_back(queue.get());
  }
  Run(*due_[random_.Below(due_.size())]);
  return true;
}

void Scheduler::Run(Queue& queue) {
  now_ns_ = std::max(now_ns_, queue.NextAt());
  trace_.Add(queue.id_);
  trace_.Add(now_ns_);
  steps_++;
  last_ = current_ = &queue;
  spent_ns_ = random_.Between(200, 20'000);
  stands_until_ = 0;
  struct Leave {  // also when a failed CHECK throws
    Scheduler& scheduler;
    Queue& queue;
    ~Leave() {
      queue.busy_until_ = std::max(scheduler.MonoNs(), scheduler.stands_until_);
      scheduler.spent_ns_ = 0;
      scheduler.current_ = nullptr;
    }
  } leave{*this, queue};
  RunTask(queue);
}

void Scheduler::RunTask(Queue& queue) {
  if (queue.strand_ == nullptr) {
    auto first = queue.tasks_.extract(queue.tasks_.begin());
    if (!queue.may_stand_still_) {
      first.mapped()();
      first.mapped() = nullptr;  // on its own thread
      return;
    }
    queue.strand_ = std::make_unique<Strand>(std::move(first.mapped()));
  }
  queue.strand_->Go();
  if (queue.strand_->done()) queue.strand_.reset();
}

void Scheduler::StandStill(uint64_t until_ns) {
  CHECK(MayStandStill());
  stands_until_ = until_ns;
  current_->strand_->StandStill();
}

}  // namespace tenon::sim
