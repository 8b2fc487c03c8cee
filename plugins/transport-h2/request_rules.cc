#include "plugins/transport-h2/request_rules.h"

#include <strings.h>

#include <array>
#include <charconv>
#include <utility>

namespace tenon::transport_h2 {
namespace {

// What a byte may stand in.
enum Text : uint8_t { kToken = 1, kNameText = 2, kValueText = 4, kAuthorityText = 8, kSchemeText = 16, kPathText = 32 };

constexpr std::array<uint8_t, 256> MakeTexts() {
  constexpr std::string_view kAlsoToken = "!#$%&'*+-.^_`|~";
  constexpr std::string_view kAlsoAuthority = "-._~!$&'()*+,;=:@[]%/";  // RFC 3986, and the slash of a URL
  std::array<uint8_t, 256> texts{};
  for (int i = 0; i < 256; ++i) {
    const char c = static_cast<char>(i);
    const bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z', digit = c >= '0' && c <= '9';
    uint8_t& kinds = texts[static_cast<size_t>(i)];
    if (lower || upper || digit || kAlsoToken.find(c) != kAlsoToken.npos) kinds |= kToken | (upper ? 0 : kNameText);
    if (i == '\t' || (i >= ' ' && i != 0x7f)) kinds |= kValueText;
    if (lower || upper || digit || kAlsoAuthority.find(c) != kAlsoAuthority.npos) kinds |= kAuthorityText;
    if (lower || upper || digit || c == '+' || c == '-' || c == '.') kinds |= kSchemeText;
    if (i > ' ' && i != 0x7f) kinds |= kPathText;
  }
  return texts;
}
constexpr std::array<uint8_t, 256> kTexts = MakeTexts();

bool IsAll(Text kind, std::string_view text) {
  uint8_t all = kind;
  for (char c : text) all &= kTexts[static_cast<uint8_t>(c)];
  return all != 0;
}

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// They speak of one connection of HTTP/1.1, and would smuggle a request into one behind us (8.2.2).
bool IsOfConnection(std::string_view name) {
  return name == "connection" || name == "keep-alive" || name == "proxy-connection" || name == "transfer-encoding" ||
         name == "upgrade";
}

bool Is(std::string_view value, std::string_view wanted) {
  return value.size() == wanted.size() && strncasecmp(value.data(), wanted.data(), wanted.size()) == 0;
}

// The fields that may come once.
enum Single : uint8_t { kMethod = 1, kScheme = 2, kPath = 4, kAuthority = 8, kHost = 16 };

}  // namespace

bool RequestRules::Field(std::string_view name, std::string_view value) {
  if (name.empty() || !IsAll(kValueText, value)) return false;
  if (!value.empty() && (IsBlank(value.front()) || IsBlank(value.back()))) return false;
  if (name.front() == ':') return Pseudo(name, value);
  pseudo_over_ = true;
  if (!IsAll(kNameText, name)) return false;
  if (name == "te") return Is(value, "trailers");
  if (name == "content-length") return ContentLength(value);
  if (name == "host") return Once(kHost) && !value.empty() && IsAll(kAuthorityText, value);
  return !IsOfConnection(name);
}

bool RequestRules::Pseudo(std::string_view name, std::string_view value) {
  if (pseudo_over_ || value.empty()) return false;
  if (name == ":method") {
    connect_ = value == "CONNECT";
    options_ = value == "OPTIONS";
    return Once(kMethod) && IsAll(kToken, value);
  }
  if (name == ":path") {
    asterisk_ = value == "*";
    return Once(kPath) && (value.front() == '/' || asterisk_) && IsAll(kPathText, value);
  }
  if (name == ":scheme") return Once(kScheme) && IsLetter(value.front()) && IsAll(kSchemeText, value);
  if (name == ":authority") return Once(kAuthority) && IsAll(kAuthorityText, value);
  return false;
}

bool RequestRules::ContentLength(std::string_view value) {
  if (content_length_) return false;
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (error != std::errc() || end != value.data() + value.size()) return false;
  content_length_ = length;
  return true;
}

bool RequestRules::Once(uint8_t field) {
  if ((seen_ & field) != 0) return false;
  seen_ |= field;
  return true;
}

// CONNECT names a host to be connected with, any other method a resource of a host (8.3.1, 8.5).
bool RequestRules::HeadIsWhole() const {
  const uint8_t target = seen_ & (kScheme | kPath);
  if (connect_) return (seen_ & kAuthority) != 0 && target == 0;
  return (seen_ & kMethod) != 0 && target == (kScheme | kPath) && (seen_ & (kAuthority | kHost)) != 0 &&
         (!asterisk_ || options_);
}

bool RequestRules::EndOfFields(bool end_of_stream) {
  pseudo_over_ = true;
  if (std::exchange(head_complete_, true)) return end_of_stream;  // nothing comes behind trailers
  return HeadIsWhole();
}

bool RequestRules::Data(size_t bytes) {
  body_bytes_ += bytes;
  return !content_length_ || body_bytes_ <= *content_length_;
}

}  // namespace tenon::transport_h2
