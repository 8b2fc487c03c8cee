// A client that speaks HTTP/1.1 and HTTP/2 by hand, so that it can also break their rules. Blocking; each wait ends
// after a minute at most.
#pragma once
#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::testing {

// One TCP connection.
class Wire {
 public:
  explicit Wire(int port);
  ~Wire();

  bool Send(std::string_view bytes);  // false: the server closed
  // Bytes up to and with `end`; what there was, if the server closed before.
  std::string ReadUntil(std::string_view end);
  std::string ReadBytes(size_t n);
  std::string ReadToEnd();
  bool closed() const { return closed_; }  // the server closed, and all was read
  void Reset();                            // closes with a TCP reset
  void CloseHalf();
  int fd() const { return fd_; }

 private:
  bool More();

  int fd_;
  bool closed_ = false;
  std::string buffer_;
};

struct Http1Response {
  std::string head, body;
  bool complete = false;
};
// Reads one answer of HTTP/1.1; `head_only` for HEAD.
Http1Response ReadResponse(Wire& wire, bool head_only = false);

using Headers = std::vector<std::pair<std::string, std::string>>;
// Headers of a gRPC call, and some more.
Headers GrpcHeaders(const std::string& path, const Headers& more = {});
std::string GrpcMessage(std::string_view bytes, char flag = 0);

struct Frame {
  uint8_t type = 0xff, flags = 0;
  int32_t stream = 0;
  std::string payload;
};
std::string Encode(uint8_t type, uint8_t flags, int32_t stream, std::string_view payload);
// HPACK literals without indexing: needs no table.
std::string HeaderBlock(const Headers& headers);

// What came on a stream until it ended.
struct H2Response {
  std::map<std::string, std::string> headers, trailers;
  std::string data;
  bool ended = false;                                // END_STREAM
  std::optional<uint32_t> reset;                     // RST_STREAM
  std::string Field(const std::string& name) const;  // of the trailers, else of the headers
};

// One HTTP/2 connection. Answers SETTINGS, and gives window for what it read.
class H2Wire {
 public:
  // Settings: 6 bytes each.
  explicit H2Wire(int port, std::string_view settings = "", bool preface = true);
  ~H2Wire();

  Wire& wire() { return wire_; }
  bool Send(uint8_t type, uint8_t flags, int32_t stream, std::string_view payload = "");
  int32_t Open(const Headers& headers, bool end);  // the stream's number
  bool Data(int32_t stream, std::string_view bytes, bool end);
  // The whole answer on `stream`; `ended` is false if the server closed the connection or said GOAWAY first.
  H2Response Await(int32_t stream);
  H2Response Call(const Headers& headers, std::string_view body);
  // The next frame, also counted into its stream's answer; nothing if the server closed.
  std::optional<Frame> Next();
  // Reads until there is a frame of the type. False: closed before.
  bool AwaitFrame(uint8_t type);
  std::optional<uint32_t> goaway;  // its code
  std::string goaway_text;
  bool give_window = true;
  std::map<uint8_t, int> seen;  // frames by type

 private:
  void Count(const Frame& frame);

  Wire wire_;
  nghttp2_hd_inflater* inflater_ = nullptr;
  int32_t next_stream_ = 1;
  std::map<int32_t, H2Response> responses_;
};

}  // namespace tenon::testing
