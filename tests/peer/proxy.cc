#include "tests/peer/proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fmt/format.h"
#include "kernel/base/check.h"

namespace tenon::testing {
namespace {

constexpr size_t kPiece = 64 * 1024;
constexpr int kLookMs = 2;  // how soon the test's wishes are seen

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

void Prepare(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, O_NONBLOCK);
}

// Breaks as a crash does: the other side gets a reset.
void Break(int fd) {
  const linger hard{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(fd);
}

// False: the connection is over.
bool Read(int fd, size_t most, std::string& to) {
  char buffer[kPiece];
  const ssize_t n = recv(fd, buffer, std::min(sizeof buffer, most), 0);
  if (n > 0) to.append(buffer, static_cast<size_t>(n));
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

bool Write(int fd, std::string& from) {
  if (from.empty()) return true;
  const ssize_t n = send(fd, from.data(), from.size(), MSG_NOSIGNAL);
  if (n > 0) from.erase(0, static_cast<size_t>(n));
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

}  // namespace

Proxy::Proxy(int to_port) : to_port_(to_port) {
  listening_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  CHECK(bind(listening_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  CHECK(listen(listening_, 64) == 0);
  CHECK(getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

Proxy::~Proxy() {
  stop_ = true;
  thread_.join();
  close(listening_);
}

std::string Proxy::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

void Proxy::Accept() {
  const int client = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  ++accepted_;
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(to_port_);
  if (refuse_ || connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Break(client);
    close(server);
    return;
  }
  Prepare(client);
  Prepare(server);
  pairs_.push_back({client, server, 0, {}, {}});
}

bool Proxy::Pump(Pair& pair, short client_events, short server_events) {
  if ((client_events & (POLLIN | POLLHUP | POLLERR)) != 0) {
    if (!Read(pair.client, kPiece, pair.to_server)) return false;
    if (cut_forth_) pair.to_server.clear();
  }
  if ((server_events & (POLLIN | POLLHUP | POLLERR)) != 0) {
    if (!Read(pair.server, kPiece, pair.to_client)) return false;
    if (cut_back_) pair.to_client.clear();
  }
  const size_t before = pair.to_server.size();
  if (!Write(pair.server, pair.to_server) || !Write(pair.client, pair.to_client)) return false;
  pair.forth += before - pair.to_server.size();
  return true;
}

void Proxy::Run() {
  int breaks = breaks_;
  while (!stop_) {
    std::vector<pollfd> fds = {{listening_, POLLIN, 0}};
    for (const Pair& pair : pairs_) {
      const bool take = pair.to_server.empty() && pair.forth < most_;
      fds.push_back({take || !pair.to_server.empty() ? pair.client : -1, static_cast<short>(take ? POLLIN : 0), 0});
      fds.push_back({pair.server,
                     static_cast<short>((pair.to_client.empty() ? POLLIN : 0) | (pair.to_server.empty() ? 0 : POLLOUT)),
                     0});
    }
    poll(fds.data(), fds.size(), kLookMs);
    const int breaks_now = breaks_;
    const bool broken = breaks_now != breaks;
    breaks = breaks_now;
    std::vector<Pair> left;
    for (size_t i = 0; i < pairs_.size(); ++i) {
      Pair& pair = pairs_[i];
      if (!broken && Pump(pair, fds[1 + 2 * i].revents, fds[2 + 2 * i].revents)) {
        left.push_back(std::move(pair));
      } else {
        Break(pair.client);
        Break(pair.server);
      }
    }
    pairs_ = std::move(left);
    if ((fds[0].revents & POLLIN) != 0) Accept();
  }
  for (const Pair& pair : pairs_) {
    Break(pair.client);
    Break(pair.server);
  }
}

}  // namespace tenon::testing
