// A transport that serves the echo kernel on a free port of 127.0.0.1, and a client of it.
#pragma once
#include <memory>
#include <string>

#include "cli/plugin_check/case.h"
#include "cli/plugin_check/client.h"
#include "cli/plugin_check/transport_module.h"

namespace tenon::plugin_check {

struct Served {
  Served(const void* table_of_module, const Config& config)
      : table(static_cast<const tenon_transport_v1*>(table_of_module)), module(table, kernel) {
    const Said created = module.Create(config);
    Want(created.ok(), "create refused the configuration: {}", created.text);
    const Said listening = module.Listen("http://127.0.0.1:0");
    Want(listening.ok(), "listen failed on http://127.0.0.1:0: {} {}", listening.status, listening.text);
    const Said started = module.Start();
    Want(started.ok(), "start failed: {} {}", started.status, started.text);
    target = module.Target();
    client = std::make_unique<Client>(target);
    Want(client->connected(), "nobody listens on {}, which bound_url named", target);
  }

  // Stops, and wants that the transport gave back all it was given and called nothing out of turn.
  void Close() {
    client.reset();
    module.Stop();
    Want(kernel.requests_unreleased == 0, "{} replies that are the request passed on were not released",
         kernel.requests_unreleased.load());
    Want(kernel.replies_unreleased == 0, "{} replies were not released by the end of stop",
         kernel.replies_unreleased.load());
    Want(kernel.streams_released == kernel.streams_begun, "{} of {} streams had their in.release by the end of stop",
         kernel.streams_released.load(), kernel.streams_begun.load());
    for (const std::string& what : kernel.violations()) throw Failed{what};
  }

  // Waits for a state of the kernel while the client keeps moving bytes.
  bool Await(const std::function<bool()>& holds) { return client->Until(holds); }

  const tenon_transport_v1* table;
  EchoKernel kernel;
  TransportModule module;
  std::string target;
  std::unique_ptr<Client> client;
};

inline void WantAnswer(const Call& call, std::string_view body) {
  Want(call.closed, "no end of the call came in time");
  Want(call.status == 0, "grpc-status {} \"{}\" (reset {}), wanted 0", call.status, call.text, call.reset_code);
  Want(call.messages.size() == 1, "{} messages came, wanted one", call.messages.size());
  Want(call.messages.front() == body, "the reply of {} bytes is not the {} bytes that the host gave",
       call.messages.front().size(), body.size());
}

// Bytes that show a part missing or out of order.
inline std::string Noise(size_t n) {
  std::string out(n, '\0');
  uint32_t state = 1;
  for (char& c : out) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return out;
}

}  // namespace tenon::plugin_check
