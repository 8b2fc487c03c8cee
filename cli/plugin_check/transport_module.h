// One instance of a transport module, driven as the kernel does it.
#pragma once
#include <chrono>
#include <functional>
#include <string>

#include "cli/plugin_check/echo_kernel.h"
#include "tenon/abi/transport.h"

namespace tenon::plugin_check {

using testing::Config;
using testing::EchoKernel;

// What a function of the module said.
struct Said {
  tenon_status status = TENON_OK;
  std::string text;
  bool ok() const { return status == TENON_OK; }
};

class TransportModule {
 public:
  // `table` as the plugin gives it; the kernel outlives the module.
  TransportModule(const tenon_transport_v1* table, EchoKernel& kernel) : table_(table), kernel_(kernel) {}
  ~TransportModule() { Stop(); }
  TransportModule(const TransportModule&) = delete;
  TransportModule& operator=(const TransportModule&) = delete;

  Said Create(const Config& config = {});
  Said Check(const std::string& url, uint32_t roles = TENON_LISTEN_GRPC, const tenon_tls* tls = nullptr);
  Said Listen(const std::string& url, uint32_t roles = TENON_LISTEN_GRPC, int fd = -1);
  Said Start();
  // Starts a drain; the function tells whether done came, with OK, within `wait` more.
  std::function<bool(std::chrono::milliseconds wait)> BeginDrain(int64_t grace_ns);
  void Stop();  // and destroy

  std::string Url() const;     // of the last listener
  std::string Target() const;  // what a client connects to

 private:
  const tenon_transport_v1* table_;
  EchoKernel& kernel_;
  void* self_ = nullptr;
  uint32_t id_ = 0;
  bool started_ = false;
};

}  // namespace tenon::plugin_check
