// A transport's plugin, loaded and driven as the kernel does it: the one that $TENON_TEST_TRANSPORT names (grpc or h2).
#pragma once
#include <string>
#include <vector>

#include "cli/plugin_check/echo_kernel.h"
#include "tenon/abi/transport.h"

namespace tenon::testing {

class LoadedTransport {
 public:
  explicit LoadedTransport(EchoKernel& kernel, const Config& config = {});
  ~LoadedTransport();  // Stop

  // "" or the sentence of the refusal.
  std::string Check(const std::string& url, uint32_t roles = TENON_LISTEN_GRPC, const tenon_tls* tls = nullptr);
  std::string Listen(const std::string& url, int fd = -1, uint32_t roles = TENON_LISTEN_GRPC);
  std::string Start();
  // Waits for done.
  tenon_status Drain(int64_t grace_ns);
  void Stop();

  // Of the last listener: its url, and what a gRPC client dials.
  std::string Url() const;
  std::string Target() const;

  // The refusal of a configuration; "" if it is good.
  static std::string Refusal(EchoKernel& kernel, const Config& config);
  static const tenon_plugin* Plugin();
  static std::string Name();        // grpc, h2
  static std::string ThreadsKey();  // of the configuration: how many threads serve

 private:
  void* self_ = nullptr;
  uint32_t id_ = 0;
  bool started_ = false;
};

}  // namespace tenon::testing
