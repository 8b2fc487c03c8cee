#include "kernel/server_metrics.h"

#include "kernel/base/version.h"
#include "kernel/config/config.h"
#include "kernel/os/process.h"

namespace tenon {
namespace {

using metrics::Registry;
using metrics::Samples;

void RegisterIdentity(Registry& registry, const cluster::Membership& membership) {
  registry
      .NewGauge("etcd_server_version", "Which version is running. 1 for 'server_version' label with current version.",
                {{"server_version", std::string(kEtcdVersion)}})
      .Set(1);
  registry
      .NewGauge("etcd_server_id", "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
                {{"server_id", fmt::format("{:x}", membership.self())}})
      .Set(1);
  registry.RegisterSeries(
      Registry::Kind::kGauge, "etcd_cluster_version",
      "Which version is running. 1 for 'cluster_version' label with current cluster version",
      [&membership](Samples& samples) {
        const std::optional<Version> version = membership.version();
        if (!version) return;
        samples.Add(metrics::LabelText({{"cluster_version", fmt::format("{}.{}", version->major, version->minor)}}),
                    uint64_t{1});
      });
  registry.RegisterCallbackGauge("etcd_server_is_learner",
                                 "Whether or not this member is a learner. 1 if is, 0 otherwise.", [&membership] {
                                   for (const cluster::Member& m : membership.List()) {
                                     if (m.id == membership.self()) return m.learner ? 1.0 : 0.0;
                                   }
                                   return 0.0;
                                 });
}

void RegisterStore(Registry& registry, mvcc::Store& store, storage::Engine& engine) {
  const auto stat = [&engine](uint64_t tenon_storage_stats::*field) {
    return [&engine, field] { return static_cast<double>(engine.Stats().*field); };
  };
  registry.RegisterCallbackGauge("etcd_mvcc_db_total_size_in_bytes",
                                 "Total size of the underlying database physically allocated in bytes.",
                                 stat(&tenon_storage_stats::size_bytes));
  registry.RegisterCallbackGauge("etcd_mvcc_db_total_size_in_use_in_bytes",
                                 "Total size of the underlying database logically in use in bytes.",
                                 stat(&tenon_storage_stats::size_in_use_bytes));
  registry.RegisterCallbackGauge("etcd_mvcc_db_open_read_transactions",
                                 "The number of currently open read transactions",
                                 [&engine] { return static_cast<double>(engine.Stats().open_snaps); });

  const auto count = [&](const char* name, const char* help, std::atomic<uint64_t> mvcc::Counts::*cell) {
    registry.RegisterCallbackCounter(name, help,
                                     [&store, cell] { return static_cast<double>((store.counts().*cell).load()); });
  };
  count("etcd_mvcc_range_total", "Total number of ranges seen by this member.", &mvcc::Counts::ranges);
  count("etcd_mvcc_put_total", "Total number of puts seen by this member.", &mvcc::Counts::puts);
  count("etcd_mvcc_delete_total", "Total number of deletes seen by this member.", &mvcc::Counts::deletes);
  count("etcd_mvcc_txn_total", "Total number of txns seen by this member.", &mvcc::Counts::txns);
  registry.RegisterCallbackGauge("etcd_debugging_mvcc_total_put_size_in_bytes",
                                 "The total size of put kv pairs seen by this member.",
                                 [&store] { return static_cast<double>(store.counts().put_bytes.load()); });
  registry.RegisterCallbackGauge("etcd_debugging_mvcc_keys_total", "Total number of keys.",
                                 [&store] { return static_cast<double>(store.keys()); });
  registry.RegisterCallbackGauge("etcd_debugging_mvcc_current_revision", "The current revision of store.",
                                 [&store] { return static_cast<double>(store.revision()); });
  registry.RegisterCallbackGauge("etcd_debugging_mvcc_compact_revision",
                                 "The revision of the last compaction in store.",
                                 [&store] { return static_cast<double>(store.compact_revision()); });
}

void RegisterWatch(Registry& registry, const mvcc::WatchHub& watch) {
  const auto gauge = [&](const char* name, const char* help, const std::atomic<int64_t>& value) {
    registry.RegisterCallbackGauge(name, help, [&value] { return static_cast<double>(value.load()); });
  };
  const auto& counts = watch.counts();
  gauge("etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.", counts.streams);
  gauge("etcd_debugging_mvcc_watcher_total", "Total number of watchers.", counts.watchers);
  gauge("etcd_debugging_mvcc_slow_watcher_total", "Total number of unsynced slow watchers.", counts.slow);
  gauge("etcd_debugging_mvcc_pending_events_total", "Total number of pending events to be sent.", counts.pending);
  registry.RegisterCallbackCounter("etcd_debugging_mvcc_events_total", "Total number of events sent by this member.",
                                   [&counts] { return static_cast<double>(counts.events.load()); });
  registry.RegisterCallbackCounter("tenon_watchers_visited_total", "Watchers that were looked at for a change.",
                                   [&counts] { return static_cast<double>(counts.visited.load()); });
}

// What an engine tells of itself; of each only what it knows.
void RegisterEngine(Registry& registry, storage::Engine& engine, const std::string& name) {
  const auto gauge = [&](const char* metric, const char* help, uint64_t tenon_storage_stats::*field, double unit) {
    registry.RegisterCallbackGauge(metric, help,
                                   [&engine, field, unit] { return static_cast<double>(engine.Stats().*field) * unit; },
                                   {{"kind", "storage"}, {"name", name}});
  };
  gauge("tenon_plugin_storage_cache_bytes", "Memory that the engine's cache holds.", &tenon_storage_stats::cache_bytes,
        1);
  gauge("tenon_plugin_storage_dirty_bytes", "Memory of the engine that its files do not hold yet.",
        &tenon_storage_stats::dirty_bytes, 1);
  gauge("tenon_plugin_storage_durable_index", "The last entry that a crash of this engine cannot lose.",
        &tenon_storage_stats::durable_index, 1);
  gauge("tenon_plugin_storage_last_persist_seconds", "How long the engine's last persist took.",
        &tenon_storage_stats::last_persist_ns, 1e-9);
  gauge("tenon_plugin_storage_oldest_snapshot_age_seconds", "Age of the oldest snapshot that is open.",
        &tenon_storage_stats::oldest_snap_age_ns, 1e-9);
}

void RegisterAlarms(Registry& registry, const apply::Alarms& alarms) {
  registry.RegisterSeries(
      Registry::Kind::kGauge, "etcd_debugging_server_alarms",
      "Alarms for every member in cluster. 1 for 'server_id' label with current ID. 2 for "
      "'alarm_type' label with type of this alarm",
      [&alarms](Samples& samples) {
        for (const etcdserverpb::AlarmMember& m : alarms.List(etcdserverpb::NONE)) {
          const std::string name = etcdserverpb::AlarmType_IsValid(m.alarm()) ? etcdserverpb::AlarmType_Name(m.alarm())
                                                                              : std::to_string(m.alarm());
          samples.Add(metrics::LabelText({{"alarm_type", name}, {"server_id", fmt::format("{:x}", m.memberid())}}),
                      uint64_t{1});
        }
      });
}

void RegisterProcess(Registry& registry) {
  const auto descriptors = [] { return static_cast<double>(OpenFileDescriptors()); };
  const auto most_descriptors = [] { return static_cast<double>(MaxFileDescriptors()); };
  registry.RegisterCallbackGauge("process_open_fds", "Number of open file descriptors.", descriptors);
  registry.RegisterCallbackGauge("process_max_fds", "Maximum number of open file descriptors.", most_descriptors);
  registry.RegisterCallbackGauge("os_fd_used", "The number of used file descriptors.", descriptors);
  registry.RegisterCallbackGauge("os_fd_limit", "The file descriptor limit.", most_descriptors);
  registry.RegisterCallbackCounter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
                                   [] { return ReadProcessStats().cpu_seconds; });
  registry.RegisterCallbackGauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
                                 [start = ReadProcessStats().start_time_seconds] { return start; });
  registry.RegisterCallbackGauge("process_resident_memory_bytes", "Resident memory size in bytes.",
                                 [] { return static_cast<double>(ReadProcessStats().resident_bytes); });
  registry.RegisterCallbackGauge("process_virtual_memory_bytes", "Virtual memory size in bytes.",
                                 [] { return static_cast<double>(ReadProcessStats().virtual_bytes); });
  registry.RegisterCallbackGauge("process_virtual_memory_max_bytes",
                                 "Maximum amount of virtual memory available in bytes.",
                                 [] { return static_cast<double>(MaxVirtualBytes()); });
}

}  // namespace

void RegisterServerMetrics(Registry& registry, ServerMetricsSources sources) {
  RegisterIdentity(registry, sources.membership);
  RegisterStore(registry, sources.store, sources.engine);
  RegisterWatch(registry, sources.watch);
  RegisterEngine(registry, sources.engine, sources.storage_name);
  RegisterAlarms(registry, sources.alarms);
  RegisterProcess(registry);
  registry.RegisterCallbackGauge("etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.",
                                 [quota = sources.quota_bytes] { return quota; });
}

void RegisterPluginInfo(Registry& registry, const std::string& kind, const std::string& name, const std::string& plugin,
                        const std::string& version) {
  registry
      .NewGauge("tenon_plugin_info", "A loaded module and the plugin that it is from. Always 1.",
                {{"kind", kind}, {"name", name}, {"plugin", plugin}, {"version", version}})
      .Set(1);
}

}  // namespace tenon
