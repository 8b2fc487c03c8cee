// One completion queue, the thread that runs it, and the calls that live on it.
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
};

class Queue {
 public:
  Queue(Shared& shared, std::unique_ptr<grpc::ServerCompletionQueue> cq);
  ~Queue();

  void Start(int number);
  // Waits until every call has ended and its object is back, which needs the server shut down; then ends the thread.
  void Stop();

  Shared& shared() { return shared_; }
  MethodCache& methods() { return methods_; }
  grpc::ServerCompletionQueue* cq() { return cq_.get(); }

  // [queue thread] Lets gRPC have more calls if it runs low. Only while a started call is held, so that the queue
  // cannot end meanwhile.
  void Refill();
  // [queue thread] A waiting call left: it began, or the server shut down.
  void Left() { --waiting_; }
  // [any] The object can serve another call.
  void Recycle(Call* call);

 private:
  void Run();
  void WaitForCall();

  Shared& shared_;
  MethodCache methods_;
  std::unique_ptr<grpc::ServerCompletionQueue> cq_;
  int waiting_ = 0;  // calls that gRPC can begin; queue thread only

  std::mutex mutex_;
  std::condition_variable idle_;
  std::vector<Call*> free_;                   // under mutex_
  std::vector<std::unique_ptr<Call>> calls_;  // under mutex_
  size_t live_ = 0;                           // under mutex_: calls waiting or begun
  std::thread thread_;
};

}  // namespace tenon::transport_grpc
