#include "tests/hostile/swarm.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <vector>

namespace tenon::hostile {
namespace {

using Clock = std::chrono::steady_clock;

struct Socket {
  explicit Socket(std::mt19937& random) : peer{.random = random} {}
  int fd = -1;
  Peer peer;
  std::string out;
  size_t sent = 0;
  bool ended = false;
  Clock::time_point due{};
};

class Attacker {
 public:
  Attacker(uint16_t port, const Plan& plan, uint32_t seed) : port_(port), plan_(plan), random_(seed) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < plan.connections; ++i) sockets_.push_back(std::make_unique<Socket>(random_));
  }
  ~Attacker() {
    for (auto& socket : sockets_) {
      if (socket->fd >= 0) close(socket->fd);
    }
    close(epoll_);
  }

  void Run(std::chrono::milliseconds time) {
    // All are opened first if there is time for a measurement at all; else as many as fit.
    constexpr std::chrono::seconds kEnough(5);
    auto end = Clock::now() + time;
    const auto last_open = time >= kEnough ? end + 2 * kEnough : end;
    for (auto& socket : sockets_) {
      if (Clock::now() > last_open) break;
      Open(*socket);
      Turn(*socket);
    }
    if (time >= kEnough) end = std::max(end, Clock::now() + time / 5);
    while (Clock::now() < end) {
      epoll_event events[256];
      const int n = epoll_wait(epoll_, events, 256, plan_.pace.count() > 0 ? 5 : 50);
      for (int i = 0; i < n; ++i) {
        auto& socket = *static_cast<Socket*>(events[i].data.ptr);
        if ((events[i].events & EPOLLIN) && plan_.read && !Drain(socket)) continue;
        if ((events[i].events & (EPOLLHUP | EPOLLERR)) != 0) {
          Replace(socket);
        } else if (events[i].events & EPOLLOUT) {
          Turn(socket);
        }
      }
      const auto now = Clock::now();
      for (auto& socket : sockets_) {
        if (socket->fd < 0) {
          Open(*socket);
        } else if (plan_.pace.count() > 0 && now >= socket->due) {
          Turn(*socket);
        }
      }
    }
  }

  Tally tally;

 private:
  void Open(Socket& s) {
    s.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{
        .sin_family = AF_INET, .sin_port = htons(port_), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    if (s.fd < 0 || connect(s.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ++tally.refused;
      if (s.fd >= 0) close(s.fd);
      s.fd = -1;
      return;
    }
    const int one = 1;
    setsockopt(s.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ++tally.connections;
    s.peer.stream = 1;
    s.peer.turn = 0;
    s.out = plan_.opening;
    s.sent = 0;
    s.ended = false;
    s.due = {};
    Watch(s, EPOLL_CTL_ADD, !s.ended);
  }

  void Watch(Socket& s, int how, bool writable) {
    epoll_event event{.events = (plan_.read ? EPOLLIN : 0u) | (writable && plan_.pace.count() == 0 ? EPOLLOUT : 0u),
                      .data = {.ptr = &s}};
    epoll_ctl(epoll_, how, s.fd, &event);
  }

  void Replace(Socket& s) {
    ++tally.closed_by_server;
    close(s.fd);
    Open(s);
  }

  // Sends what there is and asks for more, up to 256 KiB a turn, so that each connection has its part.
  void Turn(Socket& s) {
    if (s.fd < 0 || s.ended) return;
    size_t budget = 256 << 10;
    while (budget > 0) {
      if (s.sent == s.out.size()) {
        if (plan_.pace.count() > 0 && Clock::now() < s.due) return;
        s.due = Clock::now() + plan_.pace;
        s.out = plan_.next ? plan_.next(s.peer) : "";
        s.sent = 0;
        ++s.peer.turn;
        if (s.out.empty()) return End(s);
      }
      const std::string_view rest = std::string_view(s.out).substr(s.sent);
      const ssize_t n = send(s.fd, rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (n < 0) return Replace(s);
      s.sent += static_cast<size_t>(n);
      tally.bytes_sent += static_cast<uint64_t>(n);
      budget -= std::min(budget, static_cast<size_t>(n));
    }
  }

  void End(Socket& s) {
    if (!plan_.hang_up) {
      s.ended = true;
      return Watch(s, EPOLL_CTL_MOD, false);
    }
    const linger reset{.l_onoff = 1, .l_linger = 0};
    setsockopt(s.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(s.fd);
    Open(s);
  }

  // False: the server has ended the connection, and a new one is there.
  bool Drain(Socket& s) {
    char buffer[65536];
    const ssize_t n = recv(s.fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n > 0) tally.bytes_received += static_cast<uint64_t>(n);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) return true;
    Replace(s);
    return false;
  }

  uint16_t port_;
  const Plan& plan_;
  std::mt19937 random_;
  int epoll_;
  std::vector<std::unique_ptr<Socket>> sockets_;
};

}  // namespace

Tally Swarm(uint16_t port, const Plan& plan, std::chrono::milliseconds time, uint32_t seed) {
  Attacker attacker(port, plan, seed);
  attacker.Run(time);
  return attacker.tally;
}

}  // namespace tenon::hostile
