// Sockets of our own that connect to somebody.
#pragma once
#include <sys/socket.h>

#include <vector>

#include "kernel/base/status.h"
#include "plugins/transport-common/listener.h"

namespace tenon::transport {

struct Endpoint {
  sockaddr_storage address{};
  socklen_t size = 0;
};

// Without asking anybody: of a unix socket or a numeric address. NotFound: the host is a name.
Result<std::vector<Endpoint>> ResolveNow(const Address& address);
// Asks the system's resolver, which may take its time. [any but a loop]
Result<std::vector<Endpoint>> Resolve(const Address& address);

// A socket that connects, or has; it does not block. What became of it, the first read or write tells.
Result<int> Dial(const Endpoint& endpoint);

}  // namespace tenon::transport
