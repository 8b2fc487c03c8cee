#include "kernel/plugin/loader.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <filesystem>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>

#include "fmt/ranges.h"
#include "kernel/base/log.h"
#include "kernel/plugin/abi_status.h"
#include "kernel/plugin/elf.h"
#include "kernel/plugin/file_check.h"
#include "kernel/plugin/probe.h"
#include "kernel/plugin/proto_scan.h"
#include "kernel/plugin/threads.h"
#include "kernel/plugin/validate.h"

namespace tenon::plugin {
namespace {

namespace fs = std::filesystem;
constexpr char kEntry[] = "tenon_plugin_query_v1";

// A plugin that is mapped into this process, for good.
struct Mapped {
  std::string path, sha256;
  dev_t device;
  ino_t inode;
  boost::dll::shared_library library;
  const tenon_plugin* plugin;
  std::vector<std::string> protos;
  std::optional<Status> load;  // what its load() answered; asked once
};

// All of them. Never destroyed: threads of a plugin may run until the very end of the process.
struct Registry {
  std::mutex mutex;
  std::vector<std::unique_ptr<Mapped>> mapped;
};
Registry& TheRegistry() {
  static auto* registry = new Registry;
  return *registry;
}

Status Refuse(const std::string& path, const Status& predicate) {
  return Status(predicate.code(), fmt::format("plugin {} {}", path, Message(predicate)));
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// The dynamic linker's words without the path in front, which our sentence has already.
std::string LinkerWords(const std::string& path) {
  const char* error = dlerror();
  std::string text = error == nullptr ? "no reason given" : error;
  if (text.starts_with(path + ": ")) text = text.substr(path.size() + 2);
  return text;
}

// Maps the file and asks it what it is. Runs the plugin's static constructors.
Result<const tenon_plugin*> MapAndAsk(const std::string& path, boost::dll::shared_library& library) {
  std::error_code error;
  library.load(path, error, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  if (!library.is_loaded()) {
    return absl::FailedPreconditionError(
        fmt::format("cannot be loaded ({}): install or rebuild what it misses", LinkerWords(path)));
  }
  // boost::dll has no flag for it: nothing unmaps the code from here on, also if the plugin is refused, because its
  // constructors may have started threads.
  dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD | RTLD_NODELETE);
  if (!library.has(kEntry)) {
    return absl::FailedPreconditionError(fmt::format("does not export {}: it is no Tenon plugin", kEntry));
  }
  const auto query = library.get<const tenon_plugin*() noexcept>(kEntry);
  const tenon_plugin* plugin = query();
  RETURN_IF_ERROR(ValidatePlugin(plugin));
  if (query() != plugin) {
    return absl::FailedPreconditionError(
        fmt::format("answers something else at the second {}: return static data", kEntry));
  }
  return plugin;
}

Status CheckProtos(const std::vector<std::string>& protos, const std::vector<std::unique_ptr<Mapped>>& loaded) {
  for (const std::string& name : protos) {
    if (IsEtcdProtoFile(name)) {
      return absl::FailedPreconditionError(
          fmt::format("registers the protobuf file \"{}\", a name of etcd's own: put it under a folder of yours "
                      "(acme/{}) or compile it "
                      "with optimize_for = LITE_RUNTIME",
                      name, name));
    }
    for (const auto& other : loaded) {
      if (std::find(other->protos.begin(), other->protos.end(), name) == other->protos.end()) continue;
      return absl::FailedPreconditionError(fmt::format(
          "registers the protobuf file \"{}\", which plugin {} has registered: give one of them another name", name,
          other->path));
    }
  }
  return Ok();
}

Result<Mapped*> FindMapped(Registry& registry, const PluginFile& file) {
  for (const auto& mapped : registry.mapped) {
    const bool same_file = mapped->device == file.device && mapped->inode == file.inode;
    if (!same_file && mapped->path != file.path) continue;
    if (mapped->sha256 == file.sha256) return mapped.get();
    return absl::FailedPreconditionError(
        fmt::format("plugin {} was changed on disk after this server had loaded it: restart the server, or give the "
                    "new build a new "
                    "file name",
                    file.path));
  }
  return nullptr;
}

Result<Mapped*> Map(Registry& registry, const PluginFile& file, const LoaderOptions& options) {
  Result<ElfFacts> facts = ReadElf(file.bytes);
  if (!facts.ok()) return Refuse(file.path, facts.status());
  if (const Status sound = CheckPluginElf(*facts); !sound.ok()) return Refuse(file.path, sound);
  std::vector<std::string> protos;
  if (facts->uses_protobuf) protos = RegisteredProtoFiles(file.bytes);
  if (const Status alone = CheckProtos(protos, registry.mapped); !alone.ok()) return Refuse(file.path, alone);

  if (options.probe) {
    const Status lived = RunInChild(
        [&] {
          boost::dll::shared_library library;
          return MapAndAsk(file.path, library).status();
        },
        options.probe_timeout_ns);
    if (!lived.ok()) return Refuse(file.path, lived);
  }

  auto mapped = std::make_unique<Mapped>();
  mapped->path = file.path;
  mapped->sha256 = file.sha256;
  mapped->device = file.device;
  mapped->inode = file.inode;
  mapped->protos = std::move(protos);
  Result<const tenon_plugin*> plugin = MapAndAsk(file.path, mapped->library);
  if (!plugin.ok()) return Refuse(file.path, plugin.status());
  mapped->plugin = *plugin;
  if (facts->exports.size() > 1) {
    LOG_WARN("a plugin exports more than its entry function; link it with a version script", {"plugin", file.path},
             {"exports", facts->exports.size()});
  }
  LOG_DEBUG("mapped plugin", {"plugin", mapped->plugin->id}, {"version", mapped->plugin->version}, {"path", file.path},
            {"sha256", file.sha256});
  registry.mapped.push_back(std::move(mapped));
  return registry.mapped.back().get();
}

// The plugin's own load(), once per process.
Status CallLoad(Mapped& mapped, const HostServices& services) {
  if (!TENON_HAS(mapped.plugin, load)) return Ok();
  if (!mapped.load) {
    Host host({.plugin = mapped.plugin->id, .instance = "load"}, services);
    tenon_error error = NewError();
    ThreadTag tag(TENON_ON_MAIN);
    mapped.load = FromAbi(mapped.plugin->load(host.abi(), &error), &error);
  }
  if (mapped.load->ok()) return Ok();
  return Status(mapped.load->code(), fmt::format("refused to load: {}", Message(*mapped.load)));
}

}  // namespace

Loader::Loader(std::string plugin_dir, LoaderOptions options)
    : directory_(std::move(plugin_dir)), options_(std::move(options)) {
  if (options_.trusted_owners.empty()) options_.trusted_owners = {0, geteuid()};
}

std::vector<std::string> Loader::Available() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_, error)) {
    if (entry.path().extension() == ".so") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> Loader::Find(const ModuleRequest& request, const KindInfo& kind) const {
  if (request.use.find('/') != std::string::npos) return request.use;
  if (request.use.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("the {} module has an empty \"use\": name a plugin or a path", kind.name));
  }
  const std::string prefix = fmt::format("{}-", kind.name);
  std::vector<std::string> names = {prefix + request.use, request.use};
  if (!kind.lodger_of.empty()) names.push_back(fmt::format("{}-{}", kind.lodger_of, request.use));
  for (const std::string& name : names) {
    const std::string path = fmt::format("{}/{}.so", directory_, name);
    std::error_code error;
    if (fs::symlink_status(path, error).type() != fs::file_type::not_found) return path;
  }

  const std::vector<std::string> all = Available();
  const auto missing = fmt::format("there is no {} plugin \"{}\" in {}", kind.name, request.use, directory_);
  if (all.empty()) {
    return absl::NotFoundError(
        fmt::format("{}, which holds no plugin at all: install one or correct the plugin directory", missing));
  }
  std::string nearest;
  size_t distance = std::max<size_t>(2, request.use.size() / 2) + 1;
  for (const std::string& name : all) {
    const std::string shown = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
    if (const size_t d = EditDistance(shown, request.use); d < distance) {
      distance = d;
      nearest = shown;
    }
  }
  const std::string advice = nearest.empty() ? "" : fmt::format(", perhaps to \"{}\"", nearest);
  return absl::NotFoundError(fmt::format("{}: correct \"use\"{}; there are {}", missing, advice, fmt::join(all, ", ")));
}

Result<LoadedModule> Loader::LoadFile(const ModuleRequest& request, const KindInfo& kind, const std::string& path) {
  ASSIGN_OR_RETURN(PluginFile file, ReadTrustedFile(path, options_.trusted_owners));
  RETURN_IF_ERROR(CheckPin(file, request.sha256));

  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  ASSIGN_OR_RETURN(Mapped * mapped, FindMapped(registry, file));
  if (mapped == nullptr) {
    ASSIGN_OR_RETURN(mapped, Map(registry, file, options_));
  }
  const auto desc = ChooseModule(*mapped->plugin, kind, request.use, request.module);
  if (!desc.ok()) return Refuse(file.path, desc.status());
  if ((*desc)->config_schema != nullptr && request.check_config) {
    RETURN_IF_ERROR(request.check_config((*desc)->config_schema));
  }
  if (const Status loaded = CallLoad(*mapped, options_.services); !loaded.ok()) return Refuse(file.path, loaded);
  return LoadedModule{&kind, *desc, mapped->plugin, file.path, file.sha256, request.where, (*desc)->vt};
}

Result<LoadedModule> Loader::Load(const ModuleRequest& request) {
  const auto run = [&]() -> Result<LoadedModule> {
    const KindInfo* kind = FindKind(request.kind);
    if (kind == nullptr) {
      std::vector<std::string_view> names;
      for (const KindInfo& known : AllKinds()) names.push_back(known.name);
      return absl::InvalidArgumentError(
          fmt::format("there is no module kind \"{}\": use one of {}", request.kind, fmt::join(names, ", ")));
    }
    ASSIGN_OR_RETURN(const std::string path, Find(request, *kind));
    return LoadFile(request, *kind, path);
  };
  Result<LoadedModule> module = run();
  // A finding inside `config` has a place of its own, in the same file.
  const std::string this_file = request.where.substr(0, request.where.find(':') + 1);
  if (module.ok() || request.where.empty() || Message(module.status()).starts_with(this_file)) return module;
  return Status(module.status().code(), fmt::format("{}: {}", request.where, Message(module.status())));
}

Result<LoadedModule> BuiltIn(const tenon_plugin* plugin, const std::string& kind_name, const std::string& module) {
  if (const Status sound = ValidatePlugin(plugin); !sound.ok()) return Refuse("(built in)", sound);
  const KindInfo* kind = FindKind(kind_name);
  if (kind == nullptr) return absl::InvalidArgumentError(fmt::format("there is no module kind \"{}\"", kind_name));
  const auto desc = ChooseModule(*plugin, *kind, "", module);
  if (!desc.ok()) return Refuse(plugin->id, desc.status());
  return LoadedModule{kind, *desc, plugin, fmt::format("builtin:{}", plugin->id), "", "", (*desc)->vt};
}

std::string DefaultPluginDirectory() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return (program.parent_path().parent_path() / "lib/tenon/plugins").lexically_normal();
}

}  // namespace tenon::plugin
