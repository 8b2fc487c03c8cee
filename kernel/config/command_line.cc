// The command line, in Go's flag syntax: -name x, --name x, --name=x; booleans take a value only after "=".
#include "kernel/config/sources.h"

namespace tenon {
namespace {

// Flags that are commands, not settings.
constexpr std::string_view kCommands[] = {"help", "h", "version", "check-config", "print-config", "config-file"};

std::string UnknownFlag(std::string_view name) {
  constexpr std::string_view kOldPrefix = "experimental-";
  std::vector<std::string> known = OptionNames();
  for (const std::string_view command : kCommands) {
    if (command.size() > 1) known.emplace_back(command);
  }
  const bool old = name.starts_with(kOldPrefix);
  const std::string nearest = NearestName(old ? name.substr(kOldPrefix.size()) : name, known);
  if (nearest.empty()) return fmt::format("unknown flag --{}; tenond --help lists every flag", name.substr(0, 100));
  return fmt::format("unknown flag --{}; did you mean --{}?{}", name, nearest,
                     old ? " etcd 3.6 and later have no --experimental- flags" : "");
}

}  // namespace

CommandLine ParseCommandLine(const std::vector<std::string>& arguments) {
  CommandLine line;
  for (size_t i = 0; i < arguments.size(); i++) {
    const std::string_view argument = arguments[i];
    // The first word that is no flag ends the flags; etcd takes no words.
    if (argument.size() < 2 || argument[0] != '-' || argument == "--") {
      const bool dashes = argument == "--";
      if (dashes && i + 1 == arguments.size()) break;
      if (line.problems.empty()) line.exit_code = 1;
      line.problems.push_back({"", fmt::format("\"{}\" is not a valid flag", dashes ? arguments[i + 1] : argument)});
      break;
    }
    std::string_view name = argument.substr(argument[1] == '-' ? 2 : 1);
    if (name.empty() || name[0] == '-' || name[0] == '=') {
      line.problems.push_back({"", fmt::format("bad flag syntax: {}", argument)});
      continue;
    }
    const size_t equals = name.find('=');
    const bool has_value = equals != name.npos;
    std::string value(has_value ? name.substr(equals + 1) : "");
    name = name.substr(0, equals);

    const Option* option = FindOption(name);
    const bool is_command = std::find(std::begin(kCommands), std::end(kCommands), name) != std::end(kCommands);
    if (option == nullptr && !is_command) {
      line.problems.push_back({"", UnknownFlag(name)});
      // Its value, if it is a word of its own, is not one more mistake.
      if (!has_value && i + 1 < arguments.size() && !arguments[i + 1].starts_with('-')) i++;
      continue;
    }
    const bool is_bool = option != nullptr ? option->type == OptionType::kBool : name != "config-file";
    if (!has_value) {
      if (is_bool) {
        value = "true";
      } else if (i + 1 == arguments.size()) {
        line.problems.push_back({"", fmt::format("flag needs an argument: -{}", name)});
        break;
      } else {
        value = arguments[++i];
      }
    }
    if (name == "config-file") {
      line.config_file = value;
    } else if (is_command) {
      static const Option kSwitch{
          "", OptionType::kBool, OptionGroup::kMember, OptionState::kWorks, &Config::pre_vote, "", ""};
      Config scratch;
      if (!SetFromText(kSwitch, value, scratch).ok()) {
        line.problems.push_back({"", fmt::format("invalid boolean value \"{}\" for -{}: parse error", value, name)});
        continue;
      }
      bool& flag = name == "version"        ? line.version
                   : name == "check-config" ? line.check_config
                   : name == "print-config" ? line.print_config
                                            : line.help;
      flag = scratch.pre_vote;
    } else {
      // Checked here and not only when it is used: beside --config-file a flag is ignored, but not a wrong one.
      Config scratch;
      if (const Status status = SetFromText(*option, value, scratch); !status.ok()) {
        line.problems.push_back(
            {"", is_bool ? fmt::format("invalid boolean value \"{}\" for -{}: {}", value, name, Message(status))
                         : fmt::format("invalid value \"{}\" for flag -{}: {}", value, name, Message(status))});
        continue;
      }
      line.flags.push_back({option, std::move(value)});
    }
  }
  return line;
}

}  // namespace tenon
