#include "kernel/kernel.h"

#include <sys/resource.h>

#include <algorithm>
#include <future>

#include "kernel/api/dispatcher.h"
#include "kernel/api/http.h"
#include "kernel/api/server.h"
#include "kernel/auto_compactor.h"
#include "kernel/base/errors.h"
#include "kernel/base/log.h"
#include "kernel/base/units.h"
#include "kernel/config/schema.h"
#include "kernel/first_start.h"
#include "kernel/lease/module.h"
#include "kernel/listeners.h"
#include "kernel/member/member.h"
#include "kernel/member/raft_host.h"
#include "kernel/member/replacement.h"
#include "kernel/metrics/metrics.h"
#include "kernel/os/clock.h"
#include "kernel/os/disk.h"
#include "kernel/os/thread.h"
#include "kernel/peer/module.h"
#include "kernel/plugin/cfg.h"
#include "kernel/plugin/instance.h"
#include "kernel/plugin/loader.h"
#include "kernel/server_metrics.h"

namespace tenon {
namespace {

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
  static constexpr std::string_view kBuilt[] = {"storage",   "transport", "lease", "quota",
                                                "compactor", "service",   "peer"};
  for (const ModuleSpec* spec : modules.All()) {
    if (std::find(std::begin(kBuilt), std::end(kBuilt), spec->kind) == std::end(kBuilt)) {
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

uint64_t WatchProgressIntervalNs(const Config& config) {
  static constexpr int64_t kLeast = 100'000'000;  // etcd's
  if (config.watch_progress_notify_interval_ns >= kLeast) return uint64_t(config.watch_progress_notify_interval_ns);
  LOG_WARN("adjusting watch progress notify interval to minimum period",
           {"min-watch-progress-notify-interval", "100ms"});
  return kLeast;
}

// As etcd shows it: in bytes, negative for none.
int64_t ShownQuota(const Config& config) {
  return config.quota_backend_bytes == 0 ? static_cast<int64_t>(*QuotaBytes(config)) : config.quota_backend_bytes;
}

void RaiseFileLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

std::vector<std::string> Texts(const std::vector<Url>& urls) {
  std::vector<std::string> out;
  for (const Url& url : urls) out.push_back(url.text);
  return out;
}

}  // namespace

struct Kernel::Parts {
  Config config;
  Hooks hooks;

  // The outside world.
  OsDisk disk;
  OsClock clock;
  metrics::Registry metrics;

  std::unique_ptr<Thread> node_thread, wal_thread, apply_thread, persist_thread, worker_thread, pool_thread,
      watch_thread;
  std::vector<std::unique_ptr<Thread>> reader_threads;

  std::unique_ptr<plugin::Loader> loader;
  std::unique_ptr<plugin::Instance> storage_instance, quota_instance, compactor_instance;
  RaftHost lease_raft{{apply::Field::kLeaseRevoke, apply::Field::kLeaseCheckpoint}};
  std::unique_ptr<plugin::Instance> lease_instance;  // outlives the member, whose proposals may be its own
  std::optional<lease::Module> leases;
  peer::Module peers;
  std::unique_ptr<plugin::Instance> peer_instance;
  std::unique_ptr<Member> member;
  std::unique_ptr<AutoCompactor> compactor;
  std::unique_ptr<api::ReadPool> readers;
  std::unique_ptr<api::Dispatcher> dispatcher;
  std::unique_ptr<api::Server> server;
  std::unique_ptr<api::Http> http;
  std::vector<std::unique_ptr<plugin::Instance>> services, transports;

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
  Status LoadPeer();
  Status LoadLease();
  Status LoadQuota(Member::Options& options);
  Status StartCompactor();
  Status OpenMember();
  Status StartMember();
  Status LoadServices();
  Status Serve();
  void WatchLeader();
};

void Kernel::Parts::StartThreads() {
  node_thread = std::make_unique<Thread>("node");
  wal_thread = std::make_unique<Thread>("wal");
  apply_thread = std::make_unique<Thread>("apply");
  persist_thread = std::make_unique<Thread>("persist");
  worker_thread = std::make_unique<Thread>("worker");
  pool_thread = std::make_unique<Thread>("pool");
  watch_thread = std::make_unique<Thread>("watch");
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

Status Kernel::Parts::LoadLease() {
  const ModuleSpec& spec = config.modules.lease;
  if (spec.use.empty()) return Ok();
  ASSIGN_OR_RETURN(lease_instance, LoadModule(spec, "lease", ToCfg(spec.config), [this](plugin::Host& host) {
                     host.set_context(&lease_raft);
                     host.Provide(TENON_HOST_RAFT, &RaftHost::kTable);
                   }));
  leases.emplace(lease_instance->Table<tenon_lease_v1>(), lease_instance->self());
  return Ok();
}

Status Kernel::Parts::OpenMember() {
  ASSIGN_OR_RETURN(storage_instance,
                   LoadModule(config.modules.storage, "storage", ToCfg(config.modules.storage.config)));
  const auto* table = static_cast<const tenon_storage_v1*>(storage_instance->module().vt);
  Member::Options o;
  o.data_dir = config.data_dir;
  o.wal_dir = config.wal_dir;
  o.engine = storage_instance->module().desc->name;
  o.name = config.name;
  o.client_urls = Texts(config.advertise_client_urls);
  o.peer_urls = Texts(config.initial_advertise_peer_urls);
  o.cluster_token = config.initial_cluster_token;
  RETURN_IF_ERROR(LoadPeer());
  Peers* const others = peer_instance ? &peers : nullptr;
  RETURN_IF_ERROR(PrepareFirstStart(config, disk, others, o));
  o.force_new_cluster = config.force_new_cluster;
  o.log_sync = !config.unsafe_no_fsync;
  o.election_ticks = static_cast<int>(config.election_timeout_ms / config.heartbeat_interval_ms);
  o.pre_vote = config.pre_vote;
  o.record_cache_bytes = config.tenon_record_cache_bytes;
  o.watch.progress_interval_ns = WatchProgressIntervalNs(config);
  o.view_max_age_ns = static_cast<uint64_t>(config.tenon_read_view_timeout_ns);
  o.apply.warning_ns = static_cast<uint64_t>(config.warning_apply_duration_ns);
  o.node.tick_ns = config.heartbeat_interval_ms * 1'000'000;
  o.node.request_timeout_ns = RequestTimeoutNs(config);
  o.node.log_entries_for_followers = std::max<uint64_t>(config.snapshot_catchup_entries, 1000);
  o.persist_interval_ns = static_cast<uint64_t>(config.tenon_persist_interval_ns);
  o.persist_log_bytes = config.tenon_persist_bytes;
  o.disk_watermark = config.tenon_disk_free_watermark_bytes;
  o.fetch.bytes_per_s = config.tenon_state_fetch_bytes_per_s;
  RETURN_IF_ERROR(LoadLease());
  RETURN_IF_ERROR(LoadQuota(o));
  const auto open = [&] {
    return Member::Open(
        {disk, clock, metrics, *node_thread, *wal_thread, *apply_thread, *persist_thread, *worker_thread, *watch_thread,
         *reader_threads[0], hooks.fatal, leases ? &*leases : nullptr, others, hooks.restart, hooks.removed},
        std::make_unique<storage::Engine>(table, storage_instance->self()), o);
  };
  Result<std::unique_ptr<Member>> opened = open();
  if (absl::IsDataLoss(opened.status()) && others != nullptr && !config.force_new_cluster) {
    RETURN_IF_ERROR(PrepareWithoutState(config, disk, *others, opened.status(), hooks.interrupted, o));
    opened = open();
  }
  ASSIGN_OR_RETURN(member, std::move(opened));
  peers.SetSelf(member->membership().cluster_id(), member->membership().self());
  return Ok();
}

Status Kernel::Parts::LoadPeer() {
  const ModuleSpec& spec = config.modules.peer;
  if (spec.use.empty()) return Ok();
  ASSIGN_OR_RETURN(peer_instance, LoadModule(spec, "peer", ToCfg(spec.config), [this](plugin::Host& host) {
                     host.set_context(&peers);
                     host.Provide(TENON_HOST_PEER, &peer::Module::kHostTable);
                   }));
  peers.Attach(peer_instance->Table<tenon_peer_v1>(), peer_instance->self());
  std::vector<Listener> listeners;
  for (const Url& url : config.listen_peer_urls) listeners.push_back({url.text, TENON_LISTEN_PEER});
  std::vector<tenon_listener> raw;
  for (const Listener& l : listeners) raw.push_back(ToAbi(l));
  RETURN_IF_ERROR(peers.Check(raw));
  for (const tenon_listener& l : raw) {
    ASSIGN_OR_RETURN(const std::string bound, peers.Listen(l));
    LOG_INFO("serving peer traffic", {"address", bound});
  }
  return peer_instance->Start();
}

Status Kernel::Parts::LoadQuota(Member::Options& options) {
  const ModuleSpec& spec = config.modules.quota;
  if (spec.use.empty()) return Ok();
  ASSIGN_OR_RETURN(quota_instance, LoadModule(spec, "quota", ToCfg(spec.config)));
  RETURN_IF_ERROR(quota_instance->Start());
  options.quota = quota_instance->Table<tenon_quota_v1>();
  options.quota_self = quota_instance->self();
  options.quota_bytes = QuotaBytes(config).value_or(0);
  return Ok();
}

// The module's own section beats etcd's flags, which are one setting in two.
Status Kernel::Parts::StartCompactor() {
  const ModuleSpec& spec = config.modules.compactor;
  if (spec.use.empty()) return Ok();
  tenon_cfg cfg = ToCfg(spec.config);
  if (spec.config.Find("mode") == nullptr && spec.config.Find("retention") == nullptr) {
    ASSIGN_OR_RETURN(const int64_t retention, AutoCompactionRetention(config));
    SetDefault(cfg, "mode", config.auto_compaction_mode);
    SetDefault(cfg, "retention", fmt::format("{}{}", retention, config.auto_compaction_mode == "periodic" ? "ns" : ""));
  }
  ASSIGN_OR_RETURN(compactor_instance, LoadModule(spec, "compactor", std::move(cfg)));
  RETURN_IF_ERROR(compactor_instance->Start());
  compactor = std::make_unique<AutoCompactor>(AutoCompactor::Parts{
      compactor_instance->Table<tenon_compactor_v1>(), compactor_instance->self(), clock, *pool_thread,
      [this] { return member->node().state().leader == member->membership().self(); },
      [this] {
        const tenon_storage_stats stats = member->engine().Stats();
        tenon_compact_in in{};
        in.size = sizeof in;
        in.revision = member->store().revision();
        in.compact_revision = member->store().compact_revision();
        in.db_size = stats.size_bytes;
        in.db_in_use = stats.size_in_use_bytes;
        in.limit = QuotaBytes(config).value_or(0);
        return in;
      },
      [this](int64_t revision, absl::AnyInvocable<void(Status)> done) {
        etcdserverpb::CompactionRequest request;
        request.set_revision(revision);
        member->Propose(apply::Field::kCompaction, request, request,
                        [done = std::move(done)](const Status& status, Bufs) mutable { done(status); });
      }});
  compactor->Start();
  return Ok();
}

Status Kernel::Parts::StartMember() {
  lease_raft.Attach(*member);
  if (lease_instance) RETURN_IF_ERROR(lease_instance->Start());
  // Shared with the member, which may become ready when nobody waits any more.
  const auto ready = std::make_shared<std::promise<Status>>();
  std::future<Status> answer = ready->get_future();
  member->Start([ready](const Status& status) { ready->set_value(status); });
  // Of several members a quorum must be there first, and may never come.
  while (answer.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    if (hooks.interrupted && hooks.interrupted()) return absl::CancelledError("stopped before the cluster was ready");
  }
  return answer.get();
}

Status Kernel::Parts::LoadServices() {
  for (size_t i = 0; i < config.modules.services.size(); i++) {
    const ModuleSpec& spec = config.modules.services[i];
    ASSIGN_OR_RETURN(auto instance,
                     LoadModule(spec, fmt::format("services[{}]", i), ToCfg(spec.config), [this](plugin::Host& host) {
                       host.set_context(dispatcher.get());
                       host.Provide(TENON_HOST_CALL, &api::Dispatcher::kCallTable);
                     }));
    if (const Status added = dispatcher->AddService(spec.use, instance->Table<tenon_service_v1>(), instance->self());
        !added.ok()) {
      return Status(added.code(), fmt::format("{}: {}", spec.where, Message(added)));
    }
    services.push_back(std::move(instance));
  }
  return Ok();
}

void Kernel::Parts::WatchLeader() {
  pool_thread->PostAfter(config.election_timeout_ms * 1'000'000, [this] {
    dispatcher->WatchLeader();
    WatchLeader();
  });
}

Status Kernel::Parts::Serve() {
  dispatcher = std::make_unique<api::Dispatcher>(
      clock, *pool_thread, metrics, static_cast<uint64_t>(config.warning_unary_request_duration_ns),
      [this] { return member->node().state().leader != 0; }, config.metrics == "extensive");
  api::Limits limits;
  limits.max_request_bytes = config.max_request_bytes;
  limits.max_txn_ops = config.max_txn_ops;
  // etcd's: one and a half election timeouts.
  const uint64_t ticks = 3 * (config.election_timeout_ms / config.heartbeat_interval_ms) / 2;
  limits.min_lease_ttl_s = static_cast<int64_t>((ticks * config.heartbeat_interval_ms + 999) / 1000);
  limits.quota_bytes = ShownQuota(config);
  server = std::make_unique<api::Server>(
      api::Server{member->node(),
                  member->applier(),
                  member->alarms(),
                  member->store(),
                  member->engine(),
                  member->membership(),
                  member->ids(),
                  *readers,
                  clock,
                  *worker_thread,
                  [this](uint64_t bytes) { return member->Admit(bytes); },
                  member->quota(),
                  [this](absl::AnyInvocable<void()> done) { member->RaiseNoSpace(std::move(done)); },
                  limits,
                  leases ? &*leases : nullptr,
                  member->peers(),
                  &member->peer_desk(),
                  [this](cluster::MemberChange change, absl::AnyInvocable<void(Status)> done) {
                    member->ProposeChange(std::move(change), std::move(done));
                  },
                  config.strict_reconfig_check,
                  RequestTimeoutNs(config)});
  dispatcher->SetLearner([this] { return member->membership().is_learner(); });
  dispatcher->SetDamaged([this] { return member->healing(); });
  RegisterKv(*dispatcher, *server);
  RegisterWatch(*dispatcher, *server, member->watch());
  RegisterMaintenance(*dispatcher, *server);
  RegisterCluster(*dispatcher, *server);
  RegisterHealth(*dispatcher, *server);
  if (server->leases != nullptr) RegisterLease(*dispatcher, *server);
  RETURN_IF_ERROR(LoadServices());
  RegisterAbsent(*dispatcher, *server);
  RegisterReflection(*dispatcher);
  api::Http::Options http_options;
  http_options.request_timeout_ns = RequestTimeoutNs(config);
  http_options.cors = config.cors;
  http_options.host_whitelist = config.host_whitelist;
  http_options.command_line = api::CommandLine();
  http = std::make_unique<api::Http>(api::HttpSourcesOf(*server), *pool_thread, metrics, std::move(http_options));
  dispatcher->SetHttp(http.get());
  for (auto& service : services) RETURN_IF_ERROR(service->Start());
  WatchLeader();

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
  RETURN_IF_ERROR(p.OpenMember());
  RegisterServerMetrics(
      p.metrics, {p.member->store(), p.member->watch(), p.member->engine(), p.member->membership(), p.member->alarms(),
                  static_cast<double>(ShownQuota(config)), p.storage_instance->module().desc->name});
  RETURN_IF_ERROR(p.StartMember());
  // What a replacement was to lead to: until then tenonutl goes on with it.
  if (!p.member->membership().is_learner()) RETURN_IF_ERROR(Replacement::Remove(p.disk, config.data_dir));
  RETURN_IF_ERROR(p.StartCompactor());
  RETURN_IF_ERROR(p.Serve());
  return kernel;
}

void Kernel::Stop(int64_t grace_ns) {
  Parts& p = *parts_;
  if (std::exchange(p.stopped, true)) return;
  if (p.member && p.peer_instance) p.member->HandOver();
  if (p.dispatcher) p.dispatcher->Stop(errors::Stopped());  // a stream may never end by itself
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
  for (auto& service : p.services) service->Stop();
  if (p.compactor) p.compactor->Stop();
  // From here on nobody asks; what is under way runs to its end.
  if (p.member) {
    p.member->Stop([&] {
      for (auto& thread : p.reader_threads) thread->Stop();
      p.apply_thread->Stop();
    });
    // All that it proposed was answered; what it proposes from now on is refused.
    if (p.lease_instance) p.lease_instance->Stop();
  }
  if (p.peer_instance) {
    p.peers.Drain(0);
    p.peer_instance->Stop();
  }
  const std::vector<Thread*> threads = {p.node_thread.get(),    p.wal_thread.get(),    p.apply_thread.get(),
                                        p.persist_thread.get(), p.worker_thread.get(), p.pool_thread.get(),
                                        p.watch_thread.get()};
  for (auto& thread : p.reader_threads) thread->Stop();
  for (Thread* thread : threads) {
    if (thread != nullptr) thread->Stop();
  }
  p.transports.clear();
  if (p.member) {
    if (const Status status = p.member->Close(); !status.ok())
      LOG_ERROR("closing the engine failed", {"error", status});
  }
}

Kernel::~Kernel() { Stop(0); }

const std::vector<Kernel::Module>& Kernel::modules() const { return parts_->modules; }
const std::vector<std::string>& Kernel::urls() const { return parts_->urls; }
uint64_t Kernel::member_id() const { return parts_->member->membership().self(); }

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
