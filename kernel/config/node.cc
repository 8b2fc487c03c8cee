#include "kernel/config/node.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "kernel/base/log.h"
#include "kernel/base/units.h"

namespace tenon {
namespace {

template <class... Args>
Status Invalid(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(ToAbsl(fmt::format(format, std::forward<Args>(args)...)));
}

std::string At(const std::string& file, int line, int column) {
  if (file.empty()) return "";
  return line == 0 ? file : fmt::format("{}:{}:{}", file, line, column);
}

// A scalar shortened for a message.
std::string Excerpt(std::string_view text) {
  std::string out;
  AppendJsonString(out, text.substr(0, 60));
  if (text.size() > 60) out.insert(out.size() - 1, "...");
  return out;
}

bool IsNumber(const std::string& text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  // JSON knows neither inf nor nan nor leading zeros.
  return error == std::errc() && at == end && absl::ascii_isdigit(text.back()) &&
         (absl::ascii_isdigit(text[0]) || (text.size() > 1 && absl::ascii_isdigit(text[1]))) &&
         !(text.size() > 1 && text[0] == '0' && absl::ascii_isdigit(text[1])) &&
         !(text.size() > 2 && text[0] == '-' && text[1] == '0' && absl::ascii_isdigit(text[2]));
}

}  // namespace

const ConfigNode* ConfigNode::Find(std::string_view name) const {
  if (kind != Kind::kMap) return nullptr;
  const auto at = std::find_if(children.begin(), children.end(), [&](const ConfigNode& c) { return c.key == name; });
  return at == children.end() ? nullptr : &*at;
}

Result<std::string> ConfigNode::AsString() const {
  if (kind == Kind::kNull) return std::string();
  if (kind != Kind::kScalar) return Invalid("expected a text, found {}", Describe());
  return scalar;
}

Result<bool> ConfigNode::AsBool() const {
  if (kind == Kind::kScalar && !quoted) {
    const std::string text = absl::AsciiStrToLower(ToAbsl(scalar));
    // YAML 1.1's words, which etcd's parser accepts too.
    if (text == "true" || text == "yes" || text == "on") return true;
    if (text == "false" || text == "no" || text == "off") return false;
  }
  return Invalid("expected true or false, found {}", Describe());
}

Result<int64_t> ConfigNode::AsInt() const {
  int64_t number = 0;
  if (kind == Kind::kScalar && !quoted && absl::SimpleAtoi(ToAbsl(scalar), &number)) return number;
  return Invalid("expected a whole number, found {}", Describe());
}

Result<double> ConfigNode::AsDouble() const {
  if (kind == Kind::kScalar && !quoted && !scalar.empty() && IsNumber(scalar)) {
    double number = 0;
    std::from_chars(scalar.data(), scalar.data() + scalar.size(), number);
    return number;
  }
  return Invalid("expected a number, found {}", Describe());
}

Result<uint64_t> ConfigNode::AsBytes() const {
  if (kind != Kind::kScalar) return Invalid("expected a size such as 64MiB, found {}", Describe());
  return ParseBytes(scalar);
}

Result<int64_t> ConfigNode::AsDurationNs() const {
  int64_t number = 0;
  if (kind != Kind::kScalar) return Invalid("expected a duration such as 5s, found {}", Describe());
  if (absl::SimpleAtoi(ToAbsl(scalar), &number)) return number;
  return ParseDurationNs(scalar);
}

std::string ConfigNode::Where() const { return At(file, line, column); }
std::string ConfigNode::KeyWhere() const {
  return key_line == 0 ? At(file, line, column) : At(file, key_line, key_column);
}

Problem ConfigNode::ProblemHere(std::string text) const { return {Where(), std::move(text), line, column}; }
Problem ConfigNode::ProblemAtKey(std::string text) const {
  if (key_line == 0) return ProblemHere(std::move(text));
  return {KeyWhere(), std::move(text), key_line, key_column};
}

std::string ConfigNode::Describe() const {
  switch (kind) {
    case Kind::kNull: return "nothing";
    case Kind::kList: return "a list";
    case Kind::kMap: return "a map";
    case Kind::kScalar: break;
  }
  return Excerpt(scalar);
}

std::string ConfigNode::ToJson() const {
  std::string out;
  switch (kind) {
    case Kind::kNull: return "null";
    case Kind::kScalar:
      if (!quoted && (scalar == "true" || scalar == "false" || (!scalar.empty() && IsNumber(scalar)))) return scalar;
      AppendJsonString(out, scalar);
      return out;
    case Kind::kList:
    case Kind::kMap: break;
  }
  out = kind == Kind::kList ? "[" : "{";
  for (const ConfigNode& child : children) {
    if (out.size() > 1) out += ',';
    if (kind == Kind::kMap) {
      AppendJsonString(out, child.key);
      out += ':';
    }
    out += child.ToJson();
  }
  out += kind == Kind::kList ? ']' : '}';
  return out;
}

ConfigNode ScalarNode(std::string_view text) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kScalar;
  node.scalar = text;
  return node;
}

ConfigNode MapNode() {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kMap;
  return node;
}

std::string NearestName(std::string_view name, const std::vector<std::string>& known) {
  if (name.size() > 100) return "";
  std::string best;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;  // further away is another word
  std::vector<size_t> row;
  for (const std::string& candidate : known) {
    row.resize(candidate.size() + 1);
    for (size_t j = 0; j < row.size(); j++) row[j] = j;
    for (size_t i = 1; i <= name.size(); i++) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j < row.size(); j++) {
        const size_t changed = diagonal + (name[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row.back() < best_distance && row.back() < candidate.size()) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace tenon
