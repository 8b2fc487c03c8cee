#include "tests/support/http2/wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernel/base/check.h"

namespace tenon::testing::http2 {

std::string U16(uint16_t v) { return {static_cast<char>(v >> 8), static_cast<char>(v)}; }

std::string U32(uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)};
}

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out = U32(static_cast<uint32_t>(payload.size())).substr(1);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  out += U32(stream);
  return out.append(payload);
}

std::string Settings(const std::vector<std::pair<uint16_t, uint32_t>>& entries) {
  std::string payload;
  for (const auto& [id, value] : entries) payload += U16(id) + U32(value);
  return Frame(kSettings, kNone, 0, payload);
}

std::string WindowUpdate(uint32_t stream, uint32_t increment) {
  return Frame(kWindowUpdate, kNone, stream, U32(increment));
}

std::string Reset(uint32_t stream, uint32_t code) { return Frame(kRstStream, kNone, stream, U32(code)); }

std::string Integer(uint8_t first, int bits, uint64_t value) {
  const uint64_t most = (1u << bits) - 1;
  if (value < most) return {static_cast<char>(first | value)};
  std::string out = {static_cast<char>(first | most)};
  for (value -= most; value >= 128; value >>= 7) out += static_cast<char>(128 | (value & 127));
  return out += static_cast<char>(value);
}

std::string Literal(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  out.append(Integer(0, 7, name.size())).append(name);
  return out.append(Integer(0, 7, value.size())).append(value);
}

std::string Literal(const Headers& headers) {
  std::string out;
  for (const auto& [name, value] : headers) out += Literal(name, value);
  return out;
}

std::string Deflated(const Headers& headers) {
  nghttp2_hd_deflater* deflater;
  CHECK_EQ(nghttp2_hd_deflate_new(&deflater, 4096), 0);
  std::vector<nghttp2_nv> list;
  for (const auto& [name, value] : headers) {
    list.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                    reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                    NGHTTP2_NV_FLAG_NONE});
  }
  std::string out(nghttp2_hd_deflate_bound(deflater, list.data(), list.size()), '\0');
  const ssize_t size =
      nghttp2_hd_deflate_hd(deflater, reinterpret_cast<uint8_t*>(out.data()), out.size(), list.data(), list.size());
  nghttp2_hd_deflate_del(deflater);
  CHECK(size >= 0);
  out.resize(static_cast<size_t>(size));
  return out;
}

Headers GrpcHeaders(std::string_view path, const Headers& more, std::string_view without) {
  Headers all = {{":method", "POST"},    {":scheme", "http"}, {":path", std::string(path)},
                 {":authority", "test"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
  std::erase_if(all, [&](const auto& header) { return header.first == without; });
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::string GrpcMessage(std::string_view message, uint8_t compressed, std::optional<uint32_t> size) {
  std::string out(1, static_cast<char>(compressed));
  return out.append(U32(size.value_or(static_cast<uint32_t>(message.size())))).append(message);
}

std::string GrpcCall(uint32_t stream, std::string_view path, std::string_view message, bool end) {
  return Frame(kHeaders, kEndHeaders, stream, Literal(GrpcHeaders(path))) +
         Frame(kData, end ? kEndStream : kNone, stream, GrpcMessage(message));
}

uint32_t Received::U32At(size_t at) const {
  if (payload.size() < at + 4) return UINT32_MAX;
  uint32_t v;
  std::memcpy(&v, payload.data() + at, 4);
  return __builtin_bswap32(v);
}

std::string Value(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

Connection::Connection(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  CHECK_EQ(nghttp2_hd_inflate_new(&inflater_), 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  closed_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0;
  const int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

Connection::~Connection() {
  close(fd_);
  nghttp2_hd_inflate_del(inflater_);
}

bool Connection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return false;
    pollfd wait{.fd = fd_, .events = POLLOUT};
    if (poll(&wait, 1, 5000) == 0) return false;
  }
  return true;
}

bool Connection::Fill(std::chrono::steady_clock::time_point end) {
  using std::chrono::milliseconds;
  if (closed_) return false;
  const auto left = std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now()).count();
  pollfd wait{.fd = fd_, .events = POLLIN};
  if (left <= 0 || poll(&wait, 1, static_cast<int>(left)) <= 0) return false;
  char buffer[65536];
  const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
  if (n <= 0) return closed_ = true, false;
  in_.append(buffer, static_cast<size_t>(n));
  return true;
}

std::string Connection::ReadBytes(std::chrono::steady_clock::time_point end) {
  if (in_.empty()) Fill(end);
  return std::exchange(in_, {});
}

std::optional<Received> Connection::Read(std::chrono::steady_clock::time_point end) {
  Received whole;
  std::string block;
  for (bool more = true; more;) {
    const auto length = [&] {
      return static_cast<size_t>(static_cast<uint8_t>(in_[0]) << 16 | static_cast<uint8_t>(in_[1]) << 8 |
                                 static_cast<uint8_t>(in_[2]));
    };
    while (in_.size() < 9 || in_.size() < 9 + length()) {
      if (!Fill(end)) return std::nullopt;
    }
    Received frame;
    frame.type = static_cast<uint8_t>(in_[3]);
    frame.flags = static_cast<uint8_t>(in_[4]);
    frame.payload = in_.substr(5, 4);
    frame.stream = frame.U32At(0) & INT32_MAX;
    frame.payload = in_.substr(9, length());
    in_.erase(0, 9 + length());
    if (frame.type != kHeaders && frame.type != kContinuation) return frame;
    if (frame.type == kHeaders) whole = frame;
    block += frame.payload;  // servers neither pad nor prioritise in these tests
    more = !frame.Has(kEndHeaders);
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(block.data());
  for (size_t left = block.size();;) {
    nghttp2_nv field;
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, bytes, left, 1);
    if (used < 0) break;
    bytes += used;
    left -= static_cast<size_t>(used);
    if (flags & NGHTTP2_HD_INFLATE_EMIT) {
      whole.headers.emplace_back(std::string(reinterpret_cast<char*>(field.name), field.namelen),
                                 std::string(reinterpret_cast<char*>(field.value), field.valuelen));
    }
    if (flags & NGHTTP2_HD_INFLATE_FINAL) {
      nghttp2_hd_inflate_end_headers(inflater_);
      break;
    }
  }
  return whole;
}

}  // namespace tenon::testing::http2
