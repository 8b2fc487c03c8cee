#include "kernel/plugin/validate.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>
#include <vector>

#include "fmt/ranges.h"

namespace tenon::plugin {
namespace {

// The 1.0 part of the structs that may grow; `load` and `tables` are optional by their nature.
constexpr uint32_t kPluginSize = offsetof(tenon_plugin, load);
constexpr uint32_t kDescSize = offsetof(tenon_module_desc, tables);
constexpr uint32_t kMostModules = 1000;
constexpr size_t kMostTables = 1000;

Status Bad(std::string text) { return absl::FailedPreconditionError(text); }

const KindInfo* KindOfId(std::string_view id) {
  for (const KindInfo& kind : AllKinds()) {
    if (kind.id == id) return &kind;
  }
  return nullptr;
}

bool IsTableName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  });
}

Status ValidateTables(const tenon_module_desc& desc, const KindInfo& kind) {
  if (!TENON_HAS(&desc, tables)) return Ok();
  std::set<std::string_view> seen;
  for (const char* const* table = desc.tables; *table != nullptr; table++) {
    const std::string_view name = *table;
    const auto refuse = [&](std::string_view why) {
      return Bad(fmt::format("declares the table \"{}\" for module {}: {}", name.substr(0, 80), desc.name, why));
    };
    if (kind.tables == OwnTables::kNone) return refuse(fmt::format("kind {} owns no tables, remove it", kind.name));
    if (kind.tables == OwnTables::kListed &&
        std::find(kind.listed_tables.begin(), kind.listed_tables.end(), name) == kind.listed_tables.end()) {
      return refuse(fmt::format("kind {} may own only {}", kind.name, fmt::join(kind.listed_tables, ", ")));
    }
    if (!IsTableName(name)) return refuse("a table's name is 1 to 64 of A-Z a-z 0-9 _ . -");
    if (!seen.insert(name).second) return refuse("it is there twice");
    if (seen.size() > kMostTables) return refuse(fmt::format("more than {} tables", kMostTables));
  }
  return Ok();
}

Status ValidateTable(const tenon_module_desc& desc, const KindInfo& kind) {
  const tenon_module_vt* vt = desc.vt;
  if (vt->size < kind.required_size()) {
    return Bad(fmt::format(
        "has a short table for module {}: {} bytes, kind {} needs at least {}; set m.size to sizeof its table",
        desc.name, vt->size, kind.id, kind.required_size()));
  }
  const auto is_null = [&](size_t offset) {
    void* function = nullptr;
    std::memcpy(&function, reinterpret_cast<const char*>(vt) + offset, sizeof function);
    return function == nullptr;
  };
  const auto check = [&](const RequiredFunction& f) {
    return is_null(f.offset) ? Bad(fmt::format("leaves the function {} of module {} NULL: kind {} requires it", f.name,
                                               desc.name, kind.id))
                             : Ok();
  };
  for (const RequiredFunction& function : kind.required) RETURN_IF_ERROR(check(function));
  if (kind.id == TENON_KIND_STORAGE && (vt->features & TENON_ST_PERSIST)) {
    RETURN_IF_ERROR(check({offsetof(tenon_storage_v1, persist), "persist"}));
  }
  const auto* service = reinterpret_cast<const tenon_service_v1*>(vt);
  if (kind.id == TENON_KIND_SERVICE && vt->size >= offsetof(tenon_service_v1, recover) + sizeof(void*) &&
      service->apply != nullptr) {
    RETURN_IF_ERROR(check({offsetof(tenon_service_v1, recover), "recover"}));
  }
  return Ok();
}

Status ValidateModule(const tenon_plugin& plugin, uint32_t i) {
  const tenon_module_desc& desc = *ModuleAt(plugin, i);
  if (desc.size < kDescSize || desc.size > plugin.module_desc_size) {
    return Bad(
        fmt::format("says that descriptor {} has {} bytes in an array of {}: set its size to sizeof(tenon_module_desc)",
                    i, desc.size, plugin.module_desc_size));
  }
  if (desc.kind == nullptr || desc.name == nullptr || *desc.name == '\0') {
    return Bad(fmt::format("leaves the kind or the name of module number {} empty: set both", i));
  }
  if (desc.vt == nullptr) return Bad(fmt::format("has no table for module {}: set vt", desc.name));
  const KindInfo* kind = KindOfId(desc.kind);
  if (kind == nullptr) return Ok();
  RETURN_IF_ERROR(ValidateTable(desc, *kind));
  return ValidateTables(desc, *kind);
}

}  // namespace

const tenon_module_desc* ModuleAt(const tenon_plugin& plugin, uint32_t i) {
  return reinterpret_cast<const tenon_module_desc*>(reinterpret_cast<const char*>(plugin.modules) +
                                                    static_cast<size_t>(i) * plugin.module_desc_size);
}

Status ValidatePlugin(const tenon_plugin* plugin) {
  if (plugin == nullptr)
    return Bad("answers NULL to tenon_plugin_query_v1: return the address of a static tenon_plugin");
  if (plugin->size < offsetof(tenon_plugin, id)) {
    return Bad(fmt::format("describes itself in {} bytes, at least {} are needed: set size to sizeof(tenon_plugin)",
                           plugin->size, kPluginSize));
  }
  if (plugin->abi_major != TENON_ABI_MAJOR) {
    return Bad(fmt::format("is built for ABI {}.{}, this server has {}.{}: build it with the headers of ABI {}",
                           plugin->abi_major, plugin->abi_minor, TENON_ABI_MAJOR, TENON_ABI_MINOR, TENON_ABI_MAJOR));
  }
  if (plugin->size < kPluginSize) {
    return Bad(fmt::format("describes itself in {} bytes, at least {} are needed: set size to sizeof(tenon_plugin)",
                           plugin->size, kPluginSize));
  }
  if (plugin->id == nullptr || *plugin->id == '\0' || plugin->version == nullptr) {
    return Bad("leaves its id or version empty: set both, for example \"org.example.lmdb\" and \"1.0.0\"");
  }
  if (plugin->module_count == 0 || plugin->modules == nullptr) return Bad("offers no module: list at least one");
  if (plugin->module_count > kMostModules) {
    return Bad(fmt::format("claims to have {} modules: set module_count", plugin->module_count));
  }
  if (plugin->module_desc_size < kDescSize) {
    return Bad(
        fmt::format("has module descriptors of {} bytes, at least {} are needed: set module_desc_size to "
                    "sizeof(tenon_module_desc)",
                    plugin->module_desc_size, kDescSize));
  }
  std::set<std::pair<std::string_view, std::string_view>> names;
  for (uint32_t i = 0; i < plugin->module_count; i++) {
    RETURN_IF_ERROR(ValidateModule(*plugin, i));
    const std::string_view kind = ModuleAt(*plugin, i)->kind, name = ModuleAt(*plugin, i)->name;
    if (!names.emplace(kind, name).second) {
      return Bad(fmt::format("has two modules named {}: give each its own name", name));
    }
  }
  return Ok();
}

Result<const tenon_module_desc*> ChooseModule(const tenon_plugin& plugin, const KindInfo& kind, const std::string& use,
                                              const std::string& module) {
  std::vector<const tenon_module_desc*> found;
  std::vector<std::string> names, offers;
  for (uint32_t i = 0; i < plugin.module_count; i++) {
    const tenon_module_desc* desc = ModuleAt(plugin, i);
    offers.push_back(fmt::format("{} ({})", desc->name, desc->kind));
    if (desc->kind != kind.id) continue;
    found.push_back(desc);
    names.emplace_back(desc->name);
  }
  if (found.empty()) {
    return absl::NotFoundError(
        fmt::format("has no module of kind {} ({}): it offers {}", kind.name, kind.id, fmt::join(offers, ", ")));
  }
  const std::string& wanted = !module.empty() || found.size() == 1 ? module : use;
  if (wanted.empty()) return found.front();
  const auto named = std::find(names.begin(), names.end(), wanted);
  if (named != names.end()) return found[static_cast<size_t>(named - names.begin())];
  if (module.empty()) {
    return absl::NotFoundError(fmt::format("has {} modules of kind {}: say which with \"module\", one of {}",
                                           found.size(), kind.name, fmt::join(names, ", ")));
  }
  return absl::NotFoundError(
      fmt::format("has no module \"{}\" of kind {}: it has {}", module, kind.name, fmt::join(names, ", ")));
}

}  // namespace tenon::plugin
