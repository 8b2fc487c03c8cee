// HTTP/2 by hand, for tests that send what no proper client would: frames as bytes, and a connection that reads frames.
// Only HPACK's tables are a library's (nghttp2). The client that plays by the rules is cli/plugin_check/client.h.
#pragma once
#include <nghttp2/nghttp2.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::testing::http2 {

enum Type : uint8_t {
  kData,
  kHeaders,
  kPriority,
  kRstStream,
  kSettings,
  kPushPromise,
  kPing,
  kGoaway,
  kWindowUpdate,
  kContinuation
};
enum Flag : uint8_t { kNone = 0, kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8, kHasPriority = 32 };
enum Error : uint32_t {
  kNoError,
  kProtocolError,
  kInternalError,
  kFlowControlError,
  kSettingsTimeout,
  kStreamClosed,
  kFrameSizeError,
  kRefusedStream,
  kCancel,
  kCompressionError,
  kConnectError,
  kEnhanceYourCalm
};
enum SettingId : uint16_t {
  kHeaderTableSize = 1,
  kEnablePush,
  kMaxConcurrentStreams,
  kInitialWindowSize,
  kMaxFrameSize,
  kMaxHeaderListSize
};

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string U16(uint16_t v);
std::string U32(uint32_t v);
std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload = "");
std::string Settings(const std::vector<std::pair<uint16_t, uint32_t>>& entries = {});
std::string WindowUpdate(uint32_t stream, uint32_t increment);
std::string Reset(uint32_t stream, uint32_t code = kCancel);

using Headers = std::vector<std::pair<std::string, std::string>>;
// Each field as a literal without indexing: right whatever the tables hold.
std::string Literal(const Headers& headers);
std::string Literal(std::string_view name, std::string_view value);
// As a proper client would write them, with a fresh table: indexed, and Huffman where that is shorter.
std::string Deflated(const Headers& headers);
// HPACK's integer with a prefix of `bits`; `first` holds the bits before it.
std::string Integer(uint8_t first, int bits, uint64_t value);

// The headers of a gRPC call; `without` names one that is left out.
Headers GrpcHeaders(std::string_view path, const Headers& more = {}, std::string_view without = "");
// A message with its five bytes before it; `size` may lie.
std::string GrpcMessage(std::string_view message, uint8_t compressed = 0, std::optional<uint32_t> size = {});
// HEADERS and one DATA frame.
std::string GrpcCall(uint32_t stream, std::string_view path, std::string_view message, bool end = true);

struct Received {
  uint8_t type = 0, flags = 0;
  uint32_t stream = 0;
  std::string payload;
  Headers headers;  // of a whole header block
  bool Has(uint8_t flag) const { return (flags & flag) != 0; }
  uint32_t U32At(size_t at) const;
};
std::string Value(const Headers& headers, std::string_view name);  // "": absent

// A TCP connection to 127.0.0.1. Nothing is sent that was not asked for.
class Connection {
 public:
  explicit Connection(uint16_t port);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // False: the other end has hung up, or takes nothing for five seconds.
  bool Send(std::string_view bytes);
  // The next frame; none: closed, or nothing came before `end`. Push promises and split header blocks come whole.
  std::optional<Received> Read(std::chrono::steady_clock::time_point end);
  // The next bytes, unparsed.
  std::string ReadBytes(std::chrono::steady_clock::time_point end);
  bool closed() const { return closed_; }
  int fd() const { return fd_; }

 private:
  bool Fill(std::chrono::steady_clock::time_point end);

  int fd_;
  bool closed_ = false;
  std::string in_;
  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace tenon::testing::http2
