#include "tests/transport/wire_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel/base/check.h"

namespace tenon::testing {
namespace {

constexpr int kPatienceMs = 60'000;  // only a server that never answers is waited for so long

}  // namespace

Wire::Wire(int port) {
  fd_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{
      .sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  CHECK(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Wire::~Wire() {
  if (fd_ >= 0) close(fd_);
}

// Not blocked by a server that does not read: it gives up after ten seconds.
bool Wire::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd polled{.fd = fd_, .events = POLLOUT};
    if (poll(&polled, 1, 10'000) <= 0) return false;
    ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

bool Wire::More() {
  if (closed_) return false;
  pollfd polled{.fd = fd_, .events = POLLIN};
  CHECK_MSG(poll(&polled, 1, kPatienceMs) == 1, "the server says nothing");
  char bytes[65536];
  ssize_t n = recv(fd_, bytes, sizeof bytes, 0);
  if (n <= 0) {
    closed_ = true;
    return false;
  }
  buffer_.append(bytes, static_cast<size_t>(n));
  return true;
}

std::string Wire::ReadUntil(std::string_view end) {
  size_t at;
  while ((at = buffer_.find(end)) == std::string::npos) {
    if (!More()) return std::exchange(buffer_, {});
  }
  std::string out = buffer_.substr(0, at + end.size());
  buffer_.erase(0, at + end.size());
  return out;
}

std::string Wire::ReadBytes(size_t n) {
  while (buffer_.size() < n && More()) {
  }
  n = std::min(n, buffer_.size());
  std::string out = buffer_.substr(0, n);
  buffer_.erase(0, n);
  return out;
}

std::string Wire::ReadToEnd() {
  while (More()) {
  }
  return std::exchange(buffer_, {});
}

void Wire::Reset() {
  linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd_);
  fd_ = -1;
}

void Wire::CloseHalf() { shutdown(fd_, SHUT_WR); }

Http1Response ReadResponse(Wire& wire, bool head_only) {
  Http1Response response;
  response.head = wire.ReadUntil("\r\n\r\n");
  if (response.head.find("\r\n\r\n") == std::string::npos) return response;
  if (head_only) {
    response.complete = true;
  } else if (size_t at = response.head.find("content-length: "); at != std::string::npos) {
    size_t n = std::stoul(response.head.substr(at + 16));
    response.body = wire.ReadBytes(n);
    response.complete = response.body.size() == n;
  } else if (response.head.find("transfer-encoding: chunked") != std::string::npos) {
    for (;;) {
      std::string line = wire.ReadUntil("\r\n");
      if (line.size() < 3) break;
      size_t n = std::stoul(line, nullptr, 16);
      response.body += wire.ReadBytes(n);
      if (wire.ReadBytes(2) != "\r\n") break;
      response.complete = n == 0;
      if (n == 0) break;
    }
  } else {
    response.body = wire.ReadToEnd();
    response.complete = true;
  }
  return response;
}

Headers GrpcHeaders(const std::string& path, const Headers& more) {
  Headers headers = {{":method", "POST"},    {":scheme", "http"}, {":path", path},
                     {":authority", "wire"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
  headers.insert(headers.end(), more.begin(), more.end());
  return headers;
}

std::string GrpcMessage(std::string_view bytes, char flag) {
  auto n = htonl(static_cast<uint32_t>(bytes.size()));
  std::string out(1, flag);
  out.append(reinterpret_cast<const char*>(&n), 4);
  return out.append(bytes);
}

std::string Encode(uint8_t type, uint8_t flags, int32_t stream, std::string_view payload) {
  size_t n = payload.size();
  std::string out{static_cast<char>(n >> 16), static_cast<char>(n >> 8), static_cast<char>(n), static_cast<char>(type),
                  static_cast<char>(flags)};
  auto id = htonl(static_cast<uint32_t>(stream));
  out.append(reinterpret_cast<const char*>(&id), 4);
  return out.append(payload);
}

std::string HeaderBlock(const Headers& headers) {
  std::string out;
  auto text = [&out](const std::string& s) {
    size_t n = s.size();
    if (n < 127) {
      out += static_cast<char>(n);
    } else {
      out += '\x7f';
      for (n -= 127; n >= 128; n /= 128) out += static_cast<char>(n % 128 + 128);
      out += static_cast<char>(n);
    }
    out += s;
  };
  for (const auto& [name, value] : headers) {
    out += '\0';
    text(name);
    text(value);
  }
  return out;
}

std::string H2Response::Field(const std::string& name) const {
  if (auto found = trailers.find(name); found != trailers.end()) return found->second;
  if (auto found = headers.find(name); found != headers.end()) return found->second;
  return "";
}

H2Wire::H2Wire(int port, std::string_view settings, bool preface) : wire_(port) {
  CHECK(nghttp2_hd_inflate_new(&inflater_) == 0);
  if (preface) {
    wire_.Send(std::string(NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN) + Encode(NGHTTP2_SETTINGS, 0, 0, settings));
  }
}

H2Wire::~H2Wire() { nghttp2_hd_inflate_del(inflater_); }

bool H2Wire::Send(uint8_t type, uint8_t flags, int32_t stream, std::string_view payload) {
  return wire_.Send(Encode(type, flags, stream, payload));
}

int32_t H2Wire::Open(const Headers& headers, bool end) {
  int32_t stream = next_stream_;
  next_stream_ += 2;
  Send(NGHTTP2_HEADERS, static_cast<uint8_t>(NGHTTP2_FLAG_END_HEADERS | (end ? NGHTTP2_FLAG_END_STREAM : 0)), stream,
       HeaderBlock(headers));
  return stream;
}

bool H2Wire::Data(int32_t stream, std::string_view bytes, bool end) {
  while (bytes.size() > 16384) {
    if (!Send(NGHTTP2_DATA, 0, stream, bytes.substr(0, 16384))) return false;
    bytes.remove_prefix(16384);
  }
  return Send(NGHTTP2_DATA, end ? NGHTTP2_FLAG_END_STREAM : 0, stream, bytes);
}

std::optional<Frame> H2Wire::Next() {
  std::string head = wire_.ReadBytes(9);
  if (head.size() < 9) return std::nullopt;
  auto byte = [&head](size_t i) { return static_cast<uint8_t>(head[i]); };
  Frame frame;
  frame.type = byte(3);
  frame.flags = byte(4);
  frame.stream = (byte(5) & 0x7f) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
  size_t n = static_cast<size_t>(byte(0) << 16 | byte(1) << 8 | byte(2));
  frame.payload = wire_.ReadBytes(n);
  if (frame.payload.size() < n) return std::nullopt;
  Count(frame);
  return frame;
}

void H2Wire::Count(const Frame& frame) {
  ++seen[frame.type];
  auto number = [&frame](size_t at) {
    uint32_t n;
    memcpy(&n, frame.payload.data() + at, 4);
    return ntohl(n);
  };
  bool end = (frame.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  switch (frame.type) {
    case NGHTTP2_SETTINGS:
      if (frame.flags == 0) Send(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0);
      return;
    case NGHTTP2_HEADERS: {
      H2Response& response = responses_[frame.stream];
      auto& into = response.headers.empty() ? response.headers : response.trailers;
      auto* at = reinterpret_cast<const uint8_t*>(frame.payload.data());
      size_t left = frame.payload.size();
      for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &nv, &flags, at, left, 1);
        CHECK(used >= 0);
        at += used;
        left -= static_cast<size_t>(used);
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
          into[std::string(reinterpret_cast<char*>(nv.name), nv.namelen)] =
              std::string(reinterpret_cast<char*>(nv.value), nv.valuelen);
        }
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0 || left == 0) break;
      }
      nghttp2_hd_inflate_end_headers(inflater_);
      response.ended |= end;
      return;
    }
    case NGHTTP2_DATA: {
      H2Response& response = responses_[frame.stream];
      response.data += frame.payload;
      response.ended |= end;
      if (!give_window || frame.payload.empty()) return;
      auto n = htonl(static_cast<uint32_t>(frame.payload.size()));
      std::string_view increment(reinterpret_cast<const char*>(&n), 4);
      Send(NGHTTP2_WINDOW_UPDATE, 0, 0, increment);
      if (!end) Send(NGHTTP2_WINDOW_UPDATE, 0, frame.stream, increment);
      return;
    }
    case NGHTTP2_RST_STREAM: responses_[frame.stream].reset = number(0); return;
    case NGHTTP2_GOAWAY:
      goaway = number(4);
      goaway_text = frame.payload.substr(8);
      return;
    default: return;
  }
}

H2Response H2Wire::Await(int32_t stream) {
  while (!responses_[stream].ended && !responses_[stream].reset) {
    if (!Next()) break;
  }
  return responses_[stream];
}

H2Response H2Wire::Call(const Headers& headers, std::string_view body) {
  int32_t stream = Open(headers, false);
  Data(stream, body, true);
  return Await(stream);
}

bool H2Wire::AwaitFrame(uint8_t type) {
  while (auto frame = Next()) {
    if (frame->type == type) return true;
  }
  return false;
}

}  // namespace tenon::testing
