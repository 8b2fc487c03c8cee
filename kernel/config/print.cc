// What the server prints about its configuration: --help, --version, --print-config, and the summary.
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "kernel/base/version.h"
#include "kernel/config/git_sha.h"
#include "kernel/config/options.h"

namespace tenon {
namespace {

// A text as a YAML scalar: bare where that reads back as the same text.
std::string YamlScalar(std::string_view text) {
  constexpr std::string_view kBare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:";
  const bool bare = !text.empty() && text.find_first_not_of(kBare) == text.npos && text.front() != '-' &&
                    text.back() != ':' && !absl::EqualsIgnoreCase(ToAbsl(text), "null");
  return bare ? std::string(text) : ScalarNode(text).ToJson();
}

bool IsText(OptionType type) {
  return type == OptionType::kString || type == OptionType::kGates || type == OptionType::kStrings ||
         type == OptionType::kUrls;
}

void AppendModule(std::string& out, std::string_view indent, const ModuleSpec& spec) {
  out += fmt::format("{{ use: {}", YamlScalar(spec.use));
  if (!spec.module.empty()) out += fmt::format(", module: {}", YamlScalar(spec.module));
  if (!spec.sha256.empty()) out += fmt::format(", sha256: \"{}\"", spec.sha256);
  if (!spec.config.children.empty()) out += fmt::format(", config: {}", spec.config.ToJson());
  out += fmt::format(" }}\n{}", indent);
}

void AppendList(std::string& out, std::string_view role, const std::vector<ModuleSpec>& specs) {
  if (specs.empty()) {
    if (role == "services") out += "  services: []\n";  // there is a default
    return;
  }
  out += fmt::format("  {}:\n", role);
  for (const ModuleSpec& spec : specs) {
    out += "    - ";
    AppendModule(out, "", spec);
  }
}

void AppendOne(std::string& out, std::string_view role, const ModuleSpec& spec) {
  if (spec.use.empty()) {
    // Where there is a default, absent has to be said.
    if (role == "lease" || role == "quota" || role == "compactor" || role == "peer")
      out += fmt::format("  {}: ~\n", role);
    return;
  }
  out += fmt::format("  {}: ", role);
  AppendModule(out, "", spec);
}

std::string_view StateNote(OptionState state) {
  switch (state) {
    case OptionState::kWorks: return "";
    case OptionState::kIgnored: return " Without effect yet: ignored with a warning.";
    case OptionState::kRefused: return " Not built yet: refused.";
    case OptionState::kDead: return " Means nothing here: ignored with a warning.";
  }
  return "";
}

}  // namespace

std::string ToYaml(const Config& config) {
  std::string out, tenon;
  OptionGroup group = OptionGroup::kRemoved;
  for (const Option& option : Options()) {
    // Dead settings would only warn when the file is read back.
    if (option.group == OptionGroup::kRemoved || option.state == OptionState::kDead) continue;
    const std::string text = TextOf(option, config);
    const std::string value = IsText(option.type) ? YamlScalar(text) : text;
    if (option.group == OptionGroup::kTenon) {
      tenon += fmt::format("  {}: {}\n", option.name.substr(std::string_view("tenon-").size()), value);
      continue;
    }
    if (option.group != group) out += fmt::format("{}# {}\n", out.empty() ? "" : "\n", GroupTitle(option.group));
    group = option.group;
    out += fmt::format("{}: {}\n", option.name, value);
  }
  const Modules& m = config.modules;
  out += fmt::format("\ntenon:\n{}\nmodules:\n", tenon);
  AppendOne(out, "storage", m.storage);
  AppendList(out, "transports", m.transports);
  AppendOne(out, "lease", m.lease);
  AppendOne(out, "quota", m.quota);
  AppendOne(out, "compactor", m.compactor);
  AppendList(out, "authn", m.authn);
  AppendOne(out, "authz", m.authz);
  AppendOne(out, "peer", m.peer);
  AppendList(out, "services", m.services);
  AppendList(out, "observers", m.observers);
  return out;
}

std::string Summary(const Config& config) {
  std::vector<std::string> modules;
  for (const ModuleSpec* spec : config.modules.All()) modules.push_back(fmt::format("{} {}", spec->kind, spec->use));
  const auto value = [&](std::string_view option) { return TextOf(*FindOption(option), config); };
  std::string out;
  out += fmt::format("  source:   {}\n", config.config_file.empty() ? "flags and environment" : config.config_file);
  out += fmt::format("  member:   {}, data in {}\n", config.name, config.data_dir);
  out +=
      fmt::format("  clients:  {} (advertised as {})\n", value("listen-client-urls"), value("advertise-client-urls"));
  out += fmt::format("  peers:    {}\n", value("listen-peer-urls"));
  out += fmt::format("  modules:  {}\n", absl::StrJoin(modules, ", "));
  return out;
}

std::string HelpText() {
  std::string out =
      "Usage:\n\n"
      "  tenond [flags]                     Start a server.\n"
      "  tenond --config-file FILE          Start it from a file; other flags and ETCD_* variables are ignored.\n"
      "  tenond --check-config [flags]      Print every mistake and exit with 1, or \"configuration OK\".\n"
      "  tenond --print-config [flags]      Print the effective configuration as a file.\n"
      "  tenond --version                   Print the versions.\n"
      "  tenond --help                      Print this.\n\n"
      "The flag --a-b, the variable ETCD_A_B and the key a-b of a file set the same option; --tenon-a-b is the key\n"
      "a-b under `tenon:`. A flag beats the default; giving the flag and the variable is an error, as in etcd.\n"
      "ETCD_CONFIG_FILE names a file too. Modules (storage, transports, ...) are chosen in a file, under `modules:`.\n";
  OptionGroup group = OptionGroup::kRemoved;
  for (const Option& option : Options()) {
    if (option.group == OptionGroup::kRemoved) continue;
    if (option.group != group) out += fmt::format("\n{}:\n", GroupTitle(option.group));
    group = option.group;
    out +=
        fmt::format("  --{} '{}'\n    {}{}\n", option.name, option.default_text, option.help, StateNote(option.state));
  }
  return out;
}

std::string VersionText() {
  return fmt::format(
      "etcd Version: {}\nGit SHA: {}\nGo Version: none (C++20, {} {}.{})\nGo OS/Arch: linux/{}\nTenon Version: {}\n",
      kEtcdVersion, GitSha(),
#ifdef __clang__
      "clang", __clang_major__, __clang_minor__,
#else
      "gcc", __GNUC__, __GNUC_MINOR__,
#endif
#if defined(__x86_64__)
      "amd64",
#elif defined(__aarch64__)
      "arm64",
#else
      "unknown",
#endif
      kTenonVersion);
}

std::string_view GitSha() { return TENON_GIT_SHA; }

}  // namespace tenon
