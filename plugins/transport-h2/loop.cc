#include "plugins/transport-h2/loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <future>

#include "kernel/base/check.h"
#include "plugins/transport-h2/call.h"
#include "plugins/transport-h2/connection.h"

namespace tenon::transport_h2 {
namespace {

constexpr size_t kReadBuffer = 64 * 1024;
constexpr size_t kFreeCalls = 1024;
constexpr size_t kFreeOutputs = 4;
constexpr int kEvents = 256;

}  // namespace

thread_local Loop* Loop::current_ = nullptr;

struct Loop::Work final : Item {
  std::function<void()> work;
  void Arrived() override {
    work();
    delete this;
  }
  void Unheld() override {}
};

Loop::Loop(Shared& shared, int number, std::function<void()> ended)
    : shared_(shared),
      number_(number),
      ended_(std::move(ended)),
      methods_(shared.host, shared.dispatch),
      read_buffer_(kReadBuffer) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  CHECK(epoll_ >= 0 && wake_ >= 0);
  Watch(wake_, EPOLLIN, nullptr);
  now_ns_ = NowNs();
  drain_timer_ = {.fire = [](void* self) { static_cast<Loop*>(self)->CloseAll(); }, .self = this};
}

Loop::~Loop() {
  Join();
  while (posting_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  CHECK(connections_.empty());
  TakeWork();  // a second Drain came when there was nothing left
  close(epoll_);
  close(wake_);
}

void Loop::Start() {
  thread_ = std::thread([this] { Serve(); });
  pthread_setname_np(thread_.native_handle(), fmt::format("{}-{}", shared_.thread_name, number_).c_str());
}

void Loop::Join() {
  if (thread_.joinable()) thread_.join();
}

uint64_t Loop::NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void Loop::Serve() {
  while (!done_) Turn(-1);
  ended_();
}

void Loop::Turn(int timeout_ms) {
  current_ = this;
  epoll_event events[kEvents];
  if (local_first_ != nullptr || !dirty_.empty()) timeout_ms = 0;
  if (timeout_ms != 0) {
    int next = TimeoutMs();
    if (next >= 0 && (timeout_ms < 0 || next < timeout_ms)) timeout_ms = next;
  }
  if (timeout_ms != 0 && !inbox_.FallAsleep()) timeout_ms = 0;
  int n = epoll_wait(epoll_, events, kEvents, timeout_ms);
  inbox_.WakeUp();
  now_ns_ = NowNs();
  for (int i = 0; i < n; ++i) {
    if (events[i].data.ptr != nullptr) {
      static_cast<Source*>(events[i].data.ptr)->Ready(events[i].events);
    } else {
      uint64_t count;
      (void)!read(wake_, &count, sizeof count);
    }
  }
  TakeWork();
  if (timers_.next_ns() <= now_ns_) timers_.Fire(now_ns_);
  Flush();
  buried_.clear();
  if (draining_ && connections_.empty() && exchanges_ == 0) done_ = true;
}

// Rounded up, or the loop would turn without end in the millisecond before a timer.
int Loop::TimeoutMs() const {
  uint64_t next = timers_.next_ns();
  if (next == UINT64_MAX) return -1;
  uint64_t now = NowNs();
  if (next <= now) return 0;
  return static_cast<int>(std::min<uint64_t>((next - now + 999'999) / 1'000'000, 3'600'000));
}

void Loop::TakeWork() {
  for (Item* item = inbox_.Take(); item != nullptr;) {
    Item* next = item->next_;
    item->Arrived();
    item = next;
  }
  // What these post goes to the next turn, so that a call that answers itself cannot keep the others waiting.
  Item* item = std::exchange(local_first_, nullptr);
  while (item != nullptr) {
    Item* next = item->next_;
    item->Arrived();
    item = next;
  }
}

void Loop::Flush() {
  flushing_.swap(dirty_);
  for (Connection* connection : flushing_) connection->Flush();
  flushing_.clear();
}

void Loop::Post(Item* item) {
  if (IsHere()) {
    item->next_ = nullptr;
    (local_first_ == nullptr ? local_first_ : local_last_->next_) = item;
    local_last_ = item;
    return;
  }
  posting_.fetch_add(1, std::memory_order_relaxed);
  if (inbox_.Push(item)) {
    uint64_t one = 1;
    (void)!write(wake_, &one, sizeof one);
  }
  posting_.fetch_sub(1, std::memory_order_release);
}

void Loop::Run(std::function<void()> work) {
  auto* item = new Work;
  item->work = std::move(work);
  Post(item);
}

void Loop::RunAndWait(const std::function<void()>& work) {
  std::promise<void> done;
  Run([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

void Loop::Adopt(int fd, uint32_t roles) {
  if (!IsHere()) return Run([=, this] { Adopt(fd, roles); });
  if (draining_) {
    close(fd);
    return;
  }
  Open(fd, roles);
}

Connection& Loop::Open(int fd, uint32_t roles) {
  auto* connection = new Connection(*this, fd, roles);
  connection->place = connections_.size();
  connections_.push_back(connection);
  return *connection;
}

void Loop::Watch(int fd, uint32_t events, Source* source) {
  epoll_event event{.events = events, .data = {.ptr = source}};
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
}

void Loop::Rewatch(int fd, uint32_t events, Source* source) {
  epoll_event event{.events = events, .data = {.ptr = source}};
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0);
}

void Loop::Unwatch(int fd) { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }

void Loop::MarkDirty(Connection* connection) {
  if (connection->dirty) return;
  connection->dirty = true;
  dirty_.push_back(connection);
}

void Loop::Bury(Connection* connection) {
  connections_.back()->place = connection->place;
  connections_[connection->place] = connections_.back();
  connections_.pop_back();
  if (connection->dirty) std::erase(dirty_, connection);
  buried_.emplace_back(connection);
}

std::unique_ptr<Output> Loop::TakeOutput() {
  if (outputs_.empty()) return std::make_unique<Output>();
  auto output = std::move(outputs_.back());
  outputs_.pop_back();
  return output;
}

void Loop::GiveOutput(std::unique_ptr<Output> output) {
  output->Clear();
  if (outputs_.size() < kFreeOutputs) outputs_.push_back(std::move(output));
}

Call* Loop::NewCall() {
  ++exchanges_;
  if (free_calls_.empty()) return new Call(*this);
  Call* call = free_calls_.back().release();
  free_calls_.pop_back();
  return call;
}

void Loop::Recycle(Call* call) {
  --exchanges_;
  if (free_calls_.size() < kFreeCalls) {
    free_calls_.emplace_back(call);
  } else {
    delete call;
  }
}

// ---- the end --------------------------------------------------------------------------------------------------------

void Loop::Drain(uint64_t deadline_ns) {
  uint64_t before = drain_deadline_ns_.load(std::memory_order_relaxed);
  while (deadline_ns < before && !drain_deadline_ns_.compare_exchange_weak(before, deadline_ns)) {
  }
  Run([this] { BeginDrain(); });
}

void Loop::BeginDrain() {
  timers_.Set(&drain_timer_, drain_deadline_ns_.load(std::memory_order_relaxed));
  if (std::exchange(draining_, true)) return;
  std::vector<Connection*> all = connections_;
  for (Connection* connection : all) connection->Drain();
}

void Loop::CloseAll() {
  while (!connections_.empty()) connections_.back()->Close();
}

}  // namespace tenon::transport_h2
