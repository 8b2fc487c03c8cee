// Which addresses are served and for what: etcd's rules, fitted to what the transport can.
#pragma once
#include <string>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/config/config.h"
#include "tenon/abi/transport.h"

namespace tenon {

struct Listener {
  std::string url;
  uint32_t roles = 0;  // TENON_LISTEN_*
  friend bool operator==(const Listener&, const Listener&) = default;
};

// Client URLs serve gRPC and HTTP, unless there are URLs for HTTP alone; metrics have theirs in addition.
std::vector<Listener> WantedListeners(const Config& config);

// WantedListeners as the transport will serve them. One that speaks no HTTP still serves gRPC on the client URLs, which
// the log says; what was asked for in so many words (HTTP or metrics URLs) it refuses with its own sentence. [main]
Result<std::vector<Listener>> AgreedListeners(const Config& config, const tenon_transport_v1& transport, void* self);

// The form that the transport gets; it points into `listener`.
tenon_listener ToAbi(const Listener& listener);

}  // namespace tenon
