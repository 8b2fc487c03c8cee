// gRPC's own little formats: timeouts, percent encoding, base64, the frame prefix. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "kernel/base/status.h"

namespace tenon::transport_h2 {

constexpr size_t kPrefixBytes = 5;  // of a gRPC message: a flag and the length

// "100m": nanoseconds. The texts of errors are grpc-go's.
Result<int64_t> ParseTimeout(std::string_view text);
std::string FormatTimeout(int64_t ns);  // at least one millisecond

// grpc-message: everything but printable ASCII, and '%' itself, as %XX.
std::string PercentEncode(std::string_view text);
std::string PercentDecode(std::string_view text);  // what is no %XX stays as it is

// Standard base64, padded or not, appended to *out. grpc-go's text in the error.
Status AppendBase64Decoded(std::string_view text, std::string* out);
std::string Base64Encode(std::string_view bytes);  // without padding, as gRPC sends it

// application/grpc, application/grpc+proto, application/grpc;charset=utf-8.
bool IsGrpcContentType(std::string_view value);
// What HTTP/2 and gRPC themselves need is not the caller's metadata.
bool IsMetadata(std::string_view name);

inline uint32_t ReadLength(const uint8_t* prefix) {
  return uint32_t{prefix[1]} << 24 | uint32_t{prefix[2]} << 16 | uint32_t{prefix[3]} << 8 | prefix[4];
}
inline void WritePrefix(uint32_t length, uint8_t* prefix) {
  prefix[0] = 0;
  prefix[1] = static_cast<uint8_t>(length >> 24);
  prefix[2] = static_cast<uint8_t>(length >> 16);
  prefix[3] = static_cast<uint8_t>(length >> 8);
  prefix[4] = static_cast<uint8_t>(length);
}

}  // namespace tenon::transport_h2
