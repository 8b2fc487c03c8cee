#include "bench/h2_client.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

#include "kernel/base/check.h"

namespace tenon::bench {

uint64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), now_ns_(NowNs()), buffer_(256 << 10, '\0') {
  CHECK_MSG(epoll_ >= 0, std::strerror(errno));
}

Loop::~Loop() { close(epoll_); }

void Loop::Turn(int64_t timeout_ns) {
  Flush();
  epoll_event events[64];
  const timespec timeout{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
  const int ready = epoll_pwait2(epoll_, events, 64, timeout_ns < 0 ? nullptr : &timeout, nullptr);
  CHECK_MSG(ready >= 0 || errno == EINTR, std::strerror(errno));
  now_ns_ = NowNs();
  for (int i = 0; i < ready; i++) {
    auto* connection = static_cast<Connection*>(events[i].data.ptr);
    if (connection->lost()) continue;
    if (events[i].events & EPOLLOUT) connection->WantFlush();
    if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) connection->Read();
  }
  Flush();
}

void Loop::Flush() {
  for (size_t i = 0; i < to_flush_.size(); i++) {  // losing a connection can start a call on another one
    Connection* connection = to_flush_[i];
    if (connection == nullptr || connection->lost()) continue;
    connection->flush_wanted_ = false;
    connection->Flush();
  }
  to_flush_.clear();
}

// Cuts the stream of bytes into messages. Nearly always one chunk is one message: that one is passed on as it lies.
void Call::Receive(std::string_view bytes) {
  const auto whole = [](std::string_view b) -> size_t {
    if (b.size() < 5) return SIZE_MAX;
    uint32_t size;
    std::memcpy(&size, b.data() + 1, 4);
    return 5 + static_cast<size_t>(__builtin_bswap32(size));
  };
  if (part_.empty() && whole(bytes) == bytes.size()) return OnMessage(bytes.substr(5));
  part_.append(bytes);
  std::string_view rest = part_;
  while (rest.size() >= 5 && whole(rest) <= rest.size()) {
    OnMessage(rest.substr(5, whole(rest) - 5));
    rest.remove_prefix(whole(rest));
  }
  if (rest.size() >= 5 && rest.size() == part_.size()) part_.reserve(whole(rest));
  part_.erase(0, part_.size() - rest.size());
}

// What nghttp2 calls while it reads and writes.
struct Connection::Callbacks {
  static Call* Of(nghttp2_session* session, int32_t stream) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  static int Header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void*) {
    Call* call = Of(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    const std::string_view n(reinterpret_cast<const char*>(name), name_size);
    const std::string_view v(reinterpret_cast<const char*>(value), value_size);
    if (n == "grpc-status") std::from_chars(v.data(), v.data() + v.size(), call->grpc_status_);
    if (n == "grpc-message") call->message_ = v;
    if (n == ":status") std::from_chars(v.data(), v.data() + v.size(), call->http_status_);
    return 0;
  }

  static int Data(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* data, size_t size, void*) {
    if (Call* call = Of(session, stream)) call->Receive({reinterpret_cast<const char*>(data), size});
    return 0;
  }

  static int Close(nghttp2_session* session, int32_t stream, uint32_t error, void* self) {
    if (Call* call = Of(session, stream)) static_cast<Connection*>(self)->Finish(*call, error);
    return 0;
  }

  static ssize_t Body(nghttp2_session*, int32_t, uint8_t* to, size_t space, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    auto* call = static_cast<Call*>(source->ptr);
    if (call->keeps_open_ && call->request_.empty()) return NGHTTP2_ERR_DEFERRED;
    const size_t size = std::min(space, call->request_.size());
    std::memcpy(to, call->request_.data(), size);
    call->request_.remove_prefix(size);
    if (call->request_.empty() && !call->keeps_open_) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }

  static nghttp2_session* NewSession(Connection* connection) {
    nghttp2_session_callbacks* callbacks;
    CHECK_EQ(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, Header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Close);
    nghttp2_option* option;
    CHECK_EQ(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_http_messaging(option, 1);  // we look at three headers ourselves
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_session* session;
    CHECK_EQ(nghttp2_session_client_new2(&session, callbacks, connection, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return session;
  }
};

Result<std::unique_ptr<Connection>> Connection::Open(Loop& loop, const std::string& address,
                                                     const ConnectionOptions& options) {
  std::string authority = address.starts_with("http://") ? address.substr(7) : address;
  const size_t colon = authority.rfind(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError(fmt::format("\"{}\" is not an address: write HOST:PORT", address));
  }
  std::string host = authority.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);

  addrinfo hints{.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (const int e = getaddrinfo(host.c_str(), authority.c_str() + colon + 1, &hints, &found); e != 0) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", address, gai_strerror(e)));
  }
  int fd = -1;
  int error = 0;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0) break;
    error = errno;
    if (fd >= 0) close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  if (fd < 0) return absl::UnavailableError(fmt::format("{}: {}", address, std::strerror(error)));
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return std::unique_ptr<Connection>(new Connection(loop, fd, std::move(authority), options));
}

Connection::Connection(Loop& loop, int fd, std::string authority, const ConnectionOptions& options)
    : loop_(loop), fd_(fd), authority_(std::move(authority)), user_agent_(options.user_agent) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = this}};
  CHECK_EQ(epoll_ctl(loop_.epoll_, EPOLL_CTL_ADD, fd_, &event), 0);
  session_ = Callbacks::NewSession(this);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                             {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window}};
  CHECK_EQ(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 2), 0);
  CHECK_EQ(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                                 static_cast<int32_t>(options.connection_window)),
           0);
  WantFlush();
}

Connection::~Connection() {
  std::replace(loop_.to_flush_.begin(), loop_.to_flush_.end(), this, static_cast<Connection*>(nullptr));
  if (fd_ >= 0) close(fd_);
  nghttp2_session_del(session_);
}

bool Connection::Start(Call& call, std::string_view path, std::string_view request) {
  if (lost()) return false;
  call.request_ = request;
  call.part_.clear();
  call.grpc_status_ = -1;
  call.http_status_ = 0;
  call.message_.clear();

  // nghttp2 keeps the repeated ones in HPACK's table, so that they cost a byte each. The strings outlive the call.
  const auto header = [](std::string_view name, std::string_view value) {
    return nghttp2_nv{reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
  };
  const nghttp2_nv headers[] = {
      header(":method", "POST"),        header(":scheme", "http"), header(":path", path),
      header(":authority", authority_), header("te", "trailers"),  header("content-type", "application/grpc"),
      header("user-agent", user_agent_)};
  nghttp2_data_provider body{.source = {.ptr = &call}, .read_callback = Callbacks::Body};
  const int32_t stream = nghttp2_submit_request(session_, nullptr, headers, std::size(headers), &body, &call);
  if (stream < 0) return false;  // stream ids are used up, after 2^30 calls
  call.slot_ = calls_.size();
  calls_.push_back(&call);
  WantFlush();
  return true;
}

void Connection::WantFlush() {
  if (flush_wanted_) return;
  flush_wanted_ = true;
  loop_.to_flush_.push_back(this);
}

void Connection::Read() {
  std::string& buffer = loop_.buffer_;
  for (;;) {
    const ssize_t size = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size < 0) return Lose(std::strerror(errno));
    if (size == 0) return Lose("the server closed the connection");
    loop_.now_ns_ = NowNs();
    bytes_read_ += static_cast<uint64_t>(size);
    const ssize_t used =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(buffer.data()), static_cast<size_t>(size));
    if (used < 0) return Lose(nghttp2_strerror(static_cast<int>(used)));
    if (nghttp2_session_want_write(session_)) WantFlush();
    if (!nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_)) return Lose("GOAWAY");
    if (static_cast<size_t>(size) < buffer.size()) return;  // saves the read that would say EAGAIN
  }
}

void Connection::Flush() {
  for (;;) {
    if (out_sent_ == out_.size()) {
      out_.clear();
      out_sent_ = 0;
      const uint8_t* bytes;
      ssize_t size;
      while (out_.size() < (256 << 10) && (size = nghttp2_session_mem_send(session_, &bytes)) > 0) {
        out_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
      }
      if (out_.empty()) return Watch(false);
    }
    const ssize_t size = send(fd_, out_.data() + out_sent_, out_.size() - out_sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return Watch(true);
    if (size < 0) return Lose(std::strerror(errno));
    out_sent_ += static_cast<size_t>(size);
    bytes_written_ += static_cast<uint64_t>(size);
  }
}

void Connection::Watch(bool writable) {
  if (waits_to_write_ == writable) return;
  waits_to_write_ = writable;
  epoll_event event{.events = EPOLLIN | (writable ? EPOLLOUT : 0u), .data = {.ptr = this}};
  CHECK_EQ(epoll_ctl(loop_.epoll_, EPOLL_CTL_MOD, fd_, &event), 0);
}

void Connection::Finish(Call& call, uint32_t http2_error) {
  calls_[call.slot_] = calls_.back();
  calls_[call.slot_]->slot_ = call.slot_;
  calls_.pop_back();

  CallResult result;
  if (call.grpc_status_ >= 0) {
    result = {static_cast<StatusCode>(call.grpc_status_), std::move(call.message_)};
  } else if (http2_error != NGHTTP2_NO_ERROR) {
    result = {StatusCode::kUnavailable, fmt::format("the stream was reset: {}", nghttp2_http2_strerror(http2_error))};
  } else {
    result = {StatusCode::kUnknown, fmt::format("no grpc-status came, HTTP status {}", call.http_status_)};
  }
  call.OnDone(result);
}

void Connection::Lose(const std::string& why) {
  close(fd_);
  fd_ = -1;
  const std::vector<Call*> calls = std::move(calls_);
  calls_.clear();
  for (Call* call : calls) call->OnDone({StatusCode::kUnavailable, fmt::format("the connection is lost: {}", why)});
}

}  // namespace tenon::bench
