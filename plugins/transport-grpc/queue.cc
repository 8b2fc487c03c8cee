#include "plugins/transport-grpc/queue.h"

#include <pthread.h>

#include "plugins/transport-grpc/call.h"

namespace tenon::transport_grpc {
namespace {

// gRPC holds a new call back while none waits for it. Refilled when half of them are used.
constexpr int kWaitingCalls = 128;
// Unary calls under way for each thread after the first.
constexpr size_t kCallsAThread = 8;

}  // namespace

Queue::Queue(Shared& shared, std::unique_ptr<grpc::ServerCompletionQueue> cq, size_t threads)
    : shared_(shared), methods_(shared.host, shared.dispatch), cq_(std::move(cq)), n_threads_(threads) {}

Queue::~Queue() = default;

void Queue::Start() {
  for (int i = 0; i < kWaitingCalls; ++i) WaitForCall();
  for (size_t i = 0; i < n_threads_; ++i) {
    threads_.emplace_back([this, i] { i == 0 ? Run() : Help(i); });
    pthread_setname_np(threads_.back().native_handle(), fmt::format("grpc-queue-{}", i).c_str());
  }
}

void Queue::OnTag(void* tag, bool ok) {
  Operation* operation = Operation::Of(tag);
  operation == nullptr ? Call::OnTag(tag, ok) : operation->Done(ok);
}

void Queue::Run() {
  // Without a deadline: a Next that times out costs a wake-up, and gRPC 1.51 sleeps 100 ms in its own such loops.
  void* tag;
  bool ok;
  while (cq_->Next(&tag, &ok)) OnTag(tag, ok);
}

void Queue::Help(size_t number) {
  const size_t enough = number * kCallsAThread;
  void* tag;
  bool ok;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      busy_.wait(lock, [&] { return stopping_ || under_way_.load(std::memory_order_relaxed) >= enough; });
      if (stopping_) return;  // the first thread takes what is left
    }
    do {
      if (!cq_->Next(&tag, &ok)) return;
      OnTag(tag, ok);
    } while (under_way_.load(std::memory_order_relaxed) >= enough / 2);
  }
}

void Queue::Begin() {
  const size_t now = under_way_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (n_threads_ == 1 || now % kCallsAThread != 0 || now > (n_threads_ - 1) * kCallsAThread) return;
  std::lock_guard lock(mutex_);  // a thread that looks at the number now is asleep when it is told
  busy_.notify_all();
}

void Queue::Refill() {
  if (waiting_.load(std::memory_order_relaxed) > kWaitingCalls / 2) return;
  if (shared_.closing.load(std::memory_order_acquire) || refilling_.exchange(true)) return;
  while (waiting_.load(std::memory_order_relaxed) < kWaitingCalls) WaitForCall();
  refilling_.store(false);
}

void Queue::WaitForCall() {
  Call* call;
  {
    std::lock_guard lock(mutex_);
    ++live_;
    if (free_.empty()) {
      calls_.push_back(std::make_unique<Call>(*this));
      call = calls_.back().get();
    } else {
      call = free_.back();
      free_.pop_back();
    }
  }
  waiting_.fetch_add(1, std::memory_order_relaxed);
  call->Wait();
}

void Queue::Recycle(Call* call) {
  std::lock_guard lock(mutex_);
  free_.push_back(call);
  if (--live_ == 0) idle_.notify_all();
}

void Queue::Hold() {
  std::lock_guard lock(mutex_);
  ++live_;
}

void Queue::Release() {
  std::lock_guard lock(mutex_);
  if (--live_ == 0) idle_.notify_all();
}

void Queue::Stop() {
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return live_ == 0; });
    stopping_ = true;
    busy_.notify_all();
  }
  cq_->Shutdown();
  if (!threads_.empty()) {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return;
  }
  void* tag;  // never started: gRPC wants the queue drained all the same
  bool ok;
  while (cq_->Next(&tag, &ok)) {
  }
}

}  // namespace tenon::transport_grpc
