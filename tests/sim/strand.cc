#include "tests/sim/strand.h"

#include <utility>

namespace tenon::sim {

Strand::~Strand() {
  if (!thread_.joinable()) return;
  if (!done_) {
    unwinds_ = true;
    SwitchTo(true);
  }
  thread_.join();
}

void Strand::Go() {
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  SwitchTo(true);
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Strand::StandStill() {
  SwitchTo(false);
  if (unwinds_) throw Unwound();
}

void Strand::Run() {
  std::unique_lock lock(mutex_);
  switched_.wait(lock, [&] { return inside_; });
  lock.unlock();
  try {
    std::exchange(task_, nullptr)();
  } catch (const Unwound&) {
  } catch (...) {
    error_ = std::current_exception();
  }
  lock.lock();
  done_ = true;
  inside_ = false;
  switched_.notify_all();
}

void Strand::SwitchTo(bool inside) {
  std::unique_lock lock(mutex_);
  inside_ = inside;
  switched_.notify_all();
  switched_.wait(lock, [&] { return inside_ != inside; });
}

}  // namespace tenon::sim
