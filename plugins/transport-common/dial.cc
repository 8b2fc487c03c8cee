#include "plugins/transport-common/dial.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "plugins/transport-common/peer_wire.h"

namespace tenon::transport {
namespace {

Result<std::vector<Endpoint>> Ask(const Address& address, int flags) {
  std::vector<Endpoint> endpoints;
  if (address.local) {
    Endpoint& endpoint = endpoints.emplace_back();
    auto* un = reinterpret_cast<sockaddr_un*>(&endpoint.address);
    if (address.host.size() >= sizeof un->sun_path) return absl::InvalidArgumentError("the socket's path is too long");
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, address.host.data(), address.host.size());
    endpoint.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.host.size() + 1);
    return endpoints;
  }
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  const int rc = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (rc != 0) {
    return absl::NotFoundError(ToAbsl(fmt::format("lookup {}: {}", address.host, gai_strerror(rc))));
  }
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    Endpoint& endpoint = endpoints.emplace_back();
    memcpy(&endpoint.address, at->ai_addr, at->ai_addrlen);
    endpoint.size = at->ai_addrlen;
  }
  freeaddrinfo(found);
  return endpoints;
}

}  // namespace

Result<std::vector<Endpoint>> ResolveNow(const Address& address) { return Ask(address, AI_NUMERICHOST); }
Result<std::vector<Endpoint>> Resolve(const Address& address) { return Ask(address, 0); }

Result<int> Dial(const Endpoint& endpoint) {
  const int fd = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::UnavailableError(ToAbsl(fmt::format("socket: {}", strerror(errno))));
  if (endpoint.address.ss_family != AF_UNIX) {
    const int on = 1, silence_ms = static_cast<int>(kSilenceNs / 1'000'000);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // What was sent and is not acknowledged for so long: the other end, or the way there or back, is gone.
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof silence_ms);
  }
  if (connect(fd, reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.size) == 0 || errno == EINPROGRESS) {
    return fd;
  }
  const int error = errno;
  close(fd);
  return absl::UnavailableError(ToAbsl(fmt::format("connect: {}", strerror(error))));
}

}  // namespace tenon::transport
