#include "kernel/base/version.h"

#include <charconv>

#include "fmt/format.h"
#include "kernel/base/check.h"

namespace tenon {

std::optional<Version> ParseVersion(std::string_view text) {
  uint32_t parts[3] = {};
  size_t n = 0;
  for (const char *at = text.data(), *end = at + text.size(); n < 3; n++) {
    const auto [next, error] = std::from_chars(at, end, parts[n]);
    if (error != std::errc()) return std::nullopt;
    if (next == end) return n == 0 ? std::nullopt : std::optional(Version{parts[0], parts[1]});
    if (*next != '.') return std::nullopt;
    at = next + 1;
  }
  return std::nullopt;  // a fourth part
}

std::string ToString(Version version) { return fmt::format("{}.{}.0", version.major, version.minor); }

Version OwnVersion() {
  const std::optional<Version> own = ParseVersion(kEtcdVersion);
  CHECK(own);
  return *own;
}

}  // namespace tenon
