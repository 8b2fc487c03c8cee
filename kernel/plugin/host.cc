#include "kernel/plugin/host.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/plugin/abi_status.h"
#include "kernel/plugin/threads.h"

namespace tenon::plugin {
namespace {

constexpr size_t kMaxMetrics = 1024;

std::string_view View(tenon_slice slice) { return {reinterpret_cast<const char*>(slice.p), slice.n}; }

struct Metric {
  int type;
  metrics::Counter counter;
  metrics::Gauge gauge;
  metrics::Histogram histogram;
};

struct Timer {
  uint64_t id;
  uint64_t period_ns;
  void (*fn)(void* ctx, uint64_t id);
  void* ctx;
  bool cancelled = false;
  bool running = false;
  std::thread::id runner;  // while running
};

struct Work {
  void (*fn)(void* ctx);
  void* ctx;
};

}  // namespace

// Shared with the closures that wait in the pool: they may outlive the host, and then find nothing to do.
struct Host::State : std::enable_shared_from_this<Host::State> {
  tenon_host abi{};
  HostName name;
  HostServices services;
  Host* owner = nullptr;

  std::vector<std::pair<std::string, const void*>> provided;  // before create only

  std::mutex metrics_mutex;
  std::array<std::atomic<Metric*>, kMaxMetrics> metrics{};  // handle - 1; written once each
  std::vector<std::unique_ptr<Metric>> owned_metrics;
  std::map<std::string, uint32_t> handles;  // by name and labels
  // What this module asks of the pool; without a kind (in tests) nobody counts.
  metrics::Counter tasks, refused_tasks, timer_runs;

  mutable std::mutex mutex;  // of all below; never held while plugin code runs
  std::condition_variable changed;
  bool closed = false;
  std::map<std::pair<int, uint64_t>, Work> posted;  // by (-priority, order)
  uint64_t next_order = 1;
  size_t running_posts = 0;
  std::map<uint64_t, std::shared_ptr<Timer>> timers;
  uint64_t next_timer = 1;

  const void* Get(std::string_view id) const;
  void RunOne();
  void RunTimer(const std::shared_ptr<Timer>& timer);
  void Arm(const std::shared_ptr<Timer>& timer, uint64_t delay_ns);
  void Forbid(const char* function) const;
};

namespace {

Host::State& StateOf(const tenon_host* host) { return *static_cast<Host::State*>(host->priv); }

// --- log ---

LogLevel LevelOf(int level) { return static_cast<LogLevel>(std::clamp<int>(level, TENON_LOG_DEBUG, TENON_LOG_ERROR)); }

int LogIsEnabled(const tenon_host*, int level) { return LogEnabled(LevelOf(level)) ? 1 : 0; }

void LogWrite(const tenon_host* host, int level, tenon_slice msg, const tenon_kv* fields, size_t n) {
  if (!LogEnabled(LevelOf(level))) return;
  const Host::State& state = StateOf(host);
  std::vector<LogField> all;
  all.reserve(n + 2);
  all.emplace_back("plugin", state.name.plugin);
  all.emplace_back("instance", state.name.instance);
  for (size_t i = 0; i < n; i++) all.emplace_back(View(fields[i].key), View(fields[i].val));
  WriteLog(LevelOf(level), __FILE__, __LINE__, View(msg), all.data(), all.size());
}

constexpr tenon_host_log_v1 kLogTable = {sizeof(tenon_host_log_v1), LogIsEnabled, LogWrite};

// --- metrics ---

uint32_t MetricDefine(const tenon_host* host, int type, const char* name, const char* help, const char* const* labels,
                      size_t n, const double* buckets, size_t n_buckets) {
  Host::State& state = StateOf(host);
  const auto refuse = [&](std::string_view why) {
    LOG_WARN("a plugin's metric was refused", {"plugin", state.name.plugin}, {"instance", state.name.instance},
             {"metric", name == nullptr ? "" : name}, {"error", why});
    return 0u;
  };
  if (name == nullptr) return refuse("it has no name");
  if (type != TENON_COUNTER && type != TENON_GAUGE && type != TENON_HISTOGRAM) return refuse("unknown metric type");
  metrics::Labels pairs;
  std::string key = fmt::format("{}:{}", type, name);
  for (size_t i = 0; i < n; i++) {
    pairs.emplace_back(labels[2 * i], labels[2 * i + 1]);
    key += fmt::format("\x01{}\x02{}", labels[2 * i], labels[2 * i + 1]);
  }
  // Names that plugins share (a queue's length, bytes): the labels tell whose they are.
  if (std::string_view(name).starts_with("tenon_plugin_")) {
    pairs.emplace_back("kind", state.name.kind);
    pairs.emplace_back("name", state.name.module);
  }
  const std::string text = help == nullptr ? "" : help;

  std::lock_guard lock(state.metrics_mutex);
  if (const auto known = state.handles.find(key); known != state.handles.end()) return known->second;
  if (state.owned_metrics.size() == kMaxMetrics) return refuse(fmt::format("more than {} metrics", kMaxMetrics));
  auto metric = std::make_unique<Metric>();
  metric->type = type;
  Status made = Ok();
  const auto take = [&made](auto& to, auto result) {
    if (result.ok()) {
      to = *result;
    } else {
      made = result.status();
    }
  };
  if (type == TENON_COUNTER) take(metric->counter, state.services.metrics->TryCounter(name, text, pairs));
  if (type == TENON_GAUGE) take(metric->gauge, state.services.metrics->TryGauge(name, text, pairs));
  if (type == TENON_HISTOGRAM) {
    take(metric->histogram,
         state.services.metrics->TryHistogram(name, text, std::vector<double>(buckets, buckets + n_buckets), pairs));
  }
  if (!made.ok()) return refuse(Message(made));
  state.metrics[state.owned_metrics.size()].store(metric.get(), std::memory_order_release);
  state.owned_metrics.push_back(std::move(metric));
  const auto handle = static_cast<uint32_t>(state.owned_metrics.size());
  state.handles.emplace(std::move(key), handle);
  return handle;
}

Metric* MetricOf(const tenon_host* host, uint32_t handle) {
  return handle == 0 || handle > kMaxMetrics ? nullptr
                                             : StateOf(host).metrics[handle - 1].load(std::memory_order_acquire);
}

void MetricAdd(const tenon_host* host, uint32_t handle, double value) {
  Metric* metric = MetricOf(host, handle);
  if (metric == nullptr) return;
  metric->type == TENON_COUNTER ? metric->counter.Add(value) : metric->gauge.Add(value);
}

void MetricSet(const tenon_host* host, uint32_t handle, double value) {
  if (Metric* metric = MetricOf(host, handle)) metric->gauge.Set(value);
}

void MetricObserve(const tenon_host* host, uint32_t handle, double value) {
  if (Metric* metric = MetricOf(host, handle)) metric->histogram.Observe(value);
}

constexpr tenon_host_metrics_v1 kMetricsTable = {sizeof(tenon_host_metrics_v1), MetricDefine, MetricAdd, MetricSet,
                                                 MetricObserve};

// --- exec ---

tenon_status ExecPost(const tenon_host* host, int priority, void (*fn)(void*), void* ctx) {
  Host::State& state = StateOf(host);
  state.Forbid("exec.post");
  {
    std::lock_guard lock(state.mutex);
    if (state.closed || state.posted.size() >= state.services.max_posted) {
      state.refused_tasks.Add();
      return TENON_EXHAUSTED;
    }
    state.posted.emplace(std::pair(-priority, state.next_order++), Work{fn, ctx});
  }
  state.services.pool->Post([self = state.shared_from_this()] { self->RunOne(); });
  return TENON_OK;
}

uint64_t ExecTimer(const tenon_host* host, int64_t delay_ns, int64_t period_ns, void (*fn)(void*, uint64_t),
                   void* ctx) {
  Host::State& state = StateOf(host);
  state.Forbid("exec.timer");
  auto timer = std::make_shared<Timer>();
  timer->period_ns = period_ns > 0 ? static_cast<uint64_t>(period_ns) : 0;
  timer->fn = fn;
  timer->ctx = ctx;
  {
    std::lock_guard lock(state.mutex);
    timer->id = state.next_timer++;
    if (state.closed) return timer->id;  // never 0; it will not run
    state.timers.emplace(timer->id, timer);
  }
  state.Arm(timer, delay_ns > 0 ? static_cast<uint64_t>(delay_ns) : 0);
  return timer->id;
}

void ExecTimerCancel(const tenon_host* host, uint64_t id) {
  Host::State& state = StateOf(host);
  state.Forbid("exec.timer_cancel");
  std::unique_lock lock(state.mutex);
  const auto found = state.timers.find(id);
  if (found == state.timers.end()) return;
  const std::shared_ptr<Timer> timer = found->second;
  timer->cancelled = true;
  if (!timer->running) {
    state.timers.erase(found);
    return;
  }
  if (timer->runner == std::this_thread::get_id()) return;  // inside fn: RunTimer forgets it
  state.changed.wait(lock, [&] { return !timer->running; });
}

uint64_t ExecMonoNs(const tenon_host* host) {
  StateOf(host).Forbid("exec.mono_ns");
  return StateOf(host).services.clock->MonoNs();
}
uint64_t ExecWallNs(const tenon_host* host) {
  StateOf(host).Forbid("exec.wall_ns");
  return StateOf(host).services.clock->WallNs();
}

int ExecThreadIs(const tenon_host*, int tag) { return OnThread(tag) ? 1 : 0; }

constexpr tenon_host_exec_v1 kExecTable = {
    sizeof(tenon_host_exec_v1), ExecPost, ExecTimer, ExecTimerCancel, ExecMonoNs, ExecWallNs, ExecThreadIs};

// --- the host itself ---

const void* HostGet(const tenon_host* host, const char* id) { return id == nullptr ? nullptr : StateOf(host).Get(id); }

const char* HostKernelVersion(const tenon_host* host) { return StateOf(host).services.kernel_version; }

void HostFatal(const tenon_host* host, const tenon_error* error) {
  const Host::State& state = StateOf(host);
  const Status cause = FromAbi(error == nullptr || error->code == TENON_OK ? TENON_FATAL : error->code, error);
  const Status status(cause.code(), fmt::format("module {} of plugin {} cannot go on: {}", state.name.instance,
                                                state.name.plugin, Message(cause)));
  LOG_ERROR("a plugin asked to stop this member", {"plugin", state.name.plugin}, {"instance", state.name.instance},
            {"error", status});
  if (state.services.fatal) state.services.fatal(status);
}

}  // namespace

const void* Host::State::Get(std::string_view id) const {
  for (const auto& [name, table] : provided) {
    if (name == id) return table;
  }
  if (id == TENON_HOST_LOG) return services.log ? &kLogTable : nullptr;
  if (id == TENON_HOST_CONFIG) return services.config ? &kConfigTable : nullptr;
  if (id == TENON_HOST_METRICS) return services.metrics != nullptr ? &kMetricsTable : nullptr;
  if (id == TENON_HOST_EXEC) return services.pool != nullptr && services.clock != nullptr ? &kExecTable : nullptr;
  return nullptr;
}

// What is [any but apply] makes members diverge when [apply] uses it.
void Host::State::Forbid(const char* function) const {
  if (!OnlyOnThread(TENON_ON_APPLY)) return;
  LOG_ERROR("plugin misbehaving: it called a function that [apply] may not call", {"plugin", name.plugin},
            {"instance", name.instance}, {"function", function});
#ifdef TENON_DEBUG_ABI
  CheckFailed(__FILE__, __LINE__, fmt::format("plugin {} called {} on [apply]", name.plugin, function));
#endif
}

// One task of the pool stands for one posted work, but which one is decided here, by priority.
void Host::State::RunOne() {
  Work work;
  {
    std::lock_guard lock(mutex);
    if (posted.empty()) return;  // Drain ran it
    work = posted.begin()->second;
    posted.erase(posted.begin());
    running_posts++;
  }
  {
    ThreadTag tag(TENON_ON_POOL);
    work.fn(work.ctx);
  }
  tasks.Add();
  std::lock_guard lock(mutex);
  running_posts--;
  changed.notify_all();
}

void Host::State::Arm(const std::shared_ptr<Timer>& timer, uint64_t delay_ns) {
  services.pool->PostAfter(delay_ns, [self = shared_from_this(), timer] { self->RunTimer(timer); });
}

void Host::State::RunTimer(const std::shared_ptr<Timer>& timer) {
  {
    std::lock_guard lock(mutex);
    if (timer->cancelled) return;
    timer->running = true;
    timer->runner = std::this_thread::get_id();
  }
  {
    ThreadTag tag(TENON_ON_POOL);
    timer->fn(timer->ctx, timer->id);
  }
  timer_runs.Add();
  bool again = false;
  {
    std::lock_guard lock(mutex);
    timer->running = false;
    again = timer->period_ns > 0 && !timer->cancelled;
    if (!again) timers.erase(timer->id);
    changed.notify_all();
  }
  // Armed only now, so that runs never overlap and a slow one delays the next instead of piling up.
  if (again) Arm(timer, timer->period_ns);
}

Host::Host(HostName name, HostServices services) : state_(std::make_shared<State>()) {
  state_->name = std::move(name);
  state_->services = std::move(services);
  state_->abi.size = sizeof(tenon_host);
  state_->abi.abi_major = TENON_ABI_MAJOR;
  state_->abi.abi_minor = TENON_ABI_MINOR;
  state_->abi.priv = state_.get();
  state_->abi.get = HostGet;
  state_->abi.kernel_version = HostKernelVersion;
  state_->abi.fatal = HostFatal;
  state_->owner = this;
  if (state_->services.metrics == nullptr || state_->name.kind.empty()) return;
  const metrics::Labels labels = {{"kind", state_->name.kind}, {"name", state_->name.module}};
  metrics::Registry& registry = *state_->services.metrics;
  state_->tasks = registry.NewCounter("tenon_plugin_tasks_total", "Work of a module that the pool ran.", labels);
  state_->refused_tasks = registry.NewCounter("tenon_plugin_tasks_refused_total",
                                              "Work of a module that the pool had no room for.", labels);
  state_->timer_runs = registry.NewCounter("tenon_plugin_timer_runs_total", "Runs of a module's timers.", labels);
}

Host::~Host() { Close(); }

Host& Host::From(const tenon_host* host) { return *StateOf(host).owner; }

const tenon_host* Host::abi() const { return &state_->abi; }
const HostName& Host::name() const { return state_->name; }

void Host::Provide(const char* id, const void* table) {
  std::erase_if(state_->provided, [&](const auto& entry) { return entry.first == id; });
  state_->provided.emplace_back(id, table);
}

void Host::Drain() {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  const uint64_t before = state.next_order;  // work posted by the work itself is not ours to wait for
  for (;;) {
    const auto next = std::find_if(state.posted.begin(), state.posted.end(),
                                   [&](const auto& entry) { return entry.first.second < before; });
    if (next == state.posted.end()) break;
    const Work work = next->second;
    state.posted.erase(next);
    lock.unlock();
    {
      ThreadTag tag(TENON_ON_POOL);
      work.fn(work.ctx);
    }
    lock.lock();
  }
  state.changed.wait(lock, [&] { return state.running_posts == 0; });
}

void Host::Close() {
  State& state = *state_;
  {
    std::unique_lock lock(state.mutex);
    state.closed = true;
    std::vector<std::shared_ptr<Timer>> running;
    for (auto& [id, timer] : state.timers) {
      timer->cancelled = true;
      if (timer->running) running.push_back(timer);
    }
    state.timers.clear();
    state.changed.wait(lock, [&] {
      return std::none_of(running.begin(), running.end(), [](const auto& timer) { return timer->running; });
    });
  }
  Drain();
}

size_t Host::pending() const {
  std::lock_guard lock(state_->mutex);
  return state_->posted.size() + state_->running_posts + state_->timers.size();
}

}  // namespace tenon::plugin
