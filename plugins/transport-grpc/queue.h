// The completion queue, the threads that run it, and the calls that live on it.
//
// One queue, and not one a thread: gRPC wakes a thread for every event it finds, and with a queue a thread that is
// often the wrong one, which then wakes the right one. For the same reason the threads after the first sleep outside
// the queue until enough unary calls are under way: a lone client's request is read, served and finished by one thread
// (an empty call took 86 us so, and 203 us with two threads always in the queue).
#pragma once
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/async_generic_service.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "plugins/transport-common/methods.h"
#include "plugins/transport-grpc/bytes.h"
#include "plugins/transport-grpc/options.h"
#include "tenon/abi/transport.h"

namespace tenon::transport_grpc {

class Call;
using transport::Method;
using transport::MethodCache;
using transport::ServiceNames;

// What all calls of a transport share; outlives them.
struct Shared {
  const tenon_host* host;
  const tenon_host_dispatch_v1* dispatch;
  Options options;
  ServiceNames services;
  grpc::AsyncGenericService service;
  std::atomic<bool> closing{false};  // no new calls
  std::shared_ptr<Lent> lent = std::make_shared<Lent>();
};

// What else is done on the queue's threads.
class alignas(8) Operation {
 public:
  // What gRPC is given, and gives back.
  void* tag() { return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(this) | kTag); }
  static Operation* Of(void* tag) {
    const auto bits = reinterpret_cast<uintptr_t>(tag);
    return (bits & kTag) == kTag ? reinterpret_cast<Operation*>(bits & ~kTag) : nullptr;
  }
  virtual void Done(bool ok) = 0;

 protected:
  ~Operation() = default;

 private:
  static constexpr uintptr_t kTag = 7;  // no event of a Call
};

class Queue {
 public:
  Queue(Shared& shared, std::unique_ptr<grpc::ServerCompletionQueue> cq, size_t threads);
  ~Queue();

  void Start();
  // Waits until every call has ended and its object is back, which needs the server shut down; then ends the threads.
  void Stop();

  Shared& shared() { return shared_; }
  MethodCache& methods() { return methods_; }
  grpc::ServerCompletionQueue* cq() { return cq_.get(); }

  // [queue threads] A unary call began, and its object is free again: what the sleeping threads wait for.
  void Begin();
  void Ended() { under_way_.fetch_sub(1, std::memory_order_relaxed); }

  // [queue threads] Lets gRPC have more calls if it runs low. Only while a started call is held, so that the queue
  // cannot end meanwhile.
  void Refill();
  // [queue threads] A waiting call left: it began, or the server shut down.
  void Left() { waiting_.fetch_sub(1, std::memory_order_relaxed); }
  // [any] Somebody has operations on the queue, and has none any more: Stop waits for it.
  void Hold();
  void Release();
  // [any] The object can serve another call.
  void Recycle(Call* call);

 private:
  static void OnTag(void* tag, bool ok);
  void Run();
  void Help(size_t number);  // the life of a thread after the first
  void WaitForCall();

  Shared& shared_;
  MethodCache methods_;
  std::unique_ptr<grpc::ServerCompletionQueue> cq_;
  const size_t n_threads_;
  std::atomic<int> waiting_{0};  // calls that gRPC can begin
  std::atomic<bool> refilling_{false};
  std::atomic<size_t> under_way_{0};  // unary calls

  std::mutex mutex_;
  std::condition_variable idle_;
  std::vector<Call*> free_;                   // under mutex_
  std::vector<std::unique_ptr<Call>> calls_;  // under mutex_
  size_t live_ = 0;                           // under mutex_: calls waiting or begun
  bool stopping_ = false;                     // under mutex_
  std::condition_variable busy_;              // under_way_ reached what a sleeping thread waits for, or stopping_
  std::vector<std::thread> threads_;
};

}  // namespace tenon::transport_grpc
