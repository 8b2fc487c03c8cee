#include "plugins/transport-h2/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "plugins/transport-h2/http1.h"
#include "plugins/transport-h2/http2.h"

namespace tenon::transport_h2 {
namespace {

constexpr uint64_t kHelloNs = 120'000'000'000;  // grpc-go's time for a new connection to say who it is
constexpr uint64_t kGoodbyeNs = 5'000'000'000;
constexpr int kWritesPerTurn = 4;  // of a large answer, before other connections have their turn

std::string RemoteAddress(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  char text[INET6_ADDRSTRLEN];
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "@";
  if (address.ss_family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return fmt::format("{}:{}", text, ntohs(v4->sin_port));
  }
  if (address.ss_family != AF_INET6) return "@";
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
  if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
    inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text, sizeof text);
    return fmt::format("{}:{}", text, ntohs(v6->sin6_port));
  }
  inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  return fmt::format("[{}]:{}", text, ntohs(v6->sin6_port));
}

}  // namespace

Connection::Connection(Loop& loop, int fd, uint32_t roles)
    : loop_(loop), fd_(fd), roles_(roles), last_read_ns_(loop.now_ns()), remote_address_(RemoteAddress(fd)) {
  hello_ = {.fire =
                [](void* self) {
                  auto* connection = static_cast<Connection*>(self);
                  connection->error_ = ETIMEDOUT;
                  connection->Close();
                },
            .self = this};
  loop_.timers().Set(&hello_, loop_.now_ns() + kHelloNs);
  watched_ = EPOLLIN;
  loop_.Watch(fd_, watched_, this);
}

Connection::~Connection() { Close(); }

void Connection::Speak(std::unique_ptr<Protocol> protocol, uint64_t patience_ns) {
  protocol_ = std::move(protocol);
  loop_.timers().Set(&hello_, loop_.now_ns() + patience_ns);
  MarkDirty();
}

uint64_t Connection::RoundTripNs() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return uint64_t{info.tcpi_rtt} * 1000;
}

void Connection::Ready(uint32_t events) {
  if (fd_ < 0) return;
  if ((events & EPOLLOUT) != 0) {
    blocked_ = false;
    MarkDirty();
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Read();
}

void Connection::Read() {
  std::vector<uint8_t>& buffer = loop_.read_buffer();
  ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    error_ = errno;
    return Close();
  }
  if (n > 0) {
    last_read_ns_ = loop_.now_ns();
    return Received(buffer.data(), static_cast<size_t>(n));
  }
  if (protocol_ == nullptr || closing_ || protocol_->EndOfInput() == Protocol::Then::kClose) return Close();
  WatchWhatMatters();
}

void Connection::Received(const uint8_t* bytes, size_t n) {
  if (closing_) return;  // an answer to what it did wrong is on its way
  std::string held;
  if (protocol_ == nullptr) {
    std::string_view now(reinterpret_cast<const char*>(bytes), n);
    if (!first_.empty()) {
      held = std::exchange(first_, {}).append(now);
      now = held;
      bytes = reinterpret_cast<const uint8_t*>(now.data());
      n = now.size();
    }
    if (!Choose(now)) {
      first_.assign(now);
      return;
    }
    if (fd_ < 0) return;
  }
  if (protocol_->Receive(bytes, n) == Protocol::Then::kClose) return CloseAfterWriting();
  MarkDirty();
  if (!protocol_->WantsInput()) WatchWhatMatters();
}

// False: the bytes so far may still become either protocol.
bool Connection::Choose(std::string_view first) {
  constexpr std::string_view kPreface(NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
  bool http2 = first.substr(0, kPreface.size()) == kPreface.substr(0, first.size());
  if (http2 && first.size() < kPreface.size()) return false;
  if (!http2) Greeted();
  if (http2) {
    protocol_ = std::make_unique<Http2>(*this);
  } else if ((roles_ & (TENON_LISTEN_HTTP | TENON_LISTEN_METRICS)) != 0) {
    protocol_ = std::make_unique<Http1>(*this);
  } else {
    Close();
    return true;
  }
  if (draining_) protocol_->Drain();
  return true;
}

void Connection::Greeted() {
  if (!closing_) loop_.timers().Cancel(&hello_);
}

// Not for ever: the client may never read it.
void Connection::CloseAfterWriting() {
  closing_ = true;
  loop_.timers().Set(&hello_, loop_.now_ns() + kGoodbyeNs);
  MarkDirty();
}

void Connection::Flush() {
  dirty = false;
  if (fd_ < 0) return;
  if (protocol_ == nullptr) {
    if (closing_) Close();
    return;
  }
  if (blocked_) return;
  bool last = false;
  for (int i = 0; i < kWritesPerTurn; ++i) {
    if (output_ == nullptr) {
      output_ = loop_.TakeOutput();
      last = protocol_->Fill(output_.get()) == Protocol::Then::kClose;
      if (fd_ < 0) return;
      if (output_->empty()) {
        loop_.GiveOutput(std::move(output_));
        if (last || closing_) return Close();
        return WatchWhatMatters();
      }
    }
    switch (output_->WriteTo(fd_)) {
      case Output::Wrote::kAll:
        loop_.GiveOutput(std::move(output_));
        if (last) return Close();
        break;
      case Output::Wrote::kBlocked:
        blocked_ = true;
        closing_ |= last;
        return WatchWhatMatters();
      case Output::Wrote::kFailed: error_ = errno; return Close();
    }
  }
  MarkDirty();
}

void Connection::WatchWhatMatters() {
  if (fd_ < 0) return;
  uint32_t events = 0;
  if (blocked_) events |= EPOLLOUT;
  if (protocol_ == nullptr || protocol_->WantsInput()) events |= EPOLLIN;
  if (events == watched_) return;
  watched_ = events;
  loop_.Rewatch(fd_, events, this);
}

void Connection::Drain() {
  draining_ = true;
  if (protocol_ == nullptr) return Close();
  protocol_->Drain();
  MarkDirty();
}

void Connection::Close() {
  if (fd_ < 0) return;
  loop_.timers().Cancel(&hello_);
  loop_.Unwatch(fd_);
  close(fd_);
  fd_ = -1;
  if (output_ != nullptr) loop_.GiveOutput(std::move(output_));
  if (protocol_ != nullptr) protocol_->Abort();
  loop_.Bury(this);
}

}  // namespace tenon::transport_h2
