#include "kernel/base/units.h"

#include <charconv>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/time/time.h"

namespace tenon {

Result<int64_t> ParseDurationNs(std::string_view text) {
  absl::Duration duration;
  if (!absl::ParseDuration(absl::string_view(text.data(), text.size()), &duration)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", std::string(text), "\" is not a duration: write a number with a unit, for example 100ms, 5s or 1h30m"));
  }
  if (duration == absl::InfiniteDuration() || duration == -absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", std::string(text), "\" is not a finite duration"));
  }
  return absl::ToInt64Nanoseconds(duration);
}

Result<uint64_t> ParseBytes(std::string_view text) {
  const auto bad = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", std::string(text), "\" is not a size: write a number with a unit, for example 512KiB, 64MiB or 2GB"));
  };
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return bad();
  const std::string unit = absl::AsciiStrToLower(
      absl::StripAsciiWhitespace(absl::string_view(end, static_cast<size_t>(text.data() + text.size() - end))));
  double factor = 0;
  static constexpr std::string_view kPrefixes = "kmgtp";
  if (unit.empty() || unit == "b") {
    factor = 1;
  } else if (const size_t power = kPrefixes.find(unit[0]); power != std::string_view::npos) {
    const std::string rest = unit.substr(1);
    if (rest.empty() || rest == "ib" || rest == "i") factor = std::pow(1024.0, power + 1);
    if (rest == "b") factor = std::pow(1000.0, power + 1);
  }
  const double bytes = number * factor;
  if (factor == 0 || bytes >= 18446744073709551616.0) return bad();
  return static_cast<uint64_t>(bytes);
}

std::string FormatDurationNs(int64_t ns) { return absl::FormatDuration(absl::Nanoseconds(ns)); }

}  // namespace tenon
