#include "plugins/transport-grpc/queue.h"

#include <pthread.h>

#include "plugins/transport-grpc/call.h"

namespace tenon::transport_grpc {
namespace {

// gRPC holds a new call back while none waits for it. Refilled when half of them are used.
constexpr int kWaitingCalls = 128;

}  // namespace

Queue::Queue(Shared& shared, std::unique_ptr<grpc::ServerCompletionQueue> cq)
    : shared_(shared), methods_(shared.host, shared.dispatch), cq_(std::move(cq)) {}

Queue::~Queue() = default;

void Queue::Start(int number) {
  for (int i = 0; i < kWaitingCalls; ++i) WaitForCall();
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), fmt::format("grpc-queue-{}", number).c_str());
}

void Queue::Run() {
  // Without a deadline: a Next that times out costs a wake-up, and gRPC 1.51 sleeps 100 ms in its own such loops.
  void* tag;
  bool ok;
  while (cq_->Next(&tag, &ok)) Call::OnTag(tag, ok);
}

void Queue::Refill() {
  if (waiting_ > kWaitingCalls / 2 || shared_.closing.load(std::memory_order_acquire)) return;
  while (waiting_ < kWaitingCalls) WaitForCall();
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
  ++waiting_;
  call->Wait();
}

void Queue::Recycle(Call* call) {
  std::lock_guard lock(mutex_);
  free_.push_back(call);
  if (--live_ == 0) idle_.notify_all();
}

void Queue::Stop() {
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return live_ == 0; });
  }
  cq_->Shutdown();
  if (thread_.joinable()) {
    thread_.join();
    return;
  }
  void* tag;  // never started: gRPC wants the queue drained all the same
  bool ok;
  while (cq_->Next(&tag, &ok)) {
  }
}

}  // namespace tenon::transport_grpc
