// The module: an instance of tenon.transport/1 on epoll loops.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "kernel/base/status.h"
#include "plugins/transport-common/listener.h"
#include "plugins/transport-h2/acceptor.h"
#include "plugins/transport-h2/loop.h"
#include "tenon/abi/host.h"
#include "tenon/abi/transport.h"

namespace tenon::transport_h2 {

extern const tenon_plugin kPlugin;
extern const tenon_transport_v1 kTransportTable;

// All functions on [main], one at a time.
class Transport {
 public:
  static Result<std::unique_ptr<Transport>> Create(const tenon_host* host, const tenon_cfg* config);
  // Over any table of functions to answer with, which gets `host`.
  Transport(const tenon_host* host, const tenon_host_dispatch_v1* dispatch, const Options& options,
            const char* thread_name);
  ~Transport();

  Status Check(const tenon_listener* listeners, size_t n) const;
  Result<uint32_t> Listen(const tenon_listener& listener);
  tenon_slice BoundUrl(uint32_t id) const;
  Status Start();
  Loop& loop() { return *loops_[0]; }  // the first one; from Start to Stop
  // Answers on a loop's thread. Calls that are still open after grace_ns are cancelled.
  void Drain(int64_t grace_ns, tenon_done done);
  // Cancels what is open, waits for the host to end it, and leaves no thread.
  void Stop();

 private:
  struct Door {
    transport::Listener listener;
    uint32_t roles;
    std::unique_ptr<Acceptor> acceptor;  // lives on the first loop
  };

  void Open(Door& door);
  void CloseDoors();  // no new connections
  void DrainLoops(int64_t grace_ns);
  void LoopEnded();

  Shared shared_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::map<uint32_t, Door> doors_;
  uint32_t last_id_ = 0;
  bool draining_ = false;
  std::atomic<size_t> running_{0};
  tenon_done drained_{};  // set before the loops hear of the drain
};

}  // namespace tenon::transport_h2
