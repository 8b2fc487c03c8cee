// The table of options: one row per setting drives flags, ETCD_* variables, YAML keys, --help, the printed file and
// the check of configs/annotated.yaml. A new option is one row here, one field in Config and one entry in that file.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernel/config/config.h"

namespace tenon {

enum class OptionType {
  kString,
  kBool,
  kUint,
  kUint32,
  kInt,
  kMillis,    // a bare number of milliseconds
  kSeconds,   // a bare number of seconds
  kDuration,  // "5s"; in files a bare number is nanoseconds
  kBytes,     // 1024 or "64MiB"
  kQuota,     // as kBytes, and negative
  kGates,     // Name=true,Name=false
  kStrings,   // a,b or a YAML list
  kUrls,
};

enum class OptionState {
  kWorks,
  kIgnored,  // not built yet and harmless: another value than the default is ignored with a warning
  kRefused,  // not built yet and not to be ignored: another value than the default is an error
  kDead,     // means nothing here, for good: accepted with a warning
};

enum class OptionGroup {
  kMember,
  kClustering,
  kSecurity,
  kAuth,
  kProfiling,
  kLogging,
  kTracing,
  kFeatures,
  kUnsafe,
  kTenon,
  kRemoved,  // flags of old etcd versions; not in --help
};
std::string_view GroupTitle(OptionGroup group);

// The field of Config that holds an option; none for removed ones.
using OptionField = std::variant<std::monostate, std::string Config::*, bool Config::*, uint64_t Config::*,
                                 int64_t Config::*, std::vector<std::string> Config::*, std::vector<Url> Config::*>;

struct Option {
  std::string_view name;
  OptionType type;
  OptionGroup group;
  OptionState state;
  OptionField field;
  std::string_view default_text;  // in the flag's syntax
  std::string_view help;
  std::string_view note = {};    // why it is ignored, refused or dead
  std::string_view module = {};  // works only if a module of this kind is configured
};

std::span<const Option> Options();
// nullptr: there is no such option.
const Option* FindOption(std::string_view name);
std::vector<std::string> OptionNames();

// "snapshot-count" -> "ETCD_SNAPSHOT_COUNT".
std::string EnvName(std::string_view option);

// etcd's nested maps in files: {"client-transport-security", "cert-file"} -> "cert-file"; also Tenon's `tenon` map.
// No option: not built yet, so any value is refused; no key either: so is the whole section.
struct SectionKey {
  std::string_view section, key, option;
};
std::span<const SectionKey> SectionKeys();
// How a file writes the option: "snapshot-count", "tenon: record-cache".
std::string YamlName(const Option& option);

// Sets an option from a flag's or variable's text, or from a YAML value; InvalidArgument explains what is wrong.
Status SetFromText(const Option& option, std::string_view text, Config& config);
Status SetFromNode(const Option& option, const ConfigNode& node, Config& config);
// The value in the flag's syntax; "" for a removed option.
std::string TextOf(const Option& option, const Config& config);

// Every option at its default, nothing derived yet (data-dir and initial-cluster are empty).
Config DefaultConfig();

// "http://a:1, unix:/s" with etcd's texts for what is wrong with it; sorted, without doubles.
Result<std::vector<Url>> ParseUrls(std::string_view text);
Result<Url> ParseUrl(std::string_view text);

// The known feature gates with their defaults.
const std::map<std::string, bool>& FeatureGates();
Status ParseFeatureGates(std::string_view text, std::map<std::string, bool>& gates);

}  // namespace tenon
