#include "kernel/node/persister.h"

#include <algorithm>
#include <future>

#include "kernel/base/log.h"
#include "kernel/base/mutant.h"

namespace tenon::node {

Persister::Persister(storage::Engine& engine, apply::Applier& applier, Node& node, Clock& clock, Executor& executor,
                     metrics::Registry& metrics, std::function<void(Status)> fatal, Options options)
    : engine_(engine),
      applier_(applier),
      node_(node),
      clock_(clock),
      executor_(executor),
      fatal_(std::move(fatal)),
      options_(options),
      last_ns_(clock.MonoNs()),
      log_bytes_behind_(options.log_bytes_behind),
      durable_(engine.DurableIndex()),
      seconds_(metrics.NewHistogram("etcd_disk_backend_commit_duration_seconds",
                                    "The latency distributions of commit called by backend.",
                                    metrics::ExponentialBuckets(0.001, 2, 14))) {}

void Persister::Start() {
  executor_.Post([this] { Look(); });
}

void Persister::Stop() {
  stopped_ = true;
  std::promise<void> idle;
  executor_.Post([&] { idle.set_value(); });
  idle.get_future().wait();
}

void Persister::Look() {
  if (stopped_) return;
  const bool interval = engine_.persistent() && clock_.MonoNs() - last_ns_ >= options_.interval_ns;
  const bool bytes = node_.log_bytes_written() - last_log_bytes_ + log_bytes_behind_ >= options_.log_bytes;
  // What a compaction removed is no entry, but only a persist gives its place back to the engine.
  const bool changed = applier_.applied() > last_applied_ || applier_.removals() != last_removals_;
  if (Persists() && (interval || bytes) && changed) Persist(false);
  SaveIndexIfDue();
  executor_.PostAfter(std::min<uint64_t>(options_.interval_ns, 250'000'000), [this] { Look(); });
}

void Persister::SaveIndexIfDue() {
  if (options_.index_snapshot == nullptr) return;
  // A cache: without it the next start is slower, no more.
  if (const Status status = options_.index_snapshot->WriteIfDue(); !status.ok()) {
    LOG_WARN("cannot write the index snapshot", {"error", status});
  }
}

void Persister::BeforeRemoval(absl::AnyInvocable<void()> done) {
  executor_.Post([this, done = std::move(done)]() mutable {
    SaveIndexIfDue();
    done();
  });
}

void Persister::Persist(bool force) {
  const uint64_t start = clock_.MonoNs();
  last_ns_ = start;
  last_log_bytes_ = node_.log_bytes_written();
  log_bytes_behind_ = 0;
  last_removals_ = applier_.removals();
  last_applied_ = applier_.applied();
  if (!engine_.persistent()) {
    SaveStream();
  } else {
    const Result<Index> durable = [&] {
      if (!(engine_.features() & TENON_ST_HOLD_DELETES)) return engine_.Persist(force);
      std::lock_guard no_deletes(applier_.deletes_mutex());
      return engine_.Persist(force);
    }();
    if (!durable.ok()) return fatal_(durable.status());
    Release(*durable);
  }
  seconds_.Observe(static_cast<double>(clock_.MonoNs() - start) * 1e-9);
}

void Persister::SaveStream() {
  const Result<Index> kept = options_.streams->Save(engine_, last_applied_);
  if (kept.ok()) return Release(*kept);
  // The log still holds everything, so nothing is lost; it grows until a file can be written.
  LOG_ERROR("cannot write the engine's stream: the log is kept instead", {"error", kept.status()});
}

void Persister::Release(Index durable) {
  if (durable <= durable_) return;
  durable_ = durable;
  if (!stopped_) node_.Persisted(Planted(Mutant::kLogReleasedEarly) ? last_applied_ : durable_);
}

void Persister::Final() {
  if (!Persists()) return;
  std::promise<void> done;
  executor_.Post([&] {
    Persist(true);
    if (options_.index_snapshot != nullptr) {
      if (const Status status = options_.index_snapshot->WriteIfChanged(); !status.ok()) {
        LOG_WARN("cannot write the index snapshot", {"error", status});
      }
    }
    done.set_value();
  });
  done.get_future().wait();
  node_.Checkpoint(durable_);
}

}  // namespace tenon::node
