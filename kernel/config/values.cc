// How the text or the YAML value of an option becomes a field of Config, and back.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "kernel/base/units.h"
#include "kernel/config/options.h"

namespace tenon {
namespace {

template <class... Args>
Status Invalid(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(ToAbsl(fmt::format(format, std::forward<Args>(args)...)));
}

template <class T>
T& FieldOf(const Option& option, Config& config) {
  return config.*std::get<T Config::*>(option.field);
}
template <class T>
const T& FieldOf(const Option& option, const Config& config) {
  return config.*std::get<T Config::*>(option.field);
}

// Go's strconv.ParseBool.
Result<bool> ParseBool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return Invalid("parse error: write true or false");
}

Result<uint64_t> ParseUint(const Option& option, std::string_view text) {
  uint64_t number = 0;
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  const uint64_t limit = option.type == OptionType::kUint32 ? UINT32_MAX : INT64_MAX;
  if (digits && (!absl::SimpleAtoi(ToAbsl(text), &number) || number > limit)) {
    return Invalid("value out of range: at most {}", limit);
  }
  if (digits) return number;
  if (option.type == OptionType::kMillis) return Invalid("parse error: write a whole number of milliseconds, no unit");
  if (option.type == OptionType::kSeconds) return Invalid("parse error: write a whole number of seconds, no unit");
  return Invalid("parse error: write a whole number, 0 or more");
}

Result<int64_t> ParseInt(std::string_view text) {
  int64_t number = 0;
  if (absl::SimpleAtoi(ToAbsl(text), &number) && !absl::ascii_isspace(text.front())) return number;
  return Invalid("parse error: write a whole number");
}

Result<uint64_t> ParseSize(std::string_view text) {
  Result<uint64_t> bytes = ParseBytes(text);
  if (bytes.ok() && *bytes > static_cast<uint64_t>(INT64_MAX))
    return Invalid("value out of range: at most {}", INT64_MAX);
  return bytes;
}

Result<int64_t> ParseQuota(std::string_view text) {
  if (text.starts_with('-')) return ParseInt(text);
  ASSIGN_OR_RETURN(const uint64_t bytes, ParseSize(text));
  return static_cast<int64_t>(bytes);
}

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> parts;
  if (text.empty()) return parts;
  for (const absl::string_view part : absl::StrSplit(ToAbsl(text), ',')) {
    const absl::string_view name = absl::StripAsciiWhitespace(part);
    parts.emplace_back(name.data(), name.size());
  }
  return parts;
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes != 0 && bytes % (1 << 30) == 0) return fmt::format("{}GiB", bytes >> 30);
  if (bytes != 0 && bytes % (1 << 20) == 0) return fmt::format("{}MiB", bytes >> 20);
  return fmt::format("{}", bytes);
}

template <class T, class U>
Status Assign(T& field, Result<U> value) {
  if (!value.ok()) return std::move(value).status();
  field = *std::move(value);
  return Ok();
}

}  // namespace

Status SetFromText(const Option& option, std::string_view text, Config& config) {
  switch (option.type) {
    case OptionType::kString: FieldOf<std::string>(option, config) = text; return Ok();
    case OptionType::kBool:
      if (option.group == OptionGroup::kRemoved) return Ok();
      return Assign(FieldOf<bool>(option, config), ParseBool(text));
    case OptionType::kUint:
    case OptionType::kUint32:
    case OptionType::kMillis:
    case OptionType::kSeconds: return Assign(FieldOf<uint64_t>(option, config), ParseUint(option, text));
    case OptionType::kInt: return Assign(FieldOf<int64_t>(option, config), ParseInt(text));
    case OptionType::kDuration: return Assign(FieldOf<int64_t>(option, config), ParseDurationNs(text));
    case OptionType::kBytes: return Assign(FieldOf<uint64_t>(option, config), ParseSize(text));
    case OptionType::kQuota: return Assign(FieldOf<int64_t>(option, config), ParseQuota(text));
    case OptionType::kGates:
      FieldOf<std::string>(option, config) = text;
      return ParseFeatureGates(text, config.feature_gate);
    case OptionType::kStrings: FieldOf<std::vector<std::string>>(option, config) = SplitList(text); return Ok();
    case OptionType::kUrls: return Assign(FieldOf<std::vector<Url>>(option, config), ParseUrls(text));
  }
  return Ok();
}

Status SetFromNode(const Option& option, const ConfigNode& node, Config& config) {
  if (node.IsNull() || option.group == OptionGroup::kRemoved) return Ok();  // as in etcd: the default stays
  const bool is_list_type = option.type == OptionType::kStrings || option.type == OptionType::kUrls;
  if (node.IsList() && is_list_type) {
    std::vector<std::string> parts;
    for (const ConfigNode& child : node.children) {
      if (!child.IsScalar()) return Invalid("expected a list of texts, found {} in it", child.Describe());
      parts.push_back(child.scalar);
    }
    if (option.type == OptionType::kUrls) return SetFromText(option, absl::StrJoin(parts, ","), config);
    FieldOf<std::vector<std::string>>(option, config) = std::move(parts);
    return Ok();
  }
  if (!node.IsScalar()) {
    return Invalid("expected {}, found {}", is_list_type ? "a list" : "one value", node.Describe());
  }
  switch (option.type) {
    case OptionType::kBool: return Assign(FieldOf<bool>(option, config), node.AsBool());
    case OptionType::kDuration: return Assign(FieldOf<int64_t>(option, config), node.AsDurationNs());
    case OptionType::kUint:
    case OptionType::kUint32:
    case OptionType::kMillis:
    case OptionType::kSeconds:
    case OptionType::kInt:
      if (node.quoted) return Invalid("expected a whole number, found the text {}", node.Describe());
      break;
    default: break;
  }
  Status status = SetFromText(option, node.scalar, config);
  // Flags' texts say "parse error" as etcd's do; in a file the value is worth showing.
  if (!status.ok()) return Invalid("{}: {}", node.Describe(), Message(status));
  return status;
}

std::string TextOf(const Option& option, const Config& config) {
  switch (option.type) {
    case OptionType::kString:
    case OptionType::kGates: return FieldOf<std::string>(option, config);
    case OptionType::kBool:
      if (option.group == OptionGroup::kRemoved) return "";
      return FieldOf<bool>(option, config) ? "true" : "false";
    case OptionType::kUint:
    case OptionType::kUint32:
    case OptionType::kMillis:
    case OptionType::kSeconds: return fmt::format("{}", FieldOf<uint64_t>(option, config));
    case OptionType::kInt: return fmt::format("{}", FieldOf<int64_t>(option, config));
    case OptionType::kDuration: {
      const int64_t ns = FieldOf<int64_t>(option, config);
      return ns == 0 ? "0s" : FormatDurationNs(ns);
    }
    case OptionType::kBytes: return FormatBytes(FieldOf<uint64_t>(option, config));
    case OptionType::kQuota: {
      const int64_t bytes = FieldOf<int64_t>(option, config);
      return bytes < 0 ? fmt::format("{}", bytes) : FormatBytes(static_cast<uint64_t>(bytes));
    }
    case OptionType::kStrings: return absl::StrJoin(FieldOf<std::vector<std::string>>(option, config), ",");
    case OptionType::kUrls: {
      std::vector<std::string> texts;
      for (const Url& url : FieldOf<std::vector<Url>>(option, config)) texts.push_back(url.text);
      return absl::StrJoin(texts, ",");
    }
  }
  return "";
}

const std::map<std::string, bool>& FeatureGates() {
  static const std::map<std::string, bool> gates = {
      {"CompactHashCheck", false},   {"FastLeaseKeepAlive", true},       {"InitialCorruptCheck", false},
      {"LeaseCheckpoint", false},    {"LeaseCheckpointPersist", false},  {"PriorityRequest", false},
      {"SetMemberLocalAddr", false}, {"StopGRPCServiceOnDefrag", false}, {"TxnModeWriteWithSharedBuffer", true}};
  return gates;
}

Status ParseFeatureGates(std::string_view text, std::map<std::string, bool>& gates) {
  gates = FeatureGates();
  std::map<std::string, bool> next = gates;
  for (const std::string& part : SplitList(text)) {
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    const std::string name(absl::StripAsciiWhitespace(part.substr(0, equals)));
    if (equals == std::string::npos) return Invalid("missing bool value for {}", name);
    const std::string value(absl::StripAsciiWhitespace(part.substr(equals + 1)));
    const Result<bool> on = ParseBool(value);
    if (!on.ok()) {
      return Invalid("invalid value of {}={}, err: strconv.ParseBool: parsing \"{}\": invalid syntax", name, value,
                     value);
    }
    // AllAlpha and AllBeta are Kubernetes' words for whole groups; etcd's gates know them too.
    if (name == "AllAlpha" || name == "AllBeta") {
      for (auto& [gate, enabled] : next) {
        if (FeatureGates().at(gate) == (name == "AllBeta")) enabled = *on;
      }
      continue;
    }
    if (!next.contains(name)) return Invalid("unrecognized feature gate: {}", name);
    next[name] = *on;
  }
  gates = std::move(next);
  return Ok();
}

}  // namespace tenon
