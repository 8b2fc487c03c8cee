// What a request line and a query say, read as Go's net/url and net/http read them.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::api {

// Percent escapes undone; `plus`: and '+' is a space, as in queries. None: a '%' without two hex digits.
std::optional<std::string> Unescape(std::string_view text, bool plus);

// The pairs of a query, in order; pairs that Go drops (a ';', a broken escape) are not among them.
class Query {
 public:
  explicit Query(std::string_view text);
  bool Has(std::string_view key) const;
  // The first value of `key`; empty if there is none.
  std::string_view Get(std::string_view key) const;
  // All values of `key` but empty ones.
  std::vector<std::string> All(std::string_view key) const;

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

// The path with a leading slash and without "//", "/./" and "/../"; a slash at its end stays.
std::string CleanPath(std::string_view path);
// A path as it stands in a URL.
std::string EscapePath(std::string_view path);
std::string EscapeHtml(std::string_view text);

// "localhost" of "localhost:2379", "::1" of "[::1]:2379"; what is no host and port is returned as it is.
std::string_view HostName(std::string_view host_and_port);
// The text in double quotes as Go's %q writes it.
std::string Quoted(std::string_view text);

}  // namespace tenon::api
