// Short words for the tests of Load.
#pragma once
#include <string>
#include <vector>

#include "kernel/config/config.h"

namespace tenon {

using Words = std::vector<std::string>;

inline LoadOutcome LoadFlags(const Words& flags, const Words& environment = {}) {
  return Load(flags, environment, [](const std::string&) -> Result<std::string> {
    return absl::NotFoundError("no file is read in this test");
  });
}

inline LoadOutcome LoadFile(const std::string& text, Words flags = {}, const Words& environment = {}) {
  flags.insert(flags.begin(), {"--config-file", "t.yaml"});
  return Load(flags, environment, [&](const std::string&) -> Result<std::string> { return text; });
}

// What happened, in one text: "OK", the problems one per line, or what would be printed.
inline std::string Verdict(const LoadOutcome& outcome) {
  if (const auto* problems = std::get_if<Problems>(&outcome)) return problems->ToString();
  if (const auto* print = std::get_if<PrintText>(&outcome)) return print->text;
  return "OK";
}

inline int ExitCode(const LoadOutcome& outcome) {
  const auto* problems = std::get_if<Problems>(&outcome);
  return problems == nullptr ? 0 : problems->exit_code;
}

inline Config Get(const LoadOutcome& outcome) {
  const auto* loaded = std::get_if<Loaded>(&outcome);
  return loaded == nullptr ? Config{} : loaded->config;
}

// All warnings but the one about the default name, one per line.
inline std::string Warnings(const LoadOutcome& outcome) {
  std::vector<std::string> warnings;
  if (const auto* loaded = std::get_if<Loaded>(&outcome)) warnings = loaded->warnings;
  if (const auto* problems = std::get_if<Problems>(&outcome)) warnings = problems->warnings;
  std::string text;
  for (const std::string& warning : warnings) {
    if (warning.find("default name") == std::string::npos) text += warning + "\n";
  }
  return text;
}

}  // namespace tenon
