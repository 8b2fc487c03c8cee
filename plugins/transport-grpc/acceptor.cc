#include "plugins/transport-grpc/acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "kernel/base/check.h"

namespace tenon::transport_grpc {
namespace {

constexpr int kPauseMs = 50;  // without descriptors poll would spin on a readable listener

void Wake(int fd) {
  uint64_t one = 1;
  (void)!write(fd, &one, sizeof one);
}

}  // namespace

Acceptor::Acceptor(std::function<void(int)> take) : take_(std::move(take)) {
  wake_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  CHECK(wake_ >= 0);
}

Acceptor::~Acceptor() {
  Stop();
  close(wake_);
}

void Acceptor::Add(int listening_fd) {
  {
    std::lock_guard lock(mutex_);
    listening_.push_back(listening_fd);
  }
  Wake(wake_);
}

void Acceptor::Start() {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "grpc-accept");
}

void Acceptor::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  Wake(wake_);
  if (thread_.joinable()) thread_.join();
}

void Acceptor::Run() {
  std::vector<pollfd> polled;
  bool pause = false;
  for (;;) {
    polled.assign(1, {.fd = wake_, .events = POLLIN});
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      if (!pause) {
        for (int fd : listening_) polled.push_back({.fd = fd, .events = POLLIN});
      }
    }
    int ready = poll(polled.data(), polled.size(), pause ? kPauseMs : -1);
    pause = false;
    if (ready <= 0) continue;
    if (polled[0].revents != 0) {
      uint64_t count;
      (void)!read(wake_, &count, sizeof count);
    }
    for (size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents != 0 && !AcceptSome(polled[i].fd)) pause = true;
    }
  }
}

bool Acceptor::AcceptSome(int listening_fd) {
  for (;;) {
    int fd = accept4(listening_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return errno == EAGAIN;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails on a unix socket, which has no delay
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    take_(fd);
  }
}

}  // namespace tenon::transport_grpc
