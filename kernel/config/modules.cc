// The `modules` section: which plugin serves which role.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "kernel/config/sources.h"

namespace tenon {
namespace {

// A role in the file, the kind it loads, and where Modules keeps it: one or several.
struct Role {
  std::string_view key, kind;
  ModuleSpec Modules::*one;
  std::vector<ModuleSpec> Modules::*several;
};

constexpr Role kRoles[] = {
    {"storage", "storage", &Modules::storage, nullptr},
    {"transports", "transport", nullptr, &Modules::transports},
    {"lease", "lease", &Modules::lease, nullptr},
    {"quota", "quota", &Modules::quota, nullptr},
    {"compactor", "compactor", &Modules::compactor, nullptr},
    {"authn", "authn", nullptr, &Modules::authn},
    {"authz", "authz", &Modules::authz, nullptr},
    {"peer", "peer", &Modules::peer, nullptr},
    {"services", "service", nullptr, &Modules::services},
    {"observers", "observer", nullptr, &Modules::observers},
};

bool IsPluginName(std::string_view name) {
  return !name.empty() && name.size() <= 100 && absl::ascii_islower(name[0]) &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == name.npos;
}

bool IsSha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

ModuleSpec ParseModule(const ConfigNode& node, const Role& role, Draft& draft) {
  ModuleSpec spec;
  spec.kind = role.kind;
  spec.config = MapNode();
  spec.config.file = node.file;
  spec.config.line = node.line, spec.config.column = node.column;
  spec.where = node.Where();
  const auto complain = [&](const ConfigNode& at, std::string text) {
    draft.problems.push_back(at.ProblemHere(fmt::format("modules: {}: {}", role.key, text)));
  };
  if (!node.IsMap()) {
    complain(node, fmt::format("expected a map with use, module, sha256 and config, found {}", node.Describe()));
    return spec;
  }
  bool use_misspelt = false;
  for (const ConfigNode& child : node.children) {
    if (child.key == "use") {
      spec.where = child.Where();
      if (child.IsScalar()) spec.use = child.scalar;
      if (!child.IsScalar() || (!spec.IsPath() && !IsPluginName(spec.use))) {
        complain(child, fmt::format("use: expected a plugin's name or the path of a .so with a slash, found {}",
                                    child.Describe()));
      }
    } else if (child.key == "sha256") {
      if (child.IsScalar()) spec.sha256 = absl::AsciiStrToLower(child.scalar);
      if (!IsSha256(spec.sha256))
        complain(child, fmt::format("sha256: expected 64 hex digits, found {}", child.Describe()));
    } else if (child.key == "module") {
      if (child.IsScalar()) spec.module = child.scalar;
      if (spec.module.empty()) {
        complain(child, fmt::format("module: expected the name of a module in the plugin, found {}", child.Describe()));
      }
    } else if (child.key == "config") {
      if (child.IsMap()) {
        spec.config = child;
      } else if (!child.IsNull()) {
        complain(child, fmt::format("config: expected a map, found {}", child.Describe()));
      }
    } else {
      const std::string nearest = NearestName(child.key, {"use", "module", "sha256", "config"});
      use_misspelt |= nearest == "use";
      draft.problems.push_back(
          child.ProblemAtKey(fmt::format("modules: {}: unknown key {}{}", role.key, ScalarNode(child.key).Describe(),
                                         nearest.empty() ? "; a plugin's own settings go under \"config\""
                                                         : fmt::format("; did you mean \"{}\"?", nearest))));
    }
  }
  if (node.Find("use") == nullptr && !use_misspelt) complain(node, "use is missing: it names the plugin");
  return spec;
}

ModuleSpec DefaultModule(std::string_view kind, std::string_view use) {
  ModuleSpec spec;
  spec.kind = kind;
  spec.use = use;
  spec.config = MapNode();
  spec.where = "default";
  return spec;
}

}  // namespace

Modules DefaultModules() {
  Modules modules;
  modules.storage = DefaultModule("storage", "wiredtiger");
  modules.transports = {DefaultModule("transport", "h2")};
  modules.peer = DefaultModule("peer", "h2");
  modules.lease = DefaultModule("lease", "lease");
  modules.quota = DefaultModule("quota", "quota");
  modules.compactor = DefaultModule("compactor", "compactor");
  modules.services = {DefaultModule("service", "concurrency")};
  return modules;
}

void ApplyModules(const ConfigNode& node, Draft& draft) {
  if (node.IsNull()) return;
  if (!node.IsMap()) {
    draft.problems.push_back(node.ProblemHere(fmt::format("modules: expected a map, found {}", node.Describe())));
    return;
  }
  Modules& modules = draft.config.modules;
  modules.from_file = true;
  std::vector<std::string> known;
  for (const Role& role : kRoles) known.emplace_back(role.key);
  for (const ConfigNode& child : node.children) {
    const auto role =
        std::find_if(std::begin(kRoles), std::end(kRoles), [&](const Role& r) { return r.key == child.key; });
    if (role == std::end(kRoles)) {
      const std::string nearest = NearestName(child.key, known);
      draft.problems.push_back(
          child.ProblemAtKey(fmt::format("modules: unknown key {}{}", ScalarNode(child.key).Describe(),
                                         nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest))));
      continue;
    }
    if (child.IsNull()) {
      // `quota: ~`: none, not even the default. No server goes without an engine, nor without a transport.
      if (role->one != nullptr && role->key != "storage") modules.*role->one = {};
      if (role->several != nullptr && role->key != "transports") (modules.*role->several).clear();
      continue;
    }
    if (role->one != nullptr) {
      modules.*role->one = ParseModule(child, *role, draft);
      continue;
    }
    if (!child.IsList()) {
      draft.problems.push_back(child.ProblemHere(
          fmt::format("modules: {}: expected a list of modules, found {}", role->key, child.Describe())));
      continue;
    }
    if (child.children.empty() && role->key == "transports") {
      draft.problems.push_back(child.ProblemHere("modules: transports: at least one is needed to serve clients"));
    }
    (modules.*role->several).clear();
    for (const ConfigNode& item : child.children) {
      (modules.*role->several).push_back(ParseModule(item, *role, draft));
    }
  }
}

std::vector<const ModuleSpec*> Modules::All() const {
  std::vector<const ModuleSpec*> all;
  for (const Role& role : kRoles) {
    if (role.one != nullptr && !(this->*role.one).use.empty()) all.push_back(&(this->*role.one));
    if (role.several == nullptr) continue;
    for (const ModuleSpec& spec : this->*role.several) all.push_back(&spec);
  }
  return all;
}

bool Modules::Has(std::string_view kind) const {
  for (const ModuleSpec* spec : All()) {
    if (spec->kind == kind) return true;
  }
  return false;
}

}  // namespace tenon
