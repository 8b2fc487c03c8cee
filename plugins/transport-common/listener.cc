#include "plugins/transport-common/listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace tenon::transport {
namespace {

// The system's text as Go prints it: "address already in use".
std::string ErrnoText(int error) {
  char buffer[128];
  std::string text = strerror_r(error, buffer, sizeof buffer);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

Status Invalid(std::string_view url, const char* why) {
  return absl::InvalidArgumentError(ToAbsl(fmt::format("{}: {}", url, why)));
}

Status ListenFailed(const Address& address, const char* step, int error) {
  std::string where = address.local ? address.host
                      : address.host.find(':') == std::string::npos
                          ? fmt::format("{}:{}", address.host, address.port)
                          : fmt::format("[{}]:{}", address.host, address.port);
  return absl::UnavailableError(
      ToAbsl(fmt::format("listen {} {}: {}: {}", address.local ? "unix" : "tcp", where, step, ErrnoText(error))));
}

struct Resolved {
  sockaddr_storage addr{};
  socklen_t size = 0;
  bool any = false;  // of both families, as Go listens on 0.0.0.0
};

// The first address that the host name has; etcd's own listeners take the first one too.
Result<Resolved> Resolve(const Address& address) {
  Resolved out;
  if (address.local) {
    auto* un = reinterpret_cast<sockaddr_un*>(&out.addr);
    if (address.host.size() >= sizeof un->sun_path) return ListenFailed(address, "bind", EINVAL);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, address.host.data(), address.host.size());
    out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.host.size() + 1);
    return out;
  }
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  if (int rc = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found); rc != 0) {
    return absl::UnavailableError(ToAbsl(fmt::format("listen tcp: lookup {}: {}", address.host, gai_strerror(rc))));
  }
  const addrinfo* chosen = found;  // IPv4 first, as Go prefers it for a name
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    if (at->ai_family != AF_INET) continue;
    chosen = at;
    break;
  }
  memcpy(&out.addr, chosen->ai_addr, chosen->ai_addrlen);
  out.size = chosen->ai_addrlen;
  freeaddrinfo(found);
  if (out.addr.ss_family == AF_INET) {
    out.any = reinterpret_cast<sockaddr_in*>(&out.addr)->sin_addr.s_addr == htonl(INADDR_ANY);
  } else {
    out.any = IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<sockaddr_in6*>(&out.addr)->sin6_addr);
  }
  return out;
}

int PortOf(int fd) {
  sockaddr_storage addr{};
  socklen_t size = sizeof addr;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&addr), &size) != 0) return 0;
  if (addr.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&addr)->sin_port);
  if (addr.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&addr)->sin6_port);
  return 0;
}

std::string UrlOf(std::string_view url, const Address& address, int fd) {
  if (address.local) return std::string(url);
  bool v6 = address.host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", address.scheme, v6 ? "[" : "", address.host, v6 ? "]" : "", PortOf(fd));
}

}  // namespace

Result<Address> ParseUrl(std::string_view url) {
  size_t colon = url.find("://");
  if (colon == std::string_view::npos) return Invalid(url, "a listen URL begins with http:// or unix://");
  Address address;
  address.scheme = url.substr(0, colon);
  std::string_view rest = url.substr(colon + 3);
  if (address.scheme == "unix" || address.scheme == "unixs") {
    address.local = true;
    address.tls = address.scheme == "unixs";
    address.host = rest;
    if (rest.empty()) return Invalid(url, "the URL names no socket file");
    return address;
  }
  if (address.scheme != "http" && address.scheme != "https") {
    return Invalid(url, "the scheme is not one of http, https, unix, unixs");
  }
  address.tls = address.scheme == "https";
  if (size_t slash = rest.find('/'); slash != std::string_view::npos) {
    if (slash + 1 != rest.size()) return Invalid(url, "a listen URL has no path");
    rest.remove_suffix(1);
  }
  size_t last = rest.rfind(':');
  if (last == std::string_view::npos) return Invalid(url, "the URL has no port");
  std::string_view host = rest.substr(0, last), port = rest.substr(last + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return Invalid(url, "an IPv6 address stands in brackets");
  }
  if (host.empty()) host = "0.0.0.0";
  address.host = host;
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port < 0 || address.port > 65535) {
    return Invalid(url, "the port is not a number of 0 to 65535");
  }
  return address;
}

Result<Listener> Listener::Bind(std::string_view url) {
  ASSIGN_OR_RETURN(Address address, ParseUrl(url));
  ASSIGN_OR_RETURN(Resolved resolved, Resolve(address));
  Listener listener;
  int family = resolved.addr.ss_family;
  if (resolved.any && family == AF_INET) {  // both families where there are both
    if (int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0); fd >= 0) {
      close(fd);
      auto* v6 = reinterpret_cast<sockaddr_in6*>(&resolved.addr);
      *v6 = sockaddr_in6{.sin6_family = AF_INET6, .sin6_port = htons(static_cast<uint16_t>(address.port))};
      resolved.size = sizeof *v6;
      family = AF_INET6;
    }
  }
  listener.fd_ = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener.fd_ < 0) return ListenFailed(address, "socket", errno);
  int on = 1, off = 0;
  if (address.local) {
    // A file left by a crash would refuse the bind; etcd removes it too.
    if (unlink(address.host.c_str()) != 0 && errno != ENOENT) return ListenFailed(address, "remove", errno);
  } else {
    // Reuse of an address in TIME_WAIT, never SO_REUSEPORT: two servers on one port must not go unnoticed.
    setsockopt(listener.fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6) {
      setsockopt(listener.fd_, IPPROTO_IPV6, IPV6_V6ONLY, resolved.any ? &off : &on, sizeof on);
    }
  }
  if (bind(listener.fd_, reinterpret_cast<sockaddr*>(&resolved.addr), resolved.size) != 0) {
    return ListenFailed(address, "bind", errno);
  }
  if (address.local) {
    struct stat file {};
    if (lstat(address.host.c_str(), &file) == 0) {
      listener.path_ = address.host;
      listener.device_ = file.st_dev;
      listener.inode_ = file.st_ino;
    }
  }
  if (listen(listener.fd_, SOMAXCONN) != 0) return ListenFailed(address, "listen", errno);
  listener.url_ = UrlOf(url, address, listener.fd_);
  return listener;
}

Result<Listener> Listener::Inherit(std::string_view url, int fd) {
  ASSIGN_OR_RETURN(Address address, ParseUrl(url));
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return ListenFailed(address, "fcntl", errno);
  Listener listener;
  listener.fd_ = fd;
  listener.inherited_ = true;
  listener.url_ = UrlOf(url, address, fd);
  return listener;
}

Listener::Listener(Listener&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      inherited_(other.inherited_),
      url_(std::move(other.url_)),
      path_(std::move(other.path_)),
      device_(other.device_),
      inode_(other.inode_) {}

Listener::~Listener() {
  if (fd_ < 0 || inherited_) return;
  struct stat file {};
  if (!path_.empty() && lstat(path_.c_str(), &file) == 0 && file.st_dev == device_ && file.st_ino == inode_) {
    unlink(path_.c_str());
  }
  close(fd_);
}

}  // namespace tenon::transport
