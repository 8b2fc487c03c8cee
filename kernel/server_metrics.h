// The values of /metrics that somebody else keeps: the store's counts, the engine's sizes, the process's use of the
// machine, and what the server is. They are read when somebody scrapes.
#pragma once
#include <functional>
#include <string>

#include "kernel/apply/alarms.h"
#include "kernel/cluster/membership.h"
#include "kernel/metrics/metrics.h"
#include "kernel/mvcc/store.h"
#include "kernel/mvcc/watch_hub.h"
#include "kernel/storage/engine.h"

namespace tenon {

struct ServerMetricsSources {
  mvcc::Store& store;
  const mvcc::WatchHub& watch;
  storage::Engine& engine;
  const cluster::Membership& membership;
  const apply::Alarms& alarms;
  double quota_bytes;        // as etcd shows it: negative for none
  std::string storage_name;  // of the engine's module
};

// All sources outlive the scrapes. Once. [main]
void RegisterServerMetrics(metrics::Registry& registry, ServerMetricsSources sources);

// tenon_plugin_info of a module that was loaded. [main]
void RegisterPluginInfo(metrics::Registry& registry, const std::string& kind, const std::string& name,
                        const std::string& plugin, const std::string& version);

}  // namespace tenon
