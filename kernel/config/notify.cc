#include "kernel/config/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace tenon {

Result<bool> NotifySupervisor(std::string_view state) {
  const char* address = std::getenv("NOTIFY_SOCKET");
  if (address == nullptr || *address == '\0') return false;
  RETURN_IF_ERROR(NotifyAt(address, state));
  return true;
}

Status NotifyAt(std::string_view socket_address, std::string_view state) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  const bool valid = socket_address.size() > 1 && socket_address.size() < sizeof to.sun_path &&
                     (socket_address[0] == '/' || socket_address[0] == '@');
  if (!valid) {
    return absl::InvalidArgumentError(
        ToAbsl(fmt::format("NOTIFY_SOCKET: \"{}\" is no socket's address", socket_address)));
  }
  std::memcpy(to.sun_path, socket_address.data(), socket_address.size());
  if (to.sun_path[0] == '@') to.sun_path[0] = '\0';

  const auto failed = [&](const char* step) {
    return absl::UnavailableError(
        ToAbsl(fmt::format("NOTIFY_SOCKET {}: {}: {}", socket_address, step, std::strerror(errno))));
  };
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed("socket");
  // An abstract name is as long as it says: no terminating zero belongs to it.
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_address.size());
  const ssize_t sent = ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&to), size);
  const Status status = sent == static_cast<ssize_t>(state.size()) ? Ok() : failed("sendto");
  ::close(fd);
  return status;
}

}  // namespace tenon
