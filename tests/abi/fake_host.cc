#include "tests/abi/fake_host.h"

#include <dlfcn.h>
#include <time.h>

#include <cstdlib>
#include <iostream>

#include "kernel/base/units.h"

namespace tenon::testing {

// A node of the fake configuration. Behind the ABI's pointer, but no `tenon_cfg`: the kernel's own one is linked in
// too, and of two structs with one name the linker keeps one's destructor for both.
struct FakeNode {
  std::string scalar;
  std::map<std::string, std::unique_ptr<FakeNode>> values;
  const tenon_cfg* abi() const { return reinterpret_cast<const tenon_cfg*>(this); }
};

struct FakeHost::Impl {
  mutable std::mutex mutex;
  std::vector<std::string> lines, fatals;
  FakeNode config;
};

namespace {

FakeHost::Impl& Of(const tenon_host* host) { return *static_cast<FakeHost::Impl*>(host->priv); }
const FakeNode& Of(const tenon_cfg* node) { return *reinterpret_cast<const FakeNode*>(node); }
std::string Text(tenon_slice s) { return std::string(reinterpret_cast<const char*>(s.p), s.n); }
tenon_slice Bytes(const std::string& s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

template <class T, class V>
tenon_status Parsed(const tenon::Result<T>& value, V* out) {
  if (!value.ok()) return TENON_INVALID;
  *out = static_cast<V>(*value);
  return TENON_OK;
}

const tenon_host_log_v1 kLog = {sizeof kLog,
                                [](const tenon_host*, int level) -> int { return level >= TENON_LOG_INFO; },
                                [](const tenon_host* host, int, tenon_slice msg, const tenon_kv* fields, size_t n) {
                                  std::string line = Text(msg);
                                  for (size_t i = 0; i < n; i++)
                                    line += " " + Text(fields[i].key) + "=" + Text(fields[i].val);
                                  const std::scoped_lock lock(Of(host).mutex);
                                  Of(host).lines.push_back(std::move(line));
                                }};

const tenon_host_config_v1 kConfig = {
    sizeof kConfig,
    [](const tenon_cfg* node) -> int {
      if (node == nullptr) return TENON_CFG_NULL;
      return Of(node).values.empty() ? TENON_CFG_SCALAR : TENON_CFG_MAP;
    },
    [](const tenon_cfg* node) -> size_t { return Of(node).values.size(); },
    [](const tenon_cfg*, size_t, tenon_slice*) -> const tenon_cfg* { return nullptr; },
    [](const tenon_cfg* node, const char* path) -> const tenon_cfg* {
      const auto& values = Of(node).values;
      const auto found = values.find(path);
      return found == values.end() ? nullptr : found->second->abi();
    },
    [](const tenon_cfg* node) -> tenon_slice { return Bytes(Of(node).scalar); },
    [](const tenon_cfg* node, int64_t* out) -> tenon_status {
      char* end = nullptr;
      const int64_t value = std::strtoll(Of(node).scalar.c_str(), &end, 10);
      if (Of(node).scalar.empty() || *end != '\0') return TENON_INVALID;
      *out = value;
      return TENON_OK;
    },
    nullptr,
    [](const tenon_cfg* node, int* out) -> tenon_status {
      if (Of(node).scalar != "true" && Of(node).scalar != "false") return TENON_INVALID;
      *out = Of(node).scalar == "true";
      return TENON_OK;
    },
    [](const tenon_cfg* node, int64_t* out) -> tenon_status { return Parsed(ParseDurationNs(Of(node).scalar), out); },
    [](const tenon_cfg* node, uint64_t* out) -> tenon_status { return Parsed(ParseBytes(Of(node).scalar), out); },
    [](const tenon_cfg*) -> tenon_slice {
      static const std::string where = "test.yaml:7:3";
      return Bytes(where);
    }};

const tenon_host_exec_v1 kExec = {sizeof kExec,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  [](const tenon_host*) -> uint64_t {
                                    timespec t;
                                    clock_gettime(CLOCK_MONOTONIC, &t);
                                    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 +
                                           static_cast<uint64_t>(t.tv_nsec);
                                  },
                                  nullptr,
                                  nullptr};

}  // namespace

FakeHost::FakeHost() : impl_(std::make_shared<Impl>()) {
  host_ = {sizeof host_,
           TENON_ABI_MAJOR,
           TENON_ABI_MINOR,
           impl_.get(),
           [](const tenon_host*, const char* id) -> const void* {
             const std::string name = id;
             if (name == TENON_HOST_LOG) return &kLog;
             if (name == TENON_HOST_CONFIG) return &kConfig;
             if (name == TENON_HOST_EXEC) return &kExec;
             return nullptr;
           },
           [](const tenon_host*) -> const char* { return "test"; },
           [](const tenon_host* host, const tenon_error* error) {
             const std::scoped_lock lock(Of(host).mutex);
             Of(host).fatals.push_back(error->msg);
           }};
}

const tenon_cfg* FakeHost::Config(std::map<std::string, std::string> values) {
  impl_->config.values.clear();
  for (auto& [path, value] : values) {
    auto node = std::make_unique<FakeNode>();
    node->scalar = value;
    impl_->config.values.emplace(path, std::move(node));
  }
  return impl_->config.abi();
}

std::vector<std::string> FakeHost::Lines() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->lines;
}

std::vector<std::string> FakeHost::Fatals() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->fatals;
}

void FakeHost::ClearFatals() {
  const std::scoped_lock lock(impl_->mutex);
  impl_->fatals.clear();
}

const tenon_module_desc* LoadModule(const std::string& path, const std::string& kind) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    std::cerr << dlerror() << "\n";
    std::exit(1);
  }
  const auto query = reinterpret_cast<const tenon_plugin* (*)()>(dlsym(library, "tenon_plugin_query_v1"));
  if (query != nullptr) {
    const tenon_plugin* plugin = query();
    for (uint32_t i = 0; i < plugin->module_count; i++) {
      if (plugin->modules[i].kind == kind) return &plugin->modules[i];
    }
  }
  std::cerr << path << " has no module of kind " << kind << "\n";
  std::exit(1);
}

}  // namespace tenon::testing
