// Versions as members compare them: major and minor; what differs only behind that works together.
#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tenon {

inline constexpr std::string_view kEtcdVersion = "3.7.3";  // whose behaviour this is

struct Version {
  uint32_t major = 0, minor = 0;
  auto operator<=>(const Version&) const = default;
};

// Of "3.7" or "3.7.3"; nullopt: it is no version.
std::optional<Version> ParseVersion(std::string_view text);
// "3.7.0", as etcd writes the version of a cluster.
std::string ToString(Version version);
// That of this program.
Version OwnVersion();

}  // namespace tenon
