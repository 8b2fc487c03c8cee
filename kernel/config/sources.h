// The three places settings come from, before they become a Config. Private to kernel/config.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "kernel/config/options.h"

namespace tenon {

// What the command line says, before anything is looked up elsewhere.
struct CommandLine {
  struct Flag {
    const Option* option;
    std::string text;
  };
  std::vector<Flag> flags;  // in order; a later one of the same name wins, as in Go
  std::string config_file;
  bool help = false, version = false, check_config = false, print_config = false;
  std::vector<Problem> problems;
  int exit_code = 2;  // with problems
};
CommandLine ParseCommandLine(const std::vector<std::string>& arguments);

// A configuration while it is being put together.
struct Draft {
  Config config;
  std::vector<Problem> problems;
  std::vector<std::string> warnings;
  // Where each option was given: file:line:column, --flag or ETCD_NAME; the text of these Problems is empty.
  std::map<std::string_view, Problem> given;
  bool from_file = false;
  bool syntax_error = false;  // the file could not be read to its end: absent settings mean nothing

  bool IsGiven(std::string_view option) const { return given.contains(option); }
  // A problem at the place where the option was given.
  void Complain(std::string_view option, std::string text);
};

void ApplyFlagsAndEnvironment(const CommandLine& line, const std::vector<std::string>& environment, Draft& draft);
// `text` is the file's content, `file` its name in messages.
void ApplyFile(std::string_view text, const std::string& file, Draft& draft);
void ApplyModules(const ConfigNode& node, Draft& draft);
// The set without a `modules` section.
Modules DefaultModules();

// Derives what depends on other settings, then checks everything.
void Finish(Draft& draft);

}  // namespace tenon
