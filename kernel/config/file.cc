// The configuration file: which key sets which option, and every mistake at its place.
#include <algorithm>

#include "kernel/config/sources.h"

namespace tenon {
namespace {

bool IsSection(std::string_view name) {
  return std::any_of(SectionKeys().begin(), SectionKeys().end(),
                     [&](const SectionKey& k) { return k.section == name; });
}

std::vector<std::string> TopLevelNames() {
  std::vector<std::string> names;
  for (const Option& option : Options()) {
    if (option.group != OptionGroup::kRemoved && option.group != OptionGroup::kTenon) names.emplace_back(option.name);
  }
  for (const SectionKey& key : SectionKeys()) {
    if (names.empty() || names.back() != key.section) names.emplace_back(key.section);
  }
  names.emplace_back("modules");
  return names;
}

std::string UnknownKey(std::string_view key, const std::vector<std::string>& known) {
  const std::string nearest = NearestName(key, known);
  const std::string shown = ScalarNode(key).Describe();
  return nearest.empty() ? fmt::format("unknown key {}", shown)
                         : fmt::format("unknown key {}; did you mean \"{}\"?", shown, nearest);
}

void ApplyOption(const Option& option, const ConfigNode& node, Draft& draft) {
  if (const auto first = draft.given.find(option.name); first != draft.given.end()) {
    draft.problems.push_back(
        node.ProblemAtKey(fmt::format("\"{}\" is given twice: first in line {}", option.name, first->second.line)));
    return;
  }
  draft.given.emplace(option.name, node.ProblemHere(""));
  if (const Status status = SetFromNode(option, node, draft.config); !status.ok()) {
    draft.problems.push_back(node.ProblemHere(fmt::format("{}: {}", YamlName(option), Message(status))));
  }
}

void ApplySection(const ConfigNode& section, Draft& draft) {
  if (section.IsNull()) return;
  if (!section.IsMap()) {
    draft.problems.push_back(
        section.ProblemHere(fmt::format("{}: expected a map, found {}", section.key, section.Describe())));
    return;
  }
  std::vector<std::string> known;
  for (const SectionKey& key : SectionKeys()) {
    if (key.section == section.key) known.emplace_back(key.key);
  }
  for (const ConfigNode& node : section.children) {
    const auto at = std::find_if(SectionKeys().begin(), SectionKeys().end(), [&](const SectionKey& k) {
      return k.section == section.key && (k.key == node.key || k.key.empty());
    });
    if (at == SectionKeys().end()) {
      draft.problems.push_back(node.ProblemAtKey(fmt::format("{}: {}", section.key, UnknownKey(node.key, known))));
    } else if (at->option.empty()) {
      draft.problems.push_back(node.ProblemAtKey(
          fmt::format("{}: {} is not built yet in this version: refusing to start without it", section.key, node.key)));
    } else {
      ApplyOption(*FindOption(at->option), node, draft);
    }
  }
}

}  // namespace

void ApplyFile(std::string_view text, const std::string& file, Draft& draft) {
  draft.from_file = true;
  draft.config.config_file = file;
  const ConfigNode root = ParseYaml(text, file, draft.problems);
  draft.syntax_error = !draft.problems.empty();
  if (!root.IsMap()) {
    draft.problems.push_back(root.ProblemHere(fmt::format("expected a map of settings, found {}", root.Describe())));
    return;
  }
  const std::vector<std::string> known = TopLevelNames();
  for (const ConfigNode& node : root.children) {
    if (node.key == "modules") {
      ApplyModules(node, draft);
    } else if (IsSection(node.key)) {
      ApplySection(node, draft);
    } else if (const Option* option = FindOption(node.key); option != nullptr) {
      ApplyOption(*option, node, draft);
    } else {
      draft.problems.push_back(node.ProblemAtKey(UnknownKey(node.key, known)));
    }
  }
}

}  // namespace tenon
