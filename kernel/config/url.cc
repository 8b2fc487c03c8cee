#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "kernel/config/options.h"

namespace tenon {
namespace {

template <class... Args>
Status Invalid(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(ToAbsl(fmt::format(format, std::forward<Args>(args)...)));
}

bool IsScheme(std::string_view text) {
  return !text.empty() && absl::ascii_isalpha(text[0]) &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") == text.npos;
}

}  // namespace

std::string Url::Address() const {
  if (IsUnix()) return path;
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

Result<Url> ParseUrl(std::string_view given) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(ToAbsl(given));
  Url url;
  url.text.assign(trimmed.data(), trimmed.size());
  const std::string& in = url.text;
  for (const char c : in) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f || c == ' ')
      return Invalid("URL must not contain spaces: \"{}\"", in);
  }
  const size_t colon = in.find(':');
  if (colon != std::string::npos && in.find('/') > colon && !IsScheme(in.substr(0, colon))) {
    return Invalid("parse \"{}\": first path segment in URL cannot contain colon", in);
  }
  url.scheme = absl::AsciiStrToLower(ToAbsl(colon == std::string::npos ? "" : in.substr(0, colon)));
  if (url.scheme != "http" && url.scheme != "https" && !url.IsUnix()) {
    return Invalid("URL scheme must be http, https, unix, or unixs: {}", in);
  }
  std::string_view rest = std::string_view(in).substr(colon + 1);
  if (rest.starts_with("//")) rest.remove_prefix(2);

  if (url.IsUnix()) {
    if (rest.empty()) return Invalid("URL has no path of a socket: {}", in);
    url.path = rest;
    return url;
  }
  const size_t end = rest.find_first_of("/?#");
  const std::string_view authority = rest.substr(0, end);
  if (authority.find('@') != authority.npos) return Invalid("URL must not contain a user: {}", in);
  const bool bracketed = authority.starts_with('[');
  const size_t bracket = bracketed ? authority.find(']') : 0;
  const size_t separator = bracket == authority.npos ? authority.npos : authority.find(':', bracket);
  const bool one_colon = separator != authority.npos && authority.find(':', separator + 1) == authority.npos;
  if (!one_colon || (bracketed && separator != bracket + 1)) {
    return Invalid("URL address does not have the form \"host:port\": {}", in);
  }
  url.host = bracketed ? authority.substr(1, bracket - 1) : authority.substr(0, separator);
  const std::string_view port = authority.substr(separator + 1);
  const auto [at, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
  if (error != std::errc() || at != port.data() + port.size()) {
    return Invalid("parse \"{}\": invalid port \":{}\" after host", in, port);
  }
  if (end != rest.npos) return Invalid("URL must not contain a path: {}", in);
  return url;
}

Result<std::vector<Url>> ParseUrls(std::string_view text) {
  std::vector<Url> urls;
  if (absl::StripAsciiWhitespace(ToAbsl(text)).empty()) return urls;
  for (const absl::string_view part : absl::StrSplit(ToAbsl(text), ',')) {
    ASSIGN_OR_RETURN(Url url, ParseUrl({part.data(), part.size()}));
    urls.push_back(std::move(url));
  }
  // etcd sorts them too: the order shows in member lists.
  std::sort(urls.begin(), urls.end(), [](const Url& a, const Url& b) { return a.text < b.text; });
  urls.erase(std::unique(urls.begin(), urls.end()), urls.end());
  return urls;
}

}  // namespace tenon
