// Load: command line + environment (or one file) -> Config. Flags beat variables beat defaults; a file stands alone.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_join.h"
#include "kernel/config/sources.h"

extern char** environ;

namespace tenon {
namespace {

constexpr std::string_view kPrefix = "ETCD_";

struct Variable {
  std::string_view name, value;
};

std::vector<Variable> EtcdVariables(const std::vector<std::string>& environment) {
  std::vector<Variable> variables;
  for (const std::string_view entry : environment) {
    const size_t equals = entry.find('=');
    if (!entry.starts_with(kPrefix) || equals == entry.npos) continue;
    variables.push_back({entry.substr(0, equals), entry.substr(equals + 1)});
  }
  return variables;
}

std::string ConfigFileVariable(const std::vector<std::string>& environment) {
  for (const Variable& variable : EtcdVariables(environment)) {
    if (variable.name == "ETCD_CONFIG_FILE") return std::string(variable.value);
  }
  return "";
}

// What a file makes ineffective, in one sentence.
void WarnOfIgnored(const CommandLine& line, const std::vector<std::string>& environment, Draft& draft) {
  std::vector<std::string> names;
  for (const CommandLine::Flag& flag : line.flags) names.push_back(fmt::format("--{}", flag.option->name));
  for (const Variable& variable : EtcdVariables(environment)) {
    if (variable.name != "ETCD_CONFIG_FILE") names.emplace_back(variable.name);
  }
  if (names.empty()) return;
  draft.warnings.push_back(fmt::format(
      "loaded server configuration from {}, other configuration command line flags and environment variables are "
      "ignored: {}",
      draft.config.config_file, absl::StrJoin(names, ", ")));
}

void SortByPlace(std::vector<Problem>& problems) {
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
}

}  // namespace

std::string Problems::ToString() const {
  std::string text;
  for (const Problem& problem : list) text += problem.ToString() + "\n";
  return text;
}

void Draft::Complain(std::string_view option, std::string text) {
  const auto at = given.find(option);
  Problem problem = at == given.end() ? Problem{} : at->second;
  // etcd's texts begin with the flag's name already.
  if (problem.line == 0 && text.find(option) != text.npos) problem.where.clear();
  problem.text = std::move(text);
  problems.push_back(std::move(problem));
}

void ApplyFlagsAndEnvironment(const CommandLine& line, const std::vector<std::string>& environment, Draft& draft) {
  for (const CommandLine::Flag& flag : line.flags) {
    // ParseCommandLine refused what cannot be set.
    SetFromText(*flag.option, flag.text, draft.config).IgnoreError();
    draft.given.insert_or_assign(flag.option->name, Problem{fmt::format("--{}", flag.option->name), ""});
  }
  for (const Variable& variable : EtcdVariables(environment)) {
    if (variable.name == "ETCD_CONFIG_FILE") continue;
    if (variable.name == "ETCD_VERSION") {
      draft.warnings.push_back(
          fmt::format("cannot set special environment variable: {}={}", variable.name, variable.value));
      continue;
    }
    const auto option = std::find_if(Options().begin(), Options().end(),
                                     [&](const Option& o) { return EnvName(o.name) == variable.name; });
    if (option != Options().end() && draft.IsGiven(option->name)) {
      draft.problems.push_back(
          {"", fmt::format("conflicting environment variable is shadowed by corresponding command-line flag (either "
                           "unset environment variable or disable flag)): {}",
                           variable.name)});
    } else if (option == Options().end() || variable.value.empty()) {
      // Its value may be a secret of somebody else: Kubernetes, for example, fills the environment with such names.
      draft.warnings.push_back(fmt::format("unrecognized environment variable: {}", variable.name));
    } else if (const Status status = SetFromText(*option, variable.value, draft.config); !status.ok()) {
      draft.problems.push_back(
          {"", fmt::format("invalid value \"{}\" for {}: {}", variable.value, variable.name, Message(status))});
    } else {
      draft.given.emplace(option->name, Problem{std::string(variable.name), ""});
    }
  }
}

LoadOutcome Load(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                 const FileReader& read_file) {
  const CommandLine line = ParseCommandLine(arguments);
  if (line.help) return PrintText{HelpText()};
  if (!line.problems.empty()) return Problems{line.problems, {}, line.exit_code};
  if (line.version) return PrintText{VersionText()};

  Draft draft;
  draft.config = DefaultConfig();
  draft.config.modules = DefaultModules();
  const std::string file = line.config_file.empty() ? ConfigFileVariable(environment) : line.config_file;
  if (file.empty()) {
    ApplyFlagsAndEnvironment(line, environment, draft);
  } else {
    const Result<std::string> text = read_file(file);
    if (!text.ok()) return Problems{{{file, std::string(Message(text.status()))}}, {}, 1};
    ApplyFile(*text, file, draft);
    WarnOfIgnored(line, environment, draft);
  }
  Finish(draft);
  SortByPlace(draft.problems);
  if (!draft.problems.empty()) return Problems{std::move(draft.problems), std::move(draft.warnings), 1};
  if (line.print_config) return PrintText{ToYaml(draft.config)};
  if (line.check_config) return CheckOnly{std::move(draft.config), std::move(draft.warnings)};
  return Loaded{std::move(draft.config), std::move(draft.warnings)};
}

namespace {

// Reads a file or a pipe, but never more than a configuration may have, plus the byte that shows it has more.
Result<std::string> ReadConfigFile(const std::string& path) {
  const auto failed = [] {
    return absl::NotFoundError(absl::StrCat("cannot read the configuration file: ", std::strerror(errno)));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed();
  std::string text;
  char buffer[16384];
  while (text.size() <= kMaxConfigBytes) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const Status status = failed();
      ::close(fd);
      return status;
    }
    if (n == 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  ::close(fd);
  return text;
}

}  // namespace

LoadOutcome LoadFromProcess(int argc, char** argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc), environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; entry++) environment.emplace_back(*entry);
  return Load(arguments, environment, ReadConfigFile);
}

}  // namespace tenon
