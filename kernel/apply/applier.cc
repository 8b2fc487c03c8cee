#include "kernel/apply/applier.h"

#include <algorithm>

#include "kernel/base/check.h"
#include "kernel/base/coding.h"
#include "kernel/base/errors.h"
#include "kernel/base/log.h"
#include "kernel/base/mutant.h"
#include "kernel/base/units.h"

namespace tenon::apply {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

Result<uint64_t> ReadNumber(storage::Snapshot& snapshot, uint32_t table, std::string_view name) {
  const Result<std::string_view> row = snapshot.Get(table, name);
  if (absl::IsNotFound(row.status())) return 0;
  RETURN_IF_ERROR(row);
  if (row->size() != 8)
    return absl::DataLossError(fmt::format("store: meta row {} has {} bytes, not 8", name, row->size()));
  return GetBigEndian64(row->data());
}

Bufs Serialized(const google::protobuf::MessageLite& message) {
  BufsBuilder out;
  out.Append(message.SerializeAsString());
  return out.Take();
}

std::string_view NameOf(const Operation& operation) {
  static constexpr std::string_view kNames[] = {"put",
                                                "delete_range",
                                                "txn",
                                                "compaction",
                                                "alarm",
                                                "cluster_version_set",
                                                "cluster_member_attr_set",
                                                "lease_grant",
                                                "lease_revoke",
                                                "lease_checkpoint"};
  return kNames[operation.index()];
}

}  // namespace

Result<AppliedState> ReadAppliedState(storage::Engine& engine, const storage::Tables& tables) {
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, engine.OpenSnapshot());
  ASSIGN_OR_RETURN(const uint64_t index, ReadNumber(snapshot, tables.meta, storage::meta::kConsistentIndex));
  ASSIGN_OR_RETURN(const uint64_t term, ReadNumber(snapshot, tables.meta, storage::meta::kTerm));
  ASSIGN_OR_RETURN(const uint64_t state_hash, ReadNumber(snapshot, tables.meta, storage::meta::kStateHash));
  AppliedState state{Index(index), Term(term), {}, state_hash};
  const Result<std::string_view> conf = snapshot.Get(tables.meta, storage::meta::kConfState);
  if (conf.ok()) {
    ASSIGN_OR_RETURN(state.conf, cluster::ConfStateFromJson(*conf));
  } else if (!absl::IsNotFound(conf.status())) {
    return conf.status();
  }
  return state;
}

Applier::Applier(Parts p, AppliedState state, Options options)
    : engine_(p.engine),
      tables_(p.tables),
      store_(p.store),
      watch_(p.watch),
      alarms_(p.alarms),
      membership_(p.membership),
      clock_(p.clock),
      executor_(p.executor),
      worker_(p.worker),
      fatal_(std::move(p.fatal)),
      before_removal_(std::move(p.before_removal)),
      leases_(p.leases),
      quota_(p.quota),
      raise_no_space_(std::move(p.raise_no_space)),
      blind_(p.blind),
      options_(options),
      last_(state.index),
      last_term_(state.term),
      conf_(std::move(state.conf)),
      state_hash_(state.state_hash),
      applied_(state.index.value),
      applied_term_(state.term.value),
      metrics_(p.metrics),
      slow_applies_(
          p.metrics.NewCounter("etcd_server_slow_apply_total",
                               "The total number of slow apply requests (likely overloaded from slow disk).")),
      applied_metric_(p.metrics.NewGauge("etcd_server_proposals_applied_total",
                                         "The total number of consensus proposals applied.")),
      compaction_pause_ms_(p.metrics.NewHistogram("etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
                                                  "Bucketed histogram of db compaction pause duration.",
                                                  metrics::ExponentialBuckets(1, 2, 13))),
      compaction_total_ms_(p.metrics.NewHistogram("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
                                                  "Bucketed histogram of db compaction total duration.",
                                                  metrics::ExponentialBuckets(100, 2, 14))),
      compaction_last_(p.metrics.NewGauge("etcd_debugging_mvcc_db_compaction_last",
                                          "The unix time of the last db compaction. Resets to 0 on start.")),
      compacted_rows_(
          p.metrics.NewCounter("etcd_debugging_mvcc_db_compaction_keys_total", "Total number of db keys compacted.")) {
  if (const Status status = state_hash_.Open(engine_); !status.ok()) Fatal(status);
  state_hash_.Publish(last_);
}

ResponseHeader Applier::header() const {
  return {membership_.cluster_id(), membership_.self(), store_.revision(), applied_term().value};
}

void Applier::Enqueue(std::vector<raft::Entry> entries, bool may_run) {
  constexpr size_t kFew = 2;  // more take longer than the hand-over
  may_run = may_run && entries.size() <= kFew;
  {
    std::lock_guard lock(queue_mutex_);
    if (queue_.empty()) {
      queue_ = std::move(entries);
    } else {
      std::move(entries.begin(), entries.end(), std::back_inserter(queue_));
    }
    if (std::exchange(scheduled_, true)) return;
  }
  if (may_run) return executor_.RunOrPost([this] { Turn(); });
  executor_.Post([this] { Turn(); });
}

void Applier::WhenApplied(Index index, absl::AnyInvocable<void()> fn) {
  {
    std::lock_guard lock(queue_mutex_);
    if (applied() < index) {
      waiting_.emplace(index, std::move(fn));
      return;
    }
  }
  fn();
}

void Applier::Turn() {
  std::vector<raft::Entry> entries;
  {
    std::lock_guard lock(queue_mutex_);
    entries.swap(queue_);
    scheduled_ = false;
    running_ = true;
  }
  if (failed_) return;
  if (on_taken_) on_taken_();
  for (const raft::Entry& entry : entries) {
    if (entry.index <= last_) continue;  // the engine has it: the log is replayed from before the last persist
    CHECK_EQ(entry.index, last_ + 1);
    const size_t before = batch_.ops().size();
    Apply(entry);
    if (failed_) return;
    if (!blind_) state_hash_.Extend(entry.index, batch_.ops().subspan(before));
    last_ = entry.index;
    last_term_ = entry.term;
    if (batch_.ops().size() >= kMostOps && !Commit()) return;
  }
  if (!Commit()) return;

  std::vector<absl::AnyInvocable<void()>> due;
  {
    std::lock_guard lock(queue_mutex_);
    const auto end = waiting_.upper_bound(last_);
    for (auto it = waiting_.begin(); it != end; ++it) due.push_back(std::move(it->second));
    waiting_.erase(waiting_.begin(), end);
    running_ = false;
  }
  for (auto& fn : due) fn();
  if (on_applied_) on_applied_(last_);
}

void Applier::Complete(Answer answer) {
  if (!answer.over_quota) return answer.proposal->Complete(std::move(answer.status), std::move(answer.bytes));
  raise_no_space_([proposal = std::move(answer.proposal)] { proposal->Complete(errors::NoSpace(), {}); });
}

bool Applier::Commit() {
  if (!CommitBatch()) return false;
  for (Answer& answer : answers_) Complete(std::move(answer));
  answers_.clear();
  return true;
}

bool Applier::CommitBatch() {
  if (blind_) {
    batch_.Clear();
    PublishApplied();
    return true;
  }
  char number[8];
  PutBigEndian64(number, last_.value);
  batch_.Put(tables_.meta, storage::meta::kConsistentIndex, std::string_view(number, 8));
  PutBigEndian64(number, last_term_.value);
  batch_.Put(tables_.meta, storage::meta::kTerm, std::string_view(number, 8));
  PutBigEndian64(number, state_hash_.value());
  batch_.Put(tables_.meta, storage::meta::kStateHash, std::string_view(number, 8));
  store_.Seal(batch_);
  const Status status = engine_.Apply(batch_.ops(), last_);
  batch_.Clear();
  if (!status.ok()) {
    Fatal(status);
    return false;
  }
  std::vector<mvcc::Event> events = store_.Publish();
  watch_.Publish(std::move(events), store_.revision());  // before anyone is answered
  PublishApplied();
  return true;
}

void Applier::PublishApplied() {
  state_hash_.Publish(last_);
  applied_term_.store(last_term_.value, std::memory_order_release);
  applied_.store(last_.value, std::memory_order_release);
  applied_metric_.Set(static_cast<double>(last_.value));
}

void Applier::Fatal(Status status) {
  failed_ = true;
  fatal_(std::move(status));
}

// ---- one entry ----

void Applier::Apply(const raft::Entry& entry) {
  if (entry.type != raft::EntryType::kNormal) return ApplyMemberChange(entry);
  if (entry.bytes().empty() || blind_) return;  // a new leader's; or passed by
  const uint64_t start = clock_.MonoNs();
  const auto* own = dynamic_cast<const Proposal*>(entry.payload.get());
  Request decoded;
  if (own == nullptr) {
    Result<Request> request = DecodeEntry(entry.bytes());
    if (!request.ok()) {
      return Fatal(
          absl::DataLossError(fmt::format("apply: entry {}: {}", entry.index.value, Message(request.status()))));
    }
    decoded = *std::move(request);
  }
  const Request& request = own != nullptr ? own->request() : decoded;
  current_proposal_ = ProposalOf(entry, request.id);
  const Proposal* proposal = current_proposal_.get();
  const Operation* operation = &request.operation;
  // As in etcd it is applied all the same, or members would differ; but who asked is told, and the alarm is raised.
  // While the log is replayed all of it counts, and nobody is refused.
  const bool fits = quota_ == nullptr || quota_->FitsAtApply(*operation);
  Result<Bufs> answer = Carry(request, entry, proposal);
  if (!answer.ok() && !IsClientError(answer.status())) return Fatal(answer.status());
  const bool succeeded = answer.ok();
  const bool held = answer.ok() && !physical_.empty() && physical_.back().second == current_proposal_;
  if (proposal != nullptr && !held) {
    const bool over_quota = !fits && answer.ok();
    answers_.push_back({current_proposal_, answer.status(), answer.ok() ? *std::move(answer) : Bufs(), over_quota});
  }

  // Somebody else's entry does not fit here: this member's alarm is due all the same.
  if (!fits && succeeded && proposal == nullptr && serving_) raise_no_space_([] {});

  const uint64_t took = clock_.MonoNs() - start;
  ObserveApply(*operation, succeeded, took);
  if (took >= options_.warning_ns) {
    slow_applies_.Add();
    LOG_WARN("apply request took too long", {"took", FormatDurationNs(static_cast<int64_t>(took))},
             {"expected-duration", FormatDurationNs(static_cast<int64_t>(options_.warning_ns))},
             {"request", NameOf(*operation)}, {"size", entry.bytes().size()}, {"index", entry.index});
  }
}

void Applier::ObserveApply(const Operation& operation, bool success, uint64_t took_ns) {
  // etcd's words, in the order of the variant. As there, a series is born with its first value.
  static constexpr const char* kOps[std::variant_size_v<Operation>] = {"Put",
                                                                       "DeleteRange",
                                                                       "Txn",
                                                                       "Compaction",
                                                                       "Alarm",
                                                                       "ClusterVersionSet",
                                                                       "ClusterMemberAttrSet",
                                                                       "LeaseGrant",
                                                                       "LeaseRevoke",
                                                                       "LeaseCheckpoint"};
  std::optional<metrics::Histogram>& seconds = apply_seconds_[2 * operation.index() + success];
  if (!seconds) {
    seconds = metrics_.NewHistogram(
        "etcd_server_apply_duration_seconds", "The latency distributions of v2 apply called by backend.",
        metrics::ExponentialBuckets(0.0001, 2, 20),
        {{"version", "v3"}, {"op", kOps[operation.index()]}, {"success", success ? "true" : "false"}});
  }
  seconds->Observe(static_cast<double>(took_ns / 1000) * 1e-6);
}

// Who waits here for the entry. What this member appended carries its caller; what was forwarded comes back as bytes.
std::shared_ptr<const Proposal> Applier::ProposalOf(const raft::Entry& entry, uint64_t request_id) {
  if (auto own = std::dynamic_pointer_cast<const Proposal>(entry.payload)) return own;
  return forwarded_.Take(request_id);
}

void Applier::ApplyMemberChange(const raft::Entry& entry) {
  Result<cluster::MemberChange> decoded =
      entry.type == raft::EntryType::kConfChange
          ? cluster::DecodeMemberChange(entry.bytes())
          : Result<cluster::MemberChange>(absl::UnimplementedError("joint changes are not proposed by this version"));
  if (!decoded.ok()) {
    return Fatal(absl::DataLossError(fmt::format("apply: entry {}: {}", entry.index.value, Message(decoded.status()))));
  }
  cluster::MemberChange change = *std::move(decoded);
  Status status = blind_ ? Ok() : membership_.Validate(change);  // blind: who leads let it into the log
  if (status.ok()) {
    Result<raft::ConfState> conf = raft::Apply(conf_, change.ForRaft());
    if (conf.ok()) {
      conf_ = *std::move(conf);
    } else {
      status = conf.status();
    }
  }
  if (status.ok()) {
    membership_.Apply(change, batch_);
    batch_.Put(tables_.meta, storage::meta::kConfState, cluster::ToJson(conf_));
  } else {
    change.member.id = 0;  // for raft: the entry is there and changes nothing
  }
  if (on_member_change_) on_member_change_(entry.index, change);
  if (auto proposal = ProposalOf(entry, change.request_id)) answers_.push_back({std::move(proposal), status, Bufs()});
}

Status Applier::Refused(const Operation& operation) const {
  const bool grants = std::holds_alternative<LeaseGrantRequest>(operation);
  const bool changes_data = operation.index() < 4 || grants || std::holds_alternative<LeaseRevokeRequest>(operation);
  if (!changes_data) return Ok();
  if (alarms_.Has(CORRUPT)) return errors::Corrupt();
  const auto* txn = std::get_if<TxnRequest>(&operation);
  const bool grows = grants || std::holds_alternative<PutRequest>(operation) || (txn != nullptr && Grows(*txn));
  return grows && alarms_.Has(NOSPACE) ? errors::NoSpace() : Ok();
}

Result<Bufs> Applier::Carry(const Request& entry_request, const raft::Entry& entry, const Proposal* proposal) {
  const Operation& operation = entry_request.operation;
  // Decided by a leader whose term is over: nobody may be surprised by it now.
  if (entry_request.term.value != 0 && entry_request.term != entry.term && !Planted(Mutant::kRevokeOfOldTerm)) {
    return errors::LeaderChanged();
  }
  RETURN_IF_ERROR(Refused(operation));
  const ResponseHeader head{membership_.cluster_id(), membership_.self(), 0, last_term_.value};
  const auto reply = [&](const auto& answer) { return proposal == nullptr ? Bufs() : Encode(answer, head); };

  if (const auto* put = std::get_if<PutRequest>(&operation)) {
    mvcc::WriteTxn txn = store_.Write(batch_);
    ASSIGN_OR_RETURN(const PutAnswer answer, Put(txn, leases_, *put));
    return reply(answer);
  }
  if (const auto* range = std::get_if<DeleteRangeRequest>(&operation)) {
    mvcc::WriteTxn txn = store_.Write(batch_);
    ASSIGN_OR_RETURN(const DeleteAnswer answer, DeleteRange(txn, *range));
    return reply(answer);
  }
  if (const auto* request = std::get_if<TxnRequest>(&operation)) {
    mvcc::WriteTxn txn = store_.Write(batch_);
    ASSIGN_OR_RETURN(const TxnAnswer answer, Txn(txn, leases_, *request));
    return reply(answer);
  }
  if (const auto* request = std::get_if<CompactionRequest>(&operation)) return Compact(*request, proposal);
  if (const auto* request = std::get_if<AlarmRequest>(&operation)) return Alarm(*request);
  if (const auto* request = std::get_if<membershippb::ClusterVersionSetRequest>(&operation)) {
    const std::optional<Version> version = ParseVersion(request->ver());
    if (!version) return absl::InvalidArgumentError(fmt::format("{} is no version", request->ver()));
    const Status set = membership_.SetVersion(*version, batch_);
    if (!set.ok()) {
      Fatal(set);
      return set;
    }
    LOG_INFO("updated cluster version", {"to", request->ver()});
    return Bufs();
  }
  if (!std::holds_alternative<membershippb::ClusterMemberAttrSetRequest>(operation)) return Lease(operation, entry);
  const auto& request = std::get<membershippb::ClusterMemberAttrSetRequest>(operation);
  const auto& attributes = request.member_attributes();
  membership_.SetAttributes(request.member_id(), attributes.name(),
                            {attributes.client_urls().begin(), attributes.client_urls().end()}, batch_);
  return Bufs();
}

Bufs Applier::Alarm(const AlarmRequest& request) {
  AlarmResponse response;
  for (AlarmMember& m : alarms_.Apply(request, batch_)) *response.add_alarms() = std::move(m);
  Fill(response.mutable_header());
  return Serialized(response);
}

void Applier::Fill(etcdserverpb::ResponseHeader* header) const {
  header->set_cluster_id(membership_.cluster_id());
  header->set_member_id(membership_.self());
  header->set_revision(store_.WriterRevision());
  header->set_raft_term(last_term_.value);
}

Result<Bufs> Applier::Lease(const Operation& operation, const raft::Entry& entry) {
  if (leases_ == nullptr) {  // never skipped: this member would have other keys than the rest
    return absl::FailedPreconditionError(fmt::format(
        "apply: entry {} is a {} and no lease module is configured: add \"lease: {{ use: lease }}\" under modules",
        entry.index.value, NameOf(operation)));
  }
  const EntryContext context{batch_, entry.index, entry.term};
  if (const auto* grant = std::get_if<LeaseGrantRequest>(&operation)) {
    LeaseGrantResponse response;
    ASSIGN_OR_RETURN(const int64_t ttl, leases_->Grant(context, grant->id(), grant->ttl()));
    Fill(response.mutable_header());
    response.set_id(grant->id());
    response.set_ttl(ttl);
    return Serialized(response);
  }
  if (const auto* revoke = std::get_if<LeaseRevokeRequest>(&operation)) {
    ASSIGN_OR_RETURN(const std::vector<std::string> keys, leases_->Revoke(context, revoke->id()));
    {
      mvcc::WriteTxn txn = store_.Write(batch_);  // one revision, whatever the number of keys
      for (const std::string& key : keys) txn.DeleteSingle(key);
    }
    LeaseRevokeResponse response;
    Fill(response.mutable_header());
    return Serialized(response);
  }
  for (const LeaseCheckpoint& c : std::get<LeaseCheckpointRequest>(operation).checkpoints()) {
    RETURN_IF_ERROR(leases_->Checkpoint(context, c.id(), c.remaining_ttl()));
  }
  LeaseCheckpointResponse response;
  Fill(response.mutable_header());
  return Serialized(response);
}

// ---- compaction ----

Result<Bufs> Applier::Compact(const CompactionRequest& request, const Proposal* proposal) {
  const int64_t previous = store_.scheduled_compact();
  RETURN_IF_ERROR(store_.Compact(request.revision(), batch_));
  // As in etcd: no hash while the compaction before is still under way, since rows of it may be gone or not.
  // Nor while the log is replayed: that would be work at the start for an answer that etcd has forgotten too.
  if (serving_ && (previous < 0 || previous == store_.finished_compact())) hash_due_ = {request.revision(), previous};
  removal_due_ = before_removal_ != nullptr;
  if (!std::exchange(compacting_, true)) executor_.Post([this] { CompactSlice(); });
  if (request.physical() && proposal != nullptr) {
    physical_.emplace_back(request.revision(), current_proposal_);
    return Bufs();
  }
  return EncodeHeaderOnly({membership_.cluster_id(), membership_.self(), store_.WriterRevision(), last_term_.value});
}

void Applier::HashBeforeCompaction() {
  hashing_ = true;
  const auto [revision, previous] = *std::exchange(hash_due_, std::nullopt);
  worker_.Post([this, revision = revision, previous = previous] {
    Result<mvcc::HashByRevision> hash = mvcc::HashForCompaction(store_, revision, previous);
    executor_.Post([this, hash = std::move(hash)] {
      hashing_ = false;
      if (hash.ok()) store_.compaction_hashes().Add(*hash);
      CompactSlice();
    });
  });
}

void Applier::PrepareRemoval() {
  removal_due_ = false;
  preparing_removal_ = true;
  before_removal_([this] {
    executor_.Post([this] {
      preparing_removal_ = false;
      CompactSlice();
    });
  });
}

void Applier::CompactSlice() {
  if (failed_) return;
  compacting_ = true;
  if (hashing_ || preparing_removal_) return;  // their end comes back here
  if (hash_due_) return HashBeforeCompaction();
  if (removal_due_) return PrepareRemoval();
  const auto again = [this](uint64_t ns) { executor_.PostAfter(ns, [this] { CompactSlice(); }); };
  std::unique_lock no_persist(deletes_mutex_, std::defer_lock);
  if (engine_.features() & TENON_ST_HOLD_DELETES && !no_persist.try_lock()) return again(10'000'000);

  const uint64_t started = clock_.MonoNs();
  if (compaction_started_ns_ == 0) compaction_started_ns_ = started;
  const Result<mvcc::Store::Step> slice = store_.CompactStep(batch_);
  if (!slice.ok()) return Fatal(slice.status());
  const mvcc::Store::Step step = *slice;
  if (step == mvcc::Store::Step::kNothing) {
    compacting_ = false;
    compaction_started_ns_ = 0;
    return;
  }
  if (step == mvcc::Store::Step::kWait) return again(50'000'000);
  const bool removed = !batch_.empty();
  if (removed) {
    // All of them are removed rows, but the one that says that it is finished.
    compacted_rows_.Add(static_cast<double>(batch_.ops().size() - (step == mvcc::Store::Step::kFinished)));
    store_.Seal(batch_);
    const Status status = engine_.Apply(batch_.ops(), last_);
    batch_.Clear();
    if (!status.ok()) return Fatal(status);
    removals_.fetch_add(1, std::memory_order_relaxed);
    compaction_pause_ms_.Observe(static_cast<double>((clock_.MonoNs() - started) / 1'000'000));
  }
  if (step == mvcc::Store::Step::kMore) return again(removed ? options_.compaction_pause_ns : 0);

  compacting_ = false;
  compaction_total_ms_.Observe(static_cast<double>((clock_.MonoNs() - compaction_started_ns_) / 1'000'000));
  compaction_started_ns_ = 0;
  compaction_last_.Set(static_cast<double>(clock_.WallNs() / 1'000'000'000));
  LOG_INFO("finished scheduled compaction", {"compact-revision", store_.finished_compact()});
  for (auto& [revision, proposal] : physical_) proposal->Complete(Ok(), EncodeHeaderOnly(header()));
  physical_.clear();
}

}  // namespace tenon::apply
