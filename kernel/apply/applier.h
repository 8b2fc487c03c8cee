// Carries out committed entries, in order, on the apply thread.
//
// A turn takes all entries that wait: their changes and the applied index go into the engine as one batch (or a few, if
// there are many), then the new revision is published, then the callers are answered. The chain in front of the store
// is etcd's: a corrupt cluster refuses everything, a full one what would grow it.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/apply/alarms.h"
#include "kernel/apply/forwarded.h"
#include "kernel/apply/leases.h"
#include "kernel/apply/proposal.h"
#include "kernel/apply/quota.h"
#include "kernel/apply/request.h"
#include "kernel/apply/response.h"
#include "kernel/apply/state_hash.h"
#include "kernel/apply/txn.h"
#include "kernel/base/ids.h"
#include "kernel/cluster/membership.h"
#include "kernel/metrics/metrics.h"
#include "kernel/mvcc/store.h"
#include "kernel/mvcc/watch_hub.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"
#include "kernel/raft/types.h"
#include "kernel/storage/batch.h"

namespace tenon::apply {

// Where the engine stands; read at start.
struct AppliedState {
  Index index;
  Term term;
  raft::ConfState conf;  // as of `index`; empty before the first founding entry
  uint64_t state_hash = 0;
};
Result<AppliedState> ReadAppliedState(storage::Engine& engine, const storage::Tables& tables);

class Applier {
 public:
  struct Options {
    uint64_t warning_ns = 100'000'000;         // --warning-apply-duration
    uint64_t compaction_pause_ns = 1'000'000;  // between two slices that removed rows
  };
  struct Parts {
    storage::Engine& engine;
    const storage::Tables& tables;
    mvcc::Store& store;
    mvcc::WatchHub& watch;
    Alarms& alarms;
    cluster::Membership& membership;
    Clock& clock;
    Executor& executor;  // the apply thread
    Executor& worker;    // slow jobs
    metrics::Registry& metrics;
    std::function<void(Status)> fatal;  // the engine failed, or an entry cannot be applied: the member must stop
    // Called on the apply thread before a compaction removes its first row, which waits until `done` is called, by any
    // thread. None: it does not wait.
    std::function<void(absl::AnyInvocable<void()> done)> before_removal = nullptr;
    Leases* leases = nullptr;  // null: no lease module, no lease exists
    // What was applied although the quota had no room is told so once raise_no_space calls `done`. Null: no quota.
    Quota* quota = nullptr;
    std::function<void(absl::AnyInvocable<void()> done)> raise_no_space = nullptr;
    // The state is lost and will be fetched: entries are passed by, and only changes of members carried out, as raft
    // needs them to vote and append. Nothing is served meanwhile.
    bool blind = false;
  };

  Applier(Parts parts, AppliedState state, Options options);

  // Committed entries in order; those at or before the stored applied index are passed over. may_run: a few are
  // carried out inside the call, in the apply thread's place, if that sleeps. [any]
  void Enqueue(std::vector<raft::Entry> entries, bool may_run = false);
  // Called on the apply thread when a change of members is carried out, before `applied` reaches its index. One that
  // does not fit is told with node 0. Set before the first entry.
  void OnMemberChange(std::function<void(Index, const cluster::MemberChange&)> fn) {
    on_member_change_ = std::move(fn);
  }
  // Called on the apply thread after each turn. Set before the first entry.
  void OnApplied(std::function<void(Index)> fn) { on_applied_ = std::move(fn); }
  // Called on the apply thread when a turn takes what waits: there is no backlog then. Set before the first entry.
  void OnTaken(std::function<void()> fn) { on_taken_ = std::move(fn); }
  // Entries wait behind a turn that is running. [any]
  bool HasBacklog() const {
    std::lock_guard lock(queue_mutex_);
    return scheduled_ && running_;
  }

  Index applied() const { return Index(applied_.load(std::memory_order_acquire)); }  // [any]
  Term applied_term() const { return Term(applied_term_.load(std::memory_order_acquire)); }
  // fn runs once `index` is applied; on the apply thread, or here and now. [any]
  void WhenApplied(Index index, absl::AnyInvocable<void()> fn);

  // The replay is over: resumes a compaction that was scheduled before the restart. Once. [any]
  void StartServing() {
    executor_.Post([this] {
      serving_ = true;
      CompactSlice();
    });
  }
  // Slices of compactions that removed rows, so far. [any]
  uint64_t removals() const { return removals_.load(std::memory_order_relaxed); }
  // The engine must not get deletes while this is held (TENON_ST_HOLD_DELETES). [persist]
  std::mutex& deletes_mutex() { return deletes_mutex_; }

  // Who waits for an entry that another member appends. [any]
  Forwarded& forwarded() { return forwarded_; }
  const StateHash& state_hash() const { return state_hash_; }  // its marks [any]

  ResponseHeader header() const;  // of this moment [any]

 private:
  struct Answer {
    std::shared_ptr<const Proposal> proposal;
    Status status;
    Bufs bytes;
    bool over_quota = false;
  };
  // A turn commits in pieces: a start may have ten thousand entries to replay, and an engine that must hold all of
  // their changes at once becomes slow (WiredTiger tries again and again to evict a page that it cannot).
  static constexpr size_t kMostOps = 1000;
  void Turn();
  void Complete(Answer answer);
  void Apply(const raft::Entry& entry);
  void ApplyMemberChange(const raft::Entry& entry);
  std::shared_ptr<const Proposal> ProposalOf(const raft::Entry& entry, uint64_t request_id);
  Status Refused(const Operation& operation) const;
  Result<Bufs> Carry(const Request& request, const raft::Entry& entry, const Proposal* proposal);
  Result<Bufs> Lease(const Operation& operation, const raft::Entry& entry);
  // The members of a response header as etcd's apply fills them: with what the turn has changed so far.
  void Fill(etcdserverpb::ResponseHeader* header) const;
  Result<Bufs> Compact(const etcdserverpb::CompactionRequest& request, const Proposal* proposal);
  Bufs Alarm(const etcdserverpb::AlarmRequest& request);
  // The engine has the batch, everybody sees it, the callers are answered.
  bool Commit();
  bool CommitBatch();
  void PublishApplied();
  void CompactSlice();
  void HashBeforeCompaction();
  void ObserveApply(const Operation& operation, bool success, uint64_t took_ns);
  void PrepareRemoval();
  void Fatal(Status status);

  storage::Engine& engine_;
  const storage::Tables tables_;
  mvcc::Store& store_;
  mvcc::WatchHub& watch_;
  Alarms& alarms_;
  cluster::Membership& membership_;
  Clock& clock_;
  Executor& executor_;
  Executor& worker_;
  std::function<void(Status)> fatal_;
  const std::function<void(absl::AnyInvocable<void()>)> before_removal_;
  Leases* const leases_;
  Quota* const quota_;
  const std::function<void(absl::AnyInvocable<void()>)> raise_no_space_;
  const bool blind_;
  std::function<void(Index, const cluster::MemberChange&)> on_member_change_;
  std::function<void(Index)> on_applied_;
  std::function<void()> on_taken_;
  const Options options_;

  mutable std::mutex queue_mutex_;
  std::vector<raft::Entry> queue_;
  std::multimap<Index, absl::AnyInvocable<void()>> waiting_;  // under queue_mutex_
  bool scheduled_ = false;                                    // under queue_mutex_: a turn is posted
  bool running_ = false;                                      // under queue_mutex_: a turn took entries and works

  // [apply]
  storage::Batch batch_;
  std::vector<Answer> answers_;
  std::vector<std::pair<int64_t, std::shared_ptr<const Proposal>>> physical_;  // wait for the end of a compaction
  std::shared_ptr<const Proposal> current_proposal_;
  Index last_;
  Term last_term_;
  raft::ConfState conf_;
  Forwarded forwarded_;
  StateHash state_hash_;
  bool failed_ = false;
  bool compacting_ = false;
  bool serving_ = false;
  // The compaction whose hash is to be taken before its first row goes: {revision, the one before}.
  std::optional<std::pair<int64_t, int64_t>> hash_due_;
  bool hashing_ = false;
  bool removal_due_ = false, preparing_removal_ = false;  // before_removal is still to be called; is at work

  std::atomic<uint64_t> applied_;
  std::atomic<uint64_t> applied_term_;
  std::atomic<uint64_t> removals_{0};
  std::mutex deletes_mutex_;

  metrics::Registry& metrics_;
  metrics::Counter slow_applies_;
  metrics::Gauge applied_metric_;
  // Since when the compaction that is under way goes on, and what of it etcd's names tell.
  uint64_t compaction_started_ns_ = 0;
  metrics::Histogram compaction_pause_ms_, compaction_total_ms_;
  metrics::Gauge compaction_last_;
  metrics::Counter compacted_rows_;
  std::array<std::optional<metrics::Histogram>, 2 * std::variant_size_v<Operation>> apply_seconds_;
};

}  // namespace tenon::apply
