// Time and threads of a simulation, on one real thread.
//
// A "thread" is a queue; the seed picks which of those that have something due runs next. While a task runs, what it
// does may take simulated time (Spend): its thread is busy until then, and what it posts arrives then. So a slow disk
// holds up the thread that waits for it and nobody else.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"
#include "tests/sim/random.h"
#include "tests/sim/strand.h"

namespace tenon::sim {

class Scheduler;

// One machine's time: its clocks run a little wrong, and it may stand still for a while.
class MachineClock : public Clock {
 public:
  // Of 1,000,000 ticks of the world it makes drift_ppm more.
  MachineClock(Scheduler& world, int64_t drift_ppm) : world_(world), drift_ppm_(drift_ppm) {}
  uint64_t MonoNs() override;
  uint64_t WallNs() override { return MonoNs() + wall_offset_ns_; }
  // At a moment of the world's time.
  uint64_t At(uint64_t world_ns) const {
    return world_ns + static_cast<uint64_t>(static_cast<int64_t>(world_ns) * drift_ppm_ / 1'000'000);
  }
  // How long the world waits for that much of this machine's time.
  uint64_t Wait(uint64_t ns) const {
    return ns - static_cast<uint64_t>(static_cast<int64_t>(ns / 1000) * drift_ppm_ / 1000);
  }
  // SIGSTOP: its threads do nothing until then, while time goes on.
  void StandStill(uint64_t until_ns) { standing_until_ns_ = std::max(standing_until_ns_, until_ns); }
  void GoOn() { standing_until_ns_ = 0; }
  uint64_t standing_until_ns() const { return standing_until_ns_; }
  void MoveWallClock(int64_t ns) { wall_offset_ns_ += static_cast<uint64_t>(ns); }

 private:
  Scheduler& world_;
  const int64_t drift_ppm_;
  uint64_t standing_until_ns_ = 0;
  uint64_t wall_offset_ns_ = 1'700'000'000'000'000'000;
};

class Scheduler : public Clock {
 public:
  class Queue : public Executor {
   public:
    Queue(Scheduler& scheduler, uint64_t id, MachineClock* machine)
        : scheduler_(scheduler), id_(id), machine_(machine) {}
    void Post(Task task) override;
    void PostAfter(uint64_t delay_ns, Task task) override;
    void PostAt(uint64_t world_ns, Task task);  // by the world's clock
    void RunOrPost(Task task) override;
    bool IsCurrent() const override { return scheduler_.current_ == this; }
    const MachineClock* machine() const { return machine_; }
    // What waits is dropped, as when the process dies, and what stands still in the middle.
    void Clear();
    // While set, its tasks may call StandStill. That costs two switches of threads each.
    void set_may_stand_still(bool may) { may_stand_still_ = may; }
    bool may_stand_still() const { return may_stand_still_; }
    // Runs what is due until nothing is, on behalf of a main thread that waits for this one to end.
    void Drain();

   private:
    friend class Scheduler;
    uint64_t NextAt() const;  // when its first task can run

    Scheduler& scheduler_;
    const uint64_t id_;
    MachineClock* const machine_;                          // null: the world's
    std::map<std::pair<uint64_t, uint64_t>, Task> tasks_;  // by due time, then by the order of posting
    uint64_t busy_until_ = 0;
    bool may_stand_still_ = false;
    std::unique_ptr<Strand> strand_;  // the task that stands still until busy_until_
  };

  Scheduler(uint64_t seed, Trace& trace) : random_(seed), trace_(trace) {}

  Queue& NewQueue(MachineClock* machine = nullptr);
  // Runs one task; time goes on when none is due. False: there is none at all.
  bool Step();

  uint64_t MonoNs() override { return now_ns_ + spent_ns_; }
  uint64_t WallNs() override { return MonoNs(); }
  // When the task that runs now began. Tasks of several threads overlap in MonoNs; by this they stand in the order in
  // which they see each other's work.
  uint64_t TaskBeganNs() const { return now_ns_; }
  // What runs now takes that long.
  void Spend(uint64_t ns) { (current_ != nullptr ? spent_ns_ : now_ns_) += ns; }
  // What runs now waits there until then, as in a call that does not return: its thread does nothing else, the others
  // go on and see what it has done so far. Its queue must allow it. Never returns if the process ends meanwhile.
  void StandStill(uint64_t until_ns);
  bool MayStandStill() const { return current_ != nullptr && current_->strand_ != nullptr && !main_waits_; }
  // Everything stands still, as machines that are suspended.
  void Pause(uint64_t ns) { now_ns_ += ns; }

  // While set, a task posted from outside of all threads has run when Post returns: the main thread's wait for it
  // then ends at once. To main it looks as if the other thread was faster.
  void set_main_waits(bool waits) { main_waits_ = waits; }

  const Queue* current() const { return current_; }
  const Queue* last() const { return last_; }  // whose task ran last
  uint64_t steps() const { return steps_; }

 private:
  void Run(Queue& queue);
  void RunTask(Queue& queue);

  Random random_;
  Trace& trace_;
  std::vector<std::unique_ptr<Queue>> queues_;
  Queue* current_ = nullptr;
  uint64_t now_ns_ = 1'000'000'000, spent_ns_ = 0, sequence_ = 0, steps_ = 0;
  bool main_waits_ = false;
  uint64_t stands_until_ = 0;  // of what runs now, if it stands still
  const Queue* last_ = nullptr;
  std::vector<Queue*> due_;
};

inline uint64_t MachineClock::MonoNs() { return At(world_.MonoNs()); }

}  // namespace tenon::sim
