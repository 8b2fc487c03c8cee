#include "plugins/transport-h2/acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace tenon::transport_h2 {
namespace {

constexpr uint64_t kPauseNs = 50'000'000;  // without descriptors epoll would spin on a readable listener
constexpr int kPerTurn = 64;               // so that a crowd at the door does not keep those inside waiting

}  // namespace

Acceptor::Acceptor(const std::vector<std::unique_ptr<Loop>>& loops, int listening_fd, uint32_t roles)
    : loops_(loops), loop_(*loops[0]), fd_(listening_fd), roles_(roles) {
  pause_ = {.fire = [](void* self) { static_cast<Acceptor*>(self)->Resume(); }, .self = this};
  loop_.Watch(fd_, EPOLLIN, this);
}

Acceptor::~Acceptor() {
  if (!pause_.set()) loop_.Unwatch(fd_);
  loop_.timers().Cancel(&pause_);
}

void Acceptor::Resume() { loop_.Watch(fd_, EPOLLIN, this); }

void Acceptor::Ready(uint32_t) {
  for (int i = 0; i < kPerTurn; ++i) {
    int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      loop_.Unwatch(fd_);
      return loop_.timers().Set(&pause_, loop_.now_ns() + kPauseNs);
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails on a unix socket, which has no delay
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    loops_[next_++ % loops_.size()]->Adopt(fd, roles_);
  }
}

}  // namespace tenon::transport_h2
