#include "kernel/node/log_writer.h"

#include <future>
#include <iterator>

#include "kernel/base/log.h"
#include "kernel/base/units.h"

namespace tenon::node {

LogWriter::LogWriter(std::unique_ptr<wal::Wal> wal, Executor& executor, Clock& clock, metrics::Registry& metrics,
                     std::function<void(Durable)> durable, std::function<void(Status)> fatal)
    : wal_(std::move(wal)),
      executor_(executor),
      clock_(clock),
      durable_(std::move(durable)),
      fatal_(std::move(fatal)),
      fsync_seconds_(metrics.NewHistogram("etcd_disk_wal_fsync_duration_seconds",
                                          "The latency distributions of fsync called by WAL.",
                                          metrics::ExponentialBuckets(0.001, 2, 14))),
      write_seconds_(metrics.NewHistogram("etcd_disk_wal_write_duration_seconds",
                                          "The latency distributions of write called by WAL.",
                                          metrics::ExponentialBuckets(0.001, 2, 14))),
      written_(metrics.NewGauge("etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.")) {}

void LogWriter::Write(Work work, bool may_run) {
  {
    std::lock_guard lock(mutex_);
    if (queue_.empty()) queued_ns_ = clock_.MonoNs();
    queue_.push_back(std::move(work));
    if (std::exchange(scheduled_, true)) return;
  }
  if (may_run) return executor_.RunOrPost([this] { Turn(); });
  executor_.Post([this] { Turn(); });
}

void LogWriter::Turn() {
  std::vector<Work> works;
  {
    std::lock_guard lock(mutex_);
    works.swap(queue_);
    taken_ns_ = queued_ns_;
    scheduled_ = false;
  }
  if (!failed_.ok()) return;
  failed_ = Carry(works);
  if (!failed_.ok()) return fatal_(failed_);
  {
    std::lock_guard lock(mutex_);
    taken_ns_ = 0;
  }

  Durable durable;
  for (Work& work : works) {
    std::move(work.after_append.begin(), work.after_append.end(), std::back_inserter(durable.messages));
    durable.restored |= work.snapshot.has_value() || work.adopts;
  }
  durable_(std::move(durable));
}

uint64_t LogWriter::BusySinceNs() const {
  std::lock_guard lock(mutex_);
  if (taken_ns_ != 0) return taken_ns_;
  return queue_.empty() ? 0 : queued_ns_;
}

Status LogWriter::Carry(std::vector<Work>& works) {
  bool must_sync = false;
  std::optional<Index> release;
  for (Work& work : works) {
    if (work.snapshot) RETURN_IF_ERROR(wal_->SaveSnapshot(*work.snapshot));
    RETURN_IF_ERROR(wal_->Append(work.hard_state ? &*work.hard_state : nullptr, work.entries));
    must_sync |= work.must_sync;
    if (!work.checkpoint) continue;
    RETURN_IF_ERROR(wal_->SaveSnapshot(*work.checkpoint));
    release = work.checkpoint->index;
    must_sync = true;
  }
  if (!must_sync) return Ok();  // a commit index alone goes out with the next entries
  RETURN_IF_ERROR(wal_->Sync());
  if (release) RETURN_IF_ERROR(wal_->ReleaseTo(*release));

  const wal::Stats& stats = wal_->stats();
  fsync_seconds_.Observe(static_cast<double>(stats.last_sync_ns) * 1e-9);
  write_seconds_.Observe(static_cast<double>(stats.last_write_ns) * 1e-9);
  written_.Add(static_cast<double>(stats.bytes_written - bytes_written_.load(std::memory_order_relaxed)));
  bytes_written_.store(stats.bytes_written, std::memory_order_relaxed);
  if (stats.last_sync_ns > 1'000'000'000) {
    LOG_WARN("slow fdatasync", {"took", FormatDurationNs(static_cast<int64_t>(stats.last_sync_ns))},
             {"expected-duration", "1s"});
  }
  return Ok();
}

Status LogWriter::Flush() {
  std::promise<Status> done;
  executor_.Post([&] {
    if (failed_.ok()) failed_ = wal_->Sync();
    done.set_value(failed_);
  });
  return done.get_future().get();
}

}  // namespace tenon::node
