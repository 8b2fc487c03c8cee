// The kernel as one module instance sees it: tenon_host and the tables behind get().
//
//   Host host({.plugin = "org.example.lmdb", .instance = "storage"}, services);
//   host.Provide(TENON_HOST_DISPATCH, &dispatch_table);
//   vt.create(host.abi(), &config, &self, &error);
//
// log, metrics, config and exec are here; the other tables are given by those who own what they reach (Provide).
// A service that is not given (no executor, no registry) is simply absent: get() answers NULL.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/metrics/metrics.h"
#include "kernel/plugin/cfg.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"
#include "tenon/abi/abi.h"

namespace tenon::plugin {

// What a host reaches; all of it outlives the host. exec/1 needs pool and clock.
struct HostServices {
  Clock* clock = nullptr;
  Executor* pool = nullptr;
  metrics::Registry* metrics = nullptr;
  std::function<void(Status)> fatal;     // [any]; must return. Absent: the error is only logged
  const char* kernel_version = "0.1.0";  // static text
  bool log = true;                       // false: no log table, for tests of modules that must do without
  bool config = true;
  size_t max_posted = 10'000;  // work of one instance that waits for the pool; more is EXHAUSTED
};

struct HostName {
  std::string plugin;        // id of the plugin
  std::string instance;      // as the configuration calls it: "storage", "transports[0]"
  std::string kind, module;  // "storage", "wiredtiger": the labels of its tenon_plugin_* metrics
};

class Host {
 public:
  Host(HostName name, HostServices services);
  ~Host();  // Closes
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const tenon_host* abi() const;

  // Adds or replaces a table; `table` must outlive the host. Null: takes it away. Before create only. [main]
  void Provide(const char* id, const void* table);

  // Whose host this is, for those who implement tables: `host` must come from Host::abi().
  static Host& From(const tenon_host* host);
  const HostName& name() const;
  // Anything the provider of tables wants to find again from From(host); it outlives the host.
  void set_context(void* context) { context_ = context; }
  void* context() const { return context_; }

  // Runs what was posted before this call and has not begun, on this thread, and waits for what is running. Before the
  // module's stop. [main]
  void Drain();
  // After the module's stop: cancels every timer, drains, and refuses work from now on. No callback comes later. [main]
  void Close();

  // Work and timers that were not run yet; for tests and for the sentence that names a plugin which leaves some behind.
  size_t pending() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
  void* context_ = nullptr;
};

}  // namespace tenon::plugin
