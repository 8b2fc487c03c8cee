// What HTTP asks of a request, beyond HTTP/2's frames and HPACK. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace tenon::transport_h2 {

// RFC 9113 section 8, for one request as it arrives. False: it is malformed, and its stream is reset.
//
// nghttp2 would check all this by itself, but it also wants :authority to be a host and a port, and etcdctl 3.4 sends a
// whole URL there, which etcd takes.
class RequestRules {
 public:
  // A field of the head, or of the trailers.
  bool Field(std::string_view name, std::string_view value);
  // The head is complete, or the trailers are.
  bool EndOfFields(bool end_of_stream);
  bool head_complete() const { return head_complete_; }
  bool Data(size_t bytes);
  bool EndOfStream() const { return !content_length_ || *content_length_ == body_bytes_; }

 private:
  bool Pseudo(std::string_view name, std::string_view value);
  bool ContentLength(std::string_view value);
  bool HeadIsWhole() const;
  bool Once(uint8_t field);

  uint8_t seen_ = 0;            // of the fields that may come once
  bool pseudo_over_ = false;    // an ordinary field came, or the head is complete
  bool head_complete_ = false;  // what still comes are trailers
  bool connect_ = false;        // :method is CONNECT
  bool options_ = false;        // :method is OPTIONS
  bool asterisk_ = false;       // :path is *
  std::optional<uint64_t> content_length_;
  uint64_t body_bytes_ = 0;
};

}  // namespace tenon::transport_h2
