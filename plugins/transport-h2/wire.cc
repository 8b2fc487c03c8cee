#include "plugins/transport-h2/wire.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "plugins/transport-common/methods.h"

namespace tenon::transport_h2 {
namespace {

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> Base64Values() {
  std::array<int8_t, 256> values{};
  for (int8_t& value : values) value = -1;
  for (int8_t i = 0; i < 64; ++i) values[static_cast<uint8_t>(kBase64[i])] = i;
  return values;
}

Status Bad(std::string text) { return absl::InvalidArgumentError(ToAbsl(text)); }

// 0: no such unit.
int64_t UnitNs(char unit) {
  switch (unit) {
    case 'H': return 3'600'000'000'000;
    case 'M': return 60'000'000'000;
    case 'S': return 1'000'000'000;
    case 'm': return 1'000'000;
    case 'u': return 1'000;
    case 'n': return 1;
    default: return 0;
  }
}

}  // namespace

Result<int64_t> ParseTimeout(std::string_view text) {
  using transport::Quote;
  if (text.size() < 2) return Bad(fmt::format("transport: timeout string is too short: {}", Quote(text)));
  if (text.size() > 9) return Bad(fmt::format("transport: timeout string is too long: {}", Quote(text)));
  int64_t unit = UnitNs(text.back());
  if (unit == 0) return Bad(fmt::format("transport: timeout unit is not recognized: {}", Quote(text)));
  std::string_view digits = text.substr(0, text.size() - 1);
  uint64_t count = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return Bad(fmt::format("strconv.ParseUint: parsing {}: invalid syntax", Quote(digits)));
  }
  if (static_cast<int64_t>(count) > INT64_MAX / unit) return INT64_MAX;
  return static_cast<int64_t>(count) * unit;
}

std::string FormatTimeout(int64_t ns) {
  constexpr int64_t kMost = 99'999'999;  // eight digits
  const int64_t ms = std::max<int64_t>(1, (ns - 1) / 1'000'000 + 1);
  return ms <= kMost ? fmt::format("{}m", ms) : fmt::format("{}S", std::min(ms / 1000, kMost));
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    uint8_t byte = 0;
    const char* hex = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() && std::from_chars(hex, hex + 2, byte, 16).ptr == hex + 2) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string PercentEncode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    auto byte = static_cast<uint8_t>(c);
    if (byte >= ' ' && byte <= '~' && byte != '%') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

Status AppendBase64Decoded(std::string_view text, std::string* out) {
  static constexpr auto kValues = Base64Values();
  std::string_view all = text;
  // Padding, if any, completes the last group of four.
  if (text.size() % 4 == 0) {
    for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
  }
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    int8_t value = kValues[static_cast<uint8_t>(text[i])];
    if (value < 0) return Bad(fmt::format("illegal base64 data at input byte {}", i));
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (i % 4 == 0) continue;
    out->push_back(static_cast<char>(bits >> (6 - i % 4 * 2)));
  }
  if (text.size() % 4 == 1) return Bad(fmt::format("illegal base64 data at input byte {}", all.size()));
  return Ok();
}

std::string Base64Encode(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 4 / 3 + 3);
  uint32_t bits = 0;
  int held = 0;
  for (char c : bytes) {
    bits = bits << 8 | static_cast<uint8_t>(c);
    for (held += 8; held >= 6; held -= 6) out += kBase64[bits >> (held - 6) & 63];
  }
  if (held > 0) out += kBase64[bits << (6 - held) & 63];
  return out;
}

bool IsGrpcContentType(std::string_view value) {
  constexpr std::string_view kGrpc = "application/grpc";
  if (value.size() < kGrpc.size()) return false;
  for (size_t i = 0; i < kGrpc.size(); ++i) {
    if ((value[i] | 0x20) != (kGrpc[i] | 0x20)) return false;
  }
  return value.size() == kGrpc.size() || value[kGrpc.size()] == '+' || value[kGrpc.size()] == ';';
}

bool IsMetadata(std::string_view name) {
  return !name.empty() && name[0] != ':' && name.substr(0, 5) != "grpc-" && name != "te" && name != "content-type" &&
         name != "accept-encoding";
}

}  // namespace tenon::transport_h2
