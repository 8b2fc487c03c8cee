#include "cli/plugin_check/client.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel/base/check.h"

namespace tenon::plugin_check {
namespace {

// A connected socket, or -1.
int ConnectTo(const sockaddr* address, socklen_t size, std::chrono::milliseconds limit) {
  const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int error = connect(fd, address, size) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd wait{.fd = fd, .events = POLLOUT};
    socklen_t error_size = sizeof error;
    if (poll(&wait, 1, static_cast<int>(limit.count())) != 1 ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) != 0) {
      error = ETIMEDOUT;
    }
  }
  if (error == 0) return fd;
  close(fd);
  return -1;
}

int Connect(const std::string& target, std::chrono::milliseconds limit) {
  if (target.starts_with("unix:")) {
    sockaddr_un address{.sun_family = AF_UNIX};
    std::string path = target.substr(5);
    if (path.starts_with("//")) path.erase(0, 2);
    if (path.size() >= sizeof address.sun_path) return -1;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return ConnectTo(reinterpret_cast<sockaddr*>(&address), sizeof address, limit);
  }
  const size_t colon = target.rfind(':');
  if (colon == std::string::npos) return -1;
  std::string host = target.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const addrinfo hints{.ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), target.c_str() + colon + 1, &hints, &found) != 0) return -1;
  int fd = -1;
  for (const addrinfo* at = found; at != nullptr && fd < 0; at = at->ai_next) {
    fd = ConnectTo(at->ai_addr, at->ai_addrlen, limit);
  }
  freeaddrinfo(found);
  if (fd < 0) return -1;
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

std::string PercentDecoded(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '%' && i + 2 < text.size() && isxdigit(text[i + 1]) && isxdigit(text[i + 2])) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string_view View(const uint8_t* bytes, size_t n) { return {reinterpret_cast<const char*>(bytes), n}; }

}  // namespace

std::string Find(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

struct ClientCallbacks {
  static Call* Of(nghttp2_session* session, int32_t stream) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  static int Header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void*) {
    Call* call = Of(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    const std::string n(View(name, name_size)), v(View(value, value_size));
    (call->opened ? call->trailers : call->headers).emplace_back(n, v);
    if (n == "grpc-status") call->status = atoi(v.c_str());
    if (n == "grpc-message") call->text = PercentDecoded(v);
    return 0;
  }

  static int Frame(nghttp2_session* session, const nghttp2_frame* frame, void* self) {
    auto* client = static_cast<Client*>(self);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (Call* call = Of(session, frame->hd.stream_id)) call->opened = true;
        break;
      case NGHTTP2_RST_STREAM:
        if (Call* call = Of(session, frame->hd.stream_id)) call->reset_code = frame->rst_stream.error_code;
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) client->settings_came_ = true;
        break;
      case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK) ++client->pongs_;
        break;
      case NGHTTP2_GOAWAY: client->goaway_ = true; break;
      default: break;
    }
    return 0;
  }

  static int Data(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* data, size_t size, void*) {
    nghttp2_session_consume_connection(session, size);
    Call* call = Of(session, stream);
    if (call == nullptr) return nghttp2_session_consume_stream(session, stream, size), 0;
    if (call->held_) {
      call->unconsumed_ += size;
    } else {
      nghttp2_session_consume_stream(session, stream, size);
    }
    call->Receive(View(data, size));
    return 0;
  }

  static int Close(nghttp2_session* session, int32_t stream, uint32_t, void*) {
    if (Call* call = Of(session, stream)) call->closed = true;
    return 0;
  }

  static ssize_t Body(nghttp2_session*, int32_t, uint8_t* to, size_t space, uint32_t* flags,
                      nghttp2_data_source* source, void* self) {
    auto* call = static_cast<Call*>(source->ptr);
    const size_t left = call->out_.size() - call->out_sent_;
    const size_t size = std::min({space, left, static_cast<Client*>(self)->options_.data_frame_bytes});
    if (size == 0 && !call->half_close_) {
      call->deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    std::memcpy(to, call->out_.data() + call->out_sent_, size);
    call->out_sent_ += size;
    if (call->out_sent_ == call->out_.size()) {
      call->out_.clear();
      call->out_sent_ = 0;
      if (call->half_close_) *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return static_cast<ssize_t>(size);
  }
};

void Call::Send(std::string_view message) {
  const auto size = static_cast<uint32_t>(message.size());
  const char prefix[5] = {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16), static_cast<char>(size >> 8),
                          static_cast<char>(size)};
  SendBytes(std::string_view(prefix, 5));
  SendBytes(message);
}

void Call::SendBytes(std::string_view bytes) {
  out_.append(bytes);
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(client_->session_, stream_);
}

void Call::HalfClose() {
  half_close_ = true;
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(client_->session_, stream_);
}

void Call::Reset(uint32_t code) { nghttp2_submit_rst_stream(client_->session_, NGHTTP2_FLAG_NONE, stream_, code); }

void Call::LetGo() {
  held_ = false;
  nghttp2_session_consume_stream(client_->session_, stream_, std::exchange(unconsumed_, 0));
}

void Call::Receive(std::string_view data) {
  data_bytes += data.size();
  part_.append(data);
  size_t at = 0;
  while (part_.size() - at >= 5) {
    uint32_t size;
    std::memcpy(&size, part_.data() + at + 1, 4);
    size = __builtin_bswap32(size);
    if (part_.size() - at - 5 < size) break;
    messages.emplace_back(part_, at + 5, size);
    at += 5 + size;
  }
  part_.erase(0, at);
}

Client::Client(const std::string& target, ClientOptions options)
    : fd_(Connect(target, options.connect_limit)), options_(options) {
  nghttp2_session_callbacks* callbacks;
  CHECK_EQ(nghttp2_session_callbacks_new(&callbacks), 0);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, ClientCallbacks::Header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, ClientCallbacks::Frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, ClientCallbacks::Data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, ClientCallbacks::Close);
  nghttp2_option* option;
  CHECK_EQ(nghttp2_option_new(&option), 0);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_peer_max_concurrent_streams(option, 100);  // until its SETTINGS came
  CHECK_EQ(nghttp2_session_client_new2(&session_, callbacks, this, option), 0);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                             {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.window}};
  CHECK_EQ(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 2), 0);
}

Client::~Client() {
  Lose();
  nghttp2_session_del(session_);
}

Call& Client::Start(std::string_view path, const Headers& more) {
  Headers all = {{":method", "POST"},
                 {":scheme", "http"},
                 {":path", std::string(path)},
                 {":authority", "check"},
                 {"te", "trailers"},
                 {"content-type", "application/grpc"},
                 {"user-agent", "tenon-plugin-check"}};
  all.insert(all.end(), more.begin(), more.end());
  std::vector<nghttp2_nv> list;
  for (auto& [name, value] : all) {
    list.push_back({reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()), name.size(),
                    value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  Call* call = calls_.emplace_back(std::make_unique<Call>()).get();
  call->client_ = this;
  nghttp2_data_provider body{.source = {.ptr = call}, .read_callback = ClientCallbacks::Body};
  call->stream_ = nghttp2_submit_request(session_, nullptr, list.data(), list.size(), &body, call);
  CHECK(call->stream_ > 0);
  return *call;
}

Call& Client::Unary(std::string_view path, std::string_view request, const Headers& more) {
  Call& call = Start(path, more);
  call.Send(request);
  call.HalfClose();
  return call;
}

Call& Client::Ask(std::string_view path, std::string_view request, const Headers& more) {
  Call& call = Unary(path, request, more);
  Until([&] { return call.closed; });
  return call;
}

void Client::Forget(Call& call) {
  nghttp2_session_set_stream_user_data(session_, call.stream_, nullptr);
  std::erase_if(calls_, [&](const auto& held) { return held.get() == &call; });
}

bool Client::RoundTrip() {
  const int before = pongs_;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  return Until([&] { return pongs_ > before; });
}

bool Client::Until(const std::function<bool()>& holds, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const bool wrote = Write();
    if (holds()) return true;
    // Told to go and without an open call: a proper client hangs up, and nghttp2 answers no PING any more.
    if (wrote && !nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_)) Lose();
    if (fd_ < 0) return false;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    // In short steps: what is waited for may also be a state of the server.
    pollfd wait{.fd = fd_, .events = static_cast<short>(POLLIN | (wrote ? 0 : POLLOUT))};
    poll(&wait, 1, static_cast<int>(std::min<int64_t>(left.count(), 5)));
    if (wait.revents & (POLLIN | POLLHUP | POLLERR)) Read();
  }
}

// True: all is written.
bool Client::Write() {
  if (fd_ < 0) return true;
  for (;;) {
    const uint8_t* bytes;
    ssize_t size;
    while (out_.size() < (256 << 10) && (size = nghttp2_session_mem_send(session_, &bytes)) > 0) {
      out_.append(View(bytes, static_cast<size_t>(size)));
    }
    if (out_.empty()) return true;
    const ssize_t sent = send(fd_, out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return false;
    if (sent < 0) return false;  // what the server said before it hung up is still to be read
    out_.erase(0, static_cast<size_t>(sent));
  }
}

bool Client::Read() {
  char buffer[65536];
  const ssize_t size = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (size > 0 &&
      nghttp2_session_mem_recv(session_, reinterpret_cast<uint8_t*>(buffer), static_cast<size_t>(size)) >= 0) {
    return true;
  }
  Lose();
  return false;
}

void Client::Lose() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

}  // namespace tenon::plugin_check
