#include "kernel/kernel.h"

#include <sys/resource.h>

#include <future>

#include "kernel/api/dispatcher.h"
#include "kernel/api/http.h"
#include "kernel/api/server.h"
#include "kernel/apply/alarms.h"
#include "kernel/apply/applier.h"
#include "kernel/base/errors.h"
#include "kernel/base/log.h"
#include "kernel/base/units.h"
#include "kernel/cluster/ids.h"
#include "kernel/cluster/membership.h"
#include "kernel/config/schema.h"
#include "kernel/data_dir.h"
#include "kernel/listeners.h"
#include "kernel/metrics/metrics.h"
#include "kernel/mvcc/index_snapshot.h"
#include "kernel/mvcc/store.h"
#include "kernel/node/disk_watch.h"
#include "kernel/node/node.h"
#include "kernel/node/persister.h"
#include "kernel/os/clock.h"
#include "kernel/os/disk.h"
#include "kernel/os/thread.h"
#include "kernel/plugin/cfg.h"
#include "kernel/plugin/instance.h"
#include "kernel/plugin/loader.h"
#include "kernel/server_metrics.h"
#include "kernel/snapshot/stream_files.h"
#include "kernel/storage/engine.h"
#include "kernel/storage/schema.h"
#include "kernel/wal/wal.h"
#include "proto/raft.pb.h"
#include "proto/wal.pb.h"

namespace tenon {
namespace {

constexpr std::string_view kClusterVersion = "3.7.0";

// ---- modules ----

tenon_cfg ToCfg(const ConfigNode& node) {
  tenon_cfg out;
  out.where = node.Where();
  switch (node.kind) {
    case ConfigNode::Kind::kNull: break;
    case ConfigNode::Kind::kScalar:
      out.kind = TENON_CFG_SCALAR;
      out.scalar = node.scalar;
      break;
    case ConfigNode::Kind::kList:
    case ConfigNode::Kind::kMap:
      out.kind = node.IsList() ? TENON_CFG_LIST : TENON_CFG_MAP;
      for (const ConfigNode& child : node.children) out.children.emplace_back(child.key, ToCfg(child));
  }
  return out;
}

// A setting of the whole server that the module also knows, unless the module's own section says otherwise.
void SetDefault(tenon_cfg& cfg, const std::string& key, const std::string& value) {
  cfg.kind = TENON_CFG_MAP;
  for (const auto& [name, child] : cfg.children) {
    if (name == key) return;
  }
  cfg.children.emplace_back(key, tenon_cfg::Scalar(value, "default"));
}

plugin::ModuleRequest RequestOf(const ModuleSpec& spec) {
  plugin::ModuleRequest request;
  request.kind = spec.kind;
  request.use = spec.use;
  request.module = spec.module;
  request.sha256 = spec.sha256;
  request.where = spec.where;
  request.check_config = [&spec](const char* schema) -> Status {
    std::vector<Problem> problems;
    RETURN_IF_ERROR(CheckAgainstSchema(schema, spec.config, fmt::format("{} {}", spec.kind, spec.use), problems));
    if (problems.empty()) return Ok();
    std::string text;
    for (const Problem& p : problems) text += (text.empty() ? "" : "; ") + p.ToString();
    return absl::InvalidArgumentError(text);
  };
  return request;
}

std::string PluginDir(const Config& config) {
  return config.tenon_plugin_dir.empty() ? plugin::DefaultPluginDirectory() : config.tenon_plugin_dir;
}

// Modules that only later versions can use.
Status RefuseUnbuilt(const Modules& modules) {
  for (const ModuleSpec* spec : modules.All()) {
    if (spec->kind != "storage" && spec->kind != "transport") {
      return absl::UnimplementedError(fmt::format(
          "{}: this version of Tenon has no place for a {} module yet: remove it", spec->where, spec->kind));
    }
  }
  if (modules.transports.size() > 1) {
    return absl::UnimplementedError(fmt::format(
        "{}: this version of Tenon serves through one transport: remove this one", modules.transports[1].where));
  }
  return Ok();
}

uint64_t RequestTimeoutNs(const Config& config) {  // etcd's
  return 5'000'000'000 + 2 * config.election_timeout_ms * 1'000'000;
}

void RaiseFileLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

// ---- a member's first entries ----

std::vector<std::string> Texts(const std::vector<Url>& urls) {
  std::vector<std::string> out;
  for (const Url& url : urls) out.push_back(url.text);
  return out;
}

raft::Entry FoundingEntry(const cluster::Member& member) {
  raftpb::ConfChange change;
  change.set_id(0);
  change.set_type(raftpb::ConfChangeAddNode);
  change.set_node_id(member.id);
  change.set_context(cluster::ToJson(member));
  raft::Entry entry;
  entry.term = Term(1);
  entry.index = Index(1);
  entry.type = raft::EntryType::kConfChange;
  entry.payload = std::make_shared<raft::Payload>(change.SerializeAsString());
  return entry;
}

}  // namespace

struct Kernel::Parts {
  Config config;
  Hooks hooks;

  // The outside world.
  OsDisk disk;
  OsClock clock;
  metrics::Registry metrics;
  std::optional<DataDir> data;

  // Threads. With one voter the log writer shares the node's thread: nothing but its answer is waited for there.
  std::unique_ptr<Thread> node_thread, apply_thread, persist_thread, worker_thread, pool_thread;
  std::vector<std::unique_ptr<Thread>> reader_threads;

  std::unique_ptr<plugin::Loader> loader;
  std::unique_ptr<plugin::Instance> storage_instance;
  std::unique_ptr<storage::Engine> engine;
  storage::Tables tables{};
  std::optional<snapshot::StreamFiles> streams;  // of an engine that keeps nothing on disk
  std::optional<mvcc::IndexSnapshot> index_snapshot;
  std::unique_ptr<mvcc::Store> store;
  apply::Alarms alarms;
  std::unique_ptr<cluster::Membership> membership;
  std::unique_ptr<cluster::RequestIds> ids;
  std::unique_ptr<apply::Applier> applier;
  std::unique_ptr<node::Node> node;
  std::unique_ptr<node::Persister> persister;
  std::unique_ptr<node::DiskWatch> disk_watch;
  std::unique_ptr<api::ReadPool> readers;
  std::unique_ptr<api::Dispatcher> dispatcher;
  std::unique_ptr<api::Server> server;
  std::unique_ptr<api::Http> http;
  std::vector<std::unique_ptr<plugin::Instance>> transports;

  std::vector<Module> modules;
  std::vector<std::string> urls;
  bool stopped = false;

  plugin::HostServices Services() {
    plugin::HostServices s;
    s.clock = &clock;
    s.pool = pool_thread.get();
    s.metrics = &metrics;
    s.fatal = hooks.fatal;
    return s;
  }

  void StartThreads();
  Result<std::unique_ptr<plugin::Instance>> LoadModule(const ModuleSpec& spec, const std::string& name,
                                                       tenon_cfg config,
                                                       const std::function<void(plugin::Host&)>& provide = nullptr);
  Status OpenEngine();
  Status OpenNode();
  Status WaitUntilReady();
  Status Announce();
  Status Serve();
  Status ProposeAndWait(apply::Field field, const google::protobuf::MessageLite& message, apply::Operation operation);
};

void Kernel::Parts::StartThreads() {
  node_thread = std::make_unique<Thread>("node");
  apply_thread = std::make_unique<Thread>("apply");
  persist_thread = std::make_unique<Thread>("persist");
  worker_thread = std::make_unique<Thread>("worker");
  pool_thread = std::make_unique<Thread>("pool");
  std::vector<Executor*> executors;
  for (int i = 0; i < 2; i++) {
    executors.push_back(reader_threads.emplace_back(std::make_unique<Thread>(fmt::format("read-{}", i))).get());
  }
  readers = std::make_unique<api::ReadPool>(std::move(executors));
}

Result<std::unique_ptr<plugin::Instance>> Kernel::Parts::LoadModule(const ModuleSpec& spec, const std::string& name,
                                                                    tenon_cfg config,
                                                                    const std::function<void(plugin::Host&)>& provide) {
  ASSIGN_OR_RETURN(const plugin::LoadedModule module, loader->Load(RequestOf(spec)));
  modules.push_back({spec.kind, module.desc->name, module.plugin->version, module.path});
  RegisterPluginInfo(metrics, spec.kind, module.desc->name, module.plugin->id, module.plugin->version);
  return plugin::Instance::Create(module, name, Services(), &config, provide);
}

Status Kernel::Parts::OpenEngine() {
  ASSIGN_OR_RETURN(storage_instance,
                   LoadModule(config.modules.storage, "storage", ToCfg(config.modules.storage.config)));
  ASSIGN_OR_RETURN(data, DataDir::Open(disk, config.data_dir, config.wal_dir, storage_instance->module().desc->name));
  const auto* table = static_cast<const tenon_storage_v1*>(storage_instance->module().vt);
  engine = std::make_unique<storage::Engine>(table, storage_instance->self());
  if (Status opened = engine->Open(data->engine()); !opened.ok()) {
    engine.reset();  // Stop closes only what is open
    return opened;
  }
  if (!engine->persistent()) {
    streams.emplace(disk, data->streams());
    RETURN_IF_ERROR(streams->Load(*engine));
  }
  ASSIGN_OR_RETURN(tables, storage::Tables::Open(*engine));
  mvcc::Store::Options options;
  options.record_cache_bytes = config.tenon_record_cache_bytes;
  options.view_max_age_ns = static_cast<uint64_t>(config.tenon_read_view_timeout_ns);
  options.index_snapshot = &index_snapshot.emplace(disk, data->index(), clock, mvcc::IndexSnapshot::Options());
  ASSIGN_OR_RETURN(store, mvcc::Store::Open(*engine, tables, clock, options));
  return alarms.Restore(*engine, tables.alarm);
}

Status Kernel::Parts::OpenNode() {
  ASSIGN_OR_RETURN(const apply::AppliedState applied, apply::ReadAppliedState(*engine, tables));
  wal::Options wal_options;
  wal_options.background = worker_thread.get();
  wal_options.clock = &clock;
  wal_options.sync = !config.unsafe_no_fsync;

  std::unique_ptr<wal::Wal> log;
  raft::Config raft;
  std::optional<std::pair<std::vector<raft::Entry>, raft::ConfState>> bootstrap;
  walpb::Metadata metadata;
  ASSIGN_OR_RETURN(const bool exists, wal::Wal::Exists(disk, data->wal()));
  if (!exists) {
    if (applied.index.value > 0) {
      return absl::DataLossError(
          fmt::format("the engine holds {} applied entries but there is no log in {}: restore the "
                      "log, or start with an empty data-dir",
                      applied.index.value, data->wal()));
    }
    cluster::Member self;
    self.name = config.name;
    self.peer_urls = Texts(config.initial_advertise_peer_urls);
    self.id = cluster::ComputeMemberId(self.peer_urls, config.initial_cluster_token);
    metadata.set_nodeid(self.id);
    metadata.set_clusterid(cluster::ComputeClusterId({self.id}));
    ASSIGN_OR_RETURN(log, wal::Wal::Create(disk, data->wal(), metadata.SerializeAsString(), wal_options));
    raft::ConfState conf;
    conf.voters = {self.id};
    bootstrap.emplace(std::vector<raft::Entry>{FoundingEntry(self)}, std::move(conf));
  } else {
    ASSIGN_OR_RETURN(const std::vector<raft::SnapshotMeta> snapshots, wal::Wal::Snapshots(disk, data->wal()));
    raft::SnapshotMeta from;
    for (const raft::SnapshotMeta& s : snapshots) {
      if (s.index <= applied.index && s.index >= from.index) from = s;
    }
    auto found = wal::Wal::Open(disk, data->wal(), from, applied.index, wal_options);
    if (absl::IsNotFound(found.status()) && streams) {
      return absl::DataLossError(fmt::format(
          "the newest sound stream in {} ends at index {}, and the log no longer reaches back that far ({}): restore a "
          "stream, or start with an empty data-dir",
          data->streams(), applied.index.value, Message(found.status())));
    }
    ASSIGN_OR_RETURN(auto opened, std::move(found));
    wal::Recovered& recovered = opened.second;
    if (recovered.dropped) {
      LOG_WARN("dropped the torn tail of the log: a crash left it half written, and nothing in it was acknowledged",
               {"file", recovered.dropped->file}, {"offset", recovered.dropped->offset},
               {"reason", recovered.dropped->why});
    }
    if (!metadata.ParseFromString(recovered.metadata))
      return absl::DataLossError("the log's metadata record is damaged");
    log = std::move(opened.first);
    raft.hard_state = recovered.hard_state;
    // All that the engine has was committed, whatever the last state on disk says (it may be a little older).
    raft.hard_state.commit = std::max(raft.hard_state.commit, applied.index);
    raft.compacted = from;
    raft.entries = std::move(recovered.entries);
    raft.applied = applied.index;
    raft.conf.voters = {metadata.nodeid()};
  }
  raft.id = metadata.nodeid();
  raft.seed = clock.WallNs() ^ metadata.nodeid();
  raft.election_ticks = static_cast<int>(config.election_timeout_ms / config.heartbeat_interval_ms);
  raft.pre_vote = config.pre_vote;

  membership = std::make_unique<cluster::Membership>(metadata.clusterid(), metadata.nodeid());
  RETURN_IF_ERROR(membership->Restore(*engine, tables));
  ids = std::make_unique<cluster::RequestIds>(metadata.nodeid(), clock.WallNs());
  apply::Applier::Options apply_options;
  apply_options.warning_ns = static_cast<uint64_t>(config.warning_apply_duration_ns);
  applier = std::make_unique<apply::Applier>(apply::Applier::Parts{*engine, tables, *store, alarms, *membership, clock,
                                                                   *apply_thread, *worker_thread, metrics, hooks.fatal},
                                             applied, apply_options);
  node::Node::Options node_options;
  node_options.tick_ns = config.heartbeat_interval_ms * 1'000'000;
  node_options.request_timeout_ns = RequestTimeoutNs(config);
  node = std::make_unique<node::Node>(node::Node::Parts{std::move(log), std::move(raft), std::move(bootstrap), *applier,
                                                        clock, *node_thread, *node_thread, metrics, hooks.fatal},
                                      node_options);
  return Ok();
}

Status Kernel::Parts::WaitUntilReady() {
  // A read that waits for all that was ever committed: the replay of the log is over when it returns.
  for (;;) {
    std::promise<Status> done;
    node->ReadBarrier([&](const Status& status) { done.set_value(status); });
    const Status status = done.get_future().get();
    if (status.ok()) return status;
    if (!absl::IsUnavailable(status)) return status;
    std::promise<void> tick;
    pool_thread->PostAfter(10'000'000, [&] { tick.set_value(); });
    tick.get_future().wait();
  }
}

Status Kernel::Parts::ProposeAndWait(apply::Field field, const google::protobuf::MessageLite& message,
                                     apply::Operation operation) {
  std::promise<Status> done;
  apply::Request request{ids->Next(), std::move(operation)};
  std::string entry = apply::EncodeEntry(request.id, field, message.SerializeAsString());
  node->Propose(std::make_shared<const apply::Proposal>(std::move(entry), std::move(request),
                                                        [&](const Status& status, Bufs) { done.set_value(status); }));
  return done.get_future().get();
}

Status Kernel::Parts::Announce() {
  const std::vector<std::string> client_urls = Texts(config.advertise_client_urls);
  for (const cluster::Member& m : membership->List()) {
    if (m.id != membership->self() || (m.name == config.name && m.client_urls == client_urls)) continue;
    membershippb::ClusterMemberAttrSetRequest request;
    request.set_member_id(m.id);
    request.mutable_member_attributes()->set_name(config.name);
    for (const std::string& url : client_urls) request.mutable_member_attributes()->add_client_urls(url);
    RETURN_IF_ERROR(ProposeAndWait(apply::Field::kClusterMemberAttrSet, request, request));
  }
  if (membership->version() != kClusterVersion) {
    membershippb::ClusterVersionSetRequest request;
    request.set_ver(std::string(kClusterVersion));
    RETURN_IF_ERROR(ProposeAndWait(apply::Field::kClusterVersionSet, request, request));
  }
  return Ok();
}

Status Kernel::Parts::Serve() {
  dispatcher = std::make_unique<api::Dispatcher>(
      clock, metrics, static_cast<uint64_t>(config.warning_unary_request_duration_ns),
      [this] { return node->state().leader != 0; }, config.metrics == "extensive");
  api::Limits limits;
  limits.max_request_bytes = config.max_request_bytes;
  limits.max_txn_ops = config.max_txn_ops;
  limits.quota_bytes = static_cast<int64_t>(QuotaBytes(config).value_or(0));
  server = std::make_unique<api::Server>(
      api::Server{*node, *applier, alarms, *store, *engine, *membership, *ids, *readers, clock, *worker_thread,
                  [this](uint64_t bytes) { return disk_watch->Admit(bytes); }, limits});
  RegisterKv(*dispatcher, *server);
  RegisterMaintenance(*dispatcher, *server);
  RegisterCluster(*dispatcher, *server);
  RegisterHealth(*dispatcher, *server);
  RegisterAbsent(*dispatcher);
  RegisterReflection(*dispatcher);
  api::Http::Options http_options;
  http_options.request_timeout_ns = RequestTimeoutNs(config);
  http_options.cors = config.cors;
  http_options.host_whitelist = config.host_whitelist;
  http_options.command_line = api::CommandLine();
  http = std::make_unique<api::Http>(api::HttpSourcesOf(*server), *pool_thread, metrics, std::move(http_options));
  dispatcher->SetHttp(http.get());

  for (size_t i = 0; i < config.modules.transports.size(); i++) {
    const ModuleSpec& spec = config.modules.transports[i];
    tenon_cfg cfg = ToCfg(spec.config);
    SetDefault(cfg, "max-request-bytes", fmt::format("{}", config.max_request_bytes));
    SetDefault(cfg, "max-concurrent-streams", fmt::format("{}", config.max_concurrent_streams));
    SetDefault(cfg, "grpc-keepalive-min-time", fmt::format("{}ns", config.grpc_keepalive_min_time_ns));
    SetDefault(cfg, "grpc-keepalive-interval", fmt::format("{}ns", config.grpc_keepalive_interval_ns));
    SetDefault(cfg, "grpc-keepalive-timeout", fmt::format("{}ns", config.grpc_keepalive_timeout_ns));
    ASSIGN_OR_RETURN(auto instance,
                     LoadModule(spec, fmt::format("transports[{}]", i), std::move(cfg), [this](plugin::Host& host) {
                       host.set_context(dispatcher.get());
                       host.Provide(TENON_HOST_DISPATCH, &api::Dispatcher::kTable);
                     }));
    const auto table = instance->Table<tenon_transport_v1>();
    ASSIGN_OR_RETURN(const std::vector<Listener> listeners, AgreedListeners(config, table, instance->self()));
    for (const Listener& listener : listeners) {
      tenon_error error{};
      error.size = sizeof error;
      const tenon_listener raw = ToAbi(listener);
      uint32_t id = 0;
      if (const tenon_status s = table.listen(instance->self(), &raw, &id, &error); s != TENON_OK) {
        return storage::ToStatus(s, &error, "transport: listen");
      }
      const std::string_view bound = storage::View(table.bound_url(instance->self(), id));
      if (listener.roles == TENON_LISTEN_METRICS) {
        LOG_INFO("serving metrics", {"address", bound});
      } else {
        urls.emplace_back(bound);
      }
    }
    RETURN_IF_ERROR(instance->Start());
    transports.push_back(std::move(instance));
  }
  return Ok();
}

// ---- the kernel ----

Kernel::Kernel(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Kernel>> Kernel::Start(const Config& config, Hooks hooks) {
  RaiseFileLimit();
  RETURN_IF_ERROR(RefuseUnbuilt(config.modules));
  std::unique_ptr<Kernel> kernel(new Kernel(std::make_unique<Parts>()));
  Parts& p = *kernel->parts_;
  p.config = config;
  p.hooks = std::move(hooks);
  p.StartThreads();
  p.loader = std::make_unique<plugin::Loader>(PluginDir(config), plugin::LoaderOptions{.services = p.Services()});
  RETURN_IF_ERROR(p.OpenEngine());
  RETURN_IF_ERROR(p.OpenNode());
  RegisterServerMetrics(p.metrics, {*p.store, *p.engine, *p.membership, p.alarms, QuotaBytes(config).value_or(0),
                                    p.storage_instance->module().desc->name});
  node::Persister::Options persist;
  persist.interval_ns = static_cast<uint64_t>(config.tenon_persist_interval_ns);
  persist.log_bytes = config.tenon_persist_bytes;
  persist.streams = p.streams ? &*p.streams : nullptr;
  persist.index_snapshot = &*p.index_snapshot;
  p.persister = std::make_unique<node::Persister>(*p.engine, *p.applier, *p.node, p.clock, *p.persist_thread, p.metrics,
                                                  p.hooks.fatal, persist);
  p.disk_watch = std::make_unique<node::DiskWatch>(p.disk, std::vector{p.data->path(), p.data->wal()},
                                                   config.tenon_disk_free_watermark_bytes, *p.worker_thread, *p.node,
                                                   *p.ids, p.membership->self(), p.alarms);
  p.node->Start();
  RETURN_IF_ERROR(p.WaitUntilReady());
  p.applier->StartServing();
  RETURN_IF_ERROR(p.Announce());
  p.persister->Start();
  p.disk_watch->Start();
  RETURN_IF_ERROR(p.Serve());
  return kernel;
}

void Kernel::Stop(int64_t grace_ns) {
  Parts& p = *parts_;
  if (std::exchange(p.stopped, true)) return;
  for (auto& transport : p.transports) {
    std::promise<void> drained;
    const auto table = transport->Table<tenon_transport_v1>();
    table.drain(transport->self(), grace_ns,
                {&drained, [](void* ctx, tenon_status, const tenon_error*, tenon_bufs result) {
                   TENON_RELEASE(result);
                   static_cast<std::promise<void>*>(ctx)->set_value();
                 }});
    drained.get_future().wait();
    transport->Stop();
  }
  // From here on nobody asks; what is under way runs to its end, thread by thread along the path of a write.
  if (p.disk_watch) p.disk_watch->Stop();
  if (p.persister) p.persister->Stop();
  if (p.node) p.node->Stop();
  for (auto& thread : p.reader_threads) thread->Stop();
  if (p.apply_thread) p.apply_thread->Stop();
  if (p.persister) p.persister->Final();
  for (Thread* thread : {p.node_thread.get(), p.persist_thread.get(), p.worker_thread.get(), p.pool_thread.get()}) {
    if (thread != nullptr) thread->Stop();
  }
  p.transports.clear();
  p.store.reset();
  if (p.engine) {
    if (const Status status = p.engine->Close(); !status.ok())
      LOG_ERROR("closing the engine failed", {"error", status});
  }
}

Kernel::~Kernel() { Stop(0); }

const std::vector<Kernel::Module>& Kernel::modules() const { return parts_->modules; }
const std::vector<std::string>& Kernel::urls() const { return parts_->urls; }
uint64_t Kernel::member_id() const { return parts_->membership->self(); }

std::vector<std::string> CheckModules(const Config& config) {
  std::vector<std::string> problems;
  plugin::Loader loader(PluginDir(config));
  if (const Status status = RefuseUnbuilt(config.modules); !status.ok()) problems.emplace_back(Message(status));
  for (const ModuleSpec* spec : config.modules.All()) {
    const Result<plugin::LoadedModule> module = loader.Load(RequestOf(*spec));
    if (!module.ok()) problems.emplace_back(Message(module.status()));
  }
  return problems;
}

}  // namespace tenon
