// Finds, checks and maps plugins.
//
//   Loader loader(plugin_dir, {});
//   ASSIGN_OR_RETURN(LoadedModule module, loader.Load({.kind = "storage", .use = "wiredtiger", .where =
//   "etcd.yaml:12:5"})); auto engine = module.Table<tenon_storage_v1>();
//
// Every refusal is one sentence that begins with `where`, names the file and says what to do. Nothing of a plugin runs
// in this process before its file, its ELF headers and a trial run in a forked child were found good. What is loaded
// stays mapped until the process ends: threads, thread_locals and static data of a plugin may outlive every instance.
// The order of the checks is in docs/plugins.md, the sentences in tests/plugin/loader_test.cc. All of it: [main].
#pragma once
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/plugin/host.h"
#include "kernel/plugin/kinds.h"
#include "kernel/plugin/table.h"
#include "tenon/abi/abi.h"

namespace tenon::plugin {

// One entry under `modules` of the configuration.
struct ModuleRequest {
  std::string kind;  // "storage", "transport", ...: a name in kinds.h
  std::string use;   // "wiredtiger": KIND-NAME.so, else NAME.so, in the plugin directory; with a slash: the file
  std::string
      module;  // which module of that kind, if the plugin has several; empty: the only one, or the one named as `use`
  std::string sha256;  // 64 hex digits that the file must have; empty: any
  std::string where;   // "file:line:col" of the entry
  // Is the entry's `config` what the module's JSON Schema wants? Not called when the module has no schema.
  std::function<Status(const char* schema)> check_config;
};

// A module that passed every check. Its strings and tables are the plugin's own and live until the process ends.
struct LoadedModule {
  const KindInfo* kind = nullptr;
  const tenon_module_desc* desc = nullptr;
  const tenon_plugin* plugin = nullptr;  // id, version, vendor, license; only its first 1.0 members may be read
  std::string path;                      // canonical
  std::string sha256;                    // of the file, lower case hex
  std::string where;                     // of the request
  const void* vt = nullptr;              // the plugin's table; may be shorter than ours, so read it through Table

  template <class T>
  T Table() const {
    return CopyTable<T>(vt);
  }
};

struct LoaderOptions {
  // Who may own a plugin and its directory. Empty: root and the user this process runs as.
  std::vector<uid_t> trusted_owners;
  // Try the plugin in a forked child first. Costs a fork and a second dlopen; see docs/plugins.md for figures.
  bool probe = true;
  int64_t probe_timeout_ns = 10'000'000'000;
  // For the optional load() of a plugin, called once per process. What is absent, load() sees as missing.
  HostServices services;
};

class Loader {
 public:
  explicit Loader(std::string plugin_dir, LoaderOptions options = {});

  Result<LoadedModule> Load(const ModuleRequest& request);

  // Names of the plugins in the directory (files *.so without the suffix), sorted.
  std::vector<std::string> Available() const;

 private:
  Result<std::string> Find(const ModuleRequest& request, const KindInfo& kind) const;
  Result<LoadedModule> LoadFile(const ModuleRequest& request, const KindInfo& kind, const std::string& path);

  std::string directory_;
  LoaderOptions options_;
};

// A module of a plugin that is linked into this program (the simulator, tools): the same checks of what it says of
// itself, no file. Its load() is not called.
Result<LoadedModule> BuiltIn(const tenon_plugin* plugin, const std::string& kind, const std::string& module = "");

// The folder ../lib/tenon/plugins beside this executable's folder.
std::string DefaultPluginDirectory();

}  // namespace tenon::plugin
