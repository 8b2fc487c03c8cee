// The module: an instance of tenon.transport/1 on a gRPC server.
#pragma once
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <map>
#include <memory>
#include <thread>

#include "kernel/base/status.h"
#include "plugins/transport-grpc/acceptor.h"
#include "plugins/transport-common/listener.h"
#include "plugins/transport-grpc/queue.h"
#include "tenon/abi/host.h"
#include "tenon/abi/transport.h"

namespace tenon::transport_grpc {

extern const tenon_plugin kPlugin;
extern const tenon_transport_v1 kTransportTable;
using transport::Listener;

// All functions on [main], one at a time.
class Transport {
 public:
  static Result<std::unique_ptr<Transport>> Create(const tenon_host* host, const tenon_cfg* config);
  // Over any table of functions to answer with, which gets `host`.
  Transport(const tenon_host* host, const tenon_host_dispatch_v1* dispatch, const Options& options);
  ~Transport();

  static Status Check(const tenon_listener* listeners, size_t n);
  Result<uint32_t> Listen(const tenon_listener& listener);
  tenon_slice BoundUrl(uint32_t id) const;
  Status Start();
  Queue& queue() { return *queue_; }  // from Start to Stop
  // Answers on a thread of its own. Calls that are still open after grace_ns are cancelled.
  void Drain(int64_t grace_ns, tenon_done done);
  // Cancels what is open, waits for the host to end it, and leaves no thread.
  void Stop();

 private:
  void CloseDoors();                // no new connections, no new calls
  void EndCalls(int64_t grace_ns);  // waits for the open ones, cancels them, ends the queue's threads

  Shared shared_;
  std::map<uint32_t, Listener> listeners_;
  uint32_t last_id_ = 0;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> handover_;
  std::unique_ptr<Queue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::thread drain_;
};

}  // namespace tenon::transport_grpc
