#include "kernel/mvcc/store.h"

#include <algorithm>

#include "absl/strings/escaping.h"

#include "kernel/base/check.h"
#include "kernel/base/errors.h"
#include "kernel/base/log.h"
#include "kernel/mvcc/index_builder.h"
#include "kernel/mvcc/index_snapshot.h"
#include "kernel/mvcc/read_view.h"

namespace tenon::mvcc {
namespace {

// A revision that is stored as a value of the table meta; -1: absent.
Result<int64_t> ReadMetaRevision(storage::Snapshot& snapshot, uint32_t table, std::string_view name) {
  const Result<std::string_view> row = snapshot.Get(table, name);
  if (absl::IsNotFound(row.status())) return -1;
  RETURN_IF_ERROR(row);
  Revision revision;
  bool tombstone;
  if (!ParseRevisionKey(*row, revision, tombstone)) {
    return absl::DataLossError(fmt::format("store: meta row {} is not a revision ({} bytes)", name, row->size()));
  }
  return revision.main;
}

Result<std::optional<RowSum>> ReadRowSum(storage::Snapshot& snapshot, uint32_t table) {
  const Result<std::string_view> row = snapshot.Get(table, storage::meta::kRowSum);
  if (absl::IsNotFound(row.status())) return std::nullopt;
  RETURN_IF_ERROR(row);
  RowSum sum;
  if (!RowSum::Parse(*row, sum)) {
    return absl::DataLossError(
        fmt::format("store: meta row {} has {} bytes, not 16", storage::meta::kRowSum, row->size()));
  }
  return sum;
}

}  // namespace

Store::Store(storage::Engine& engine, const storage::Tables& tables, Clock& clock, Options options)
    : engine_(engine), tables_(tables), index_(options.record_cache_bytes), views_(clock, options.view_max_age_ns) {}

Result<std::unique_ptr<Store>> Store::Open(storage::Engine& engine, const storage::Tables& tables, Clock& clock,
                                           Options options) {
  std::unique_ptr<Store> store(new Store(engine, tables, clock, options));
  RETURN_IF_ERROR(store->Restore(options.index_snapshot));
  return store;
}

Status Store::Restore(IndexSnapshot* index_snapshot) {
  int64_t scheduled, finished;
  std::optional<RowSum> stored;
  {
    ASSIGN_OR_RETURN(storage::Snapshot snapshot, engine_.OpenSnapshot());
    ASSIGN_OR_RETURN(scheduled, ReadMetaRevision(snapshot, tables_.meta, storage::meta::kScheduledCompact));
    ASSIGN_OR_RETURN(finished, ReadMetaRevision(snapshot, tables_.meta, storage::meta::kFinishedCompact));
    ASSIGN_OR_RETURN(stored, ReadRowSum(snapshot, tables_.meta));
  }
  int64_t loaded = 0;
  if (index_snapshot != nullptr) {
    ASSIGN_OR_RETURN(loaded, index_snapshot->Load(*this, scheduled, finished));
  }
  if (loaded > 0 && !stored) {  // rows from before there was a sum: only a scan can make one
    index_.Clear();
    loaded = 0;
  }
  current_ = std::max<int64_t>(loaded, 1);
  if (loaded > 0) {
    RETURN_IF_ERROR(Scan({loaded + 1, 0}));
    row_sum_ = sealed_ = *stored;
  } else {
    RETURN_IF_ERROR(ScanAll(stored));
  }
  LOG_INFO("restored the key index", {"keys", index_.keys()}, {"index-snapshot-revision", loaded},
           {"rows-scanned", rows_written()});
  if (loaded > 0 && finished > 0) {
    // The snapshot, perhaps written while the compaction ran, may name rows that it has removed. Nobody can ask for
    // them; only memory is at stake.
    std::vector<KeyIndex::RemovedRow> gone;
    std::optional<std::string> next = "";
    while (next) {
      next = index_.Compact(*next, finished, gone);
      gone.clear();
    }
    index_.FreeRemoved();
  }
  // The newest rows may have been tombstones that a compaction removed: the revision must not go back (etcd#17780).
  current_ = std::max({current_, scheduled, finished});
  published_.store(current_, std::memory_order_release);
  if (const int64_t compacted = std::max(scheduled, finished); compacted >= 0) {
    compact_ = compacted;
    views_.SetCompactRevision(compacted);
  }
  finished_compact_ = finished;
  removal_.store(std::max<int64_t>(finished, 0), std::memory_order_release);
  if (scheduled > finished) {
    index_knows_more_ = loaded > 0;
    LOG_INFO("resume scheduled compaction", {"scheduled-compact-revision", scheduled});
    compact_cursor_ = "";
  }
  return Ok();
}

template <class Fn>
Status Store::ForEachRow(Revision from, Fn fn) {
  static constexpr size_t kRows = 256;
  tenon_kv rows[kRows];
  std::string resume(RevisionKey(from).view());
  for (bool end = false; !end;) {
    // A fresh snapshot every so many rows: a long one would pin the engine's history.
    ASSIGN_OR_RETURN(storage::Snapshot snapshot, engine_.OpenSnapshot());
    ASSIGN_OR_RETURN(storage::Cursor cursor, snapshot.OpenCursor(tables_.key, resume, {}, TENON_CUR_NO_FILL));
    for (size_t seen = 0; seen < ReadView::kRowsPerSnapshot && !end;) {
      ASSIGN_OR_RETURN(const size_t n, cursor.Next(rows, 4 << 20));
      end = n == 0;
      seen += n;
      for (size_t i = 0; i < n; i++) {
        Revision revision;
        bool tombstone;
        KeyValue kv;
        if (!ParseRevisionKey(storage::View(rows[i].key), revision, tombstone) ||
            !Decode(storage::View(rows[i].val), kv) || kv.key.empty() || revision.main <= 0 || revision.sub < 0 ||
            revision.sub > UINT32_MAX || (!tombstone && kv.create_revision <= 0)) {
          return absl::DataLossError(fmt::format("store: row {} of the table key is damaged",
                                                 absl::BytesToHexString(ToAbsl(storage::View(rows[i].key)))));
        }
        fn(revision, tombstone, kv, RowDigest(storage::View(rows[i].val)));
        current_ = revision.main;
      }
      CountRows(n);
      if (n > 0) {
        resume.assign(storage::View(rows[n - 1].key));
        resume += '\0';
      }
    }
  }
  return Ok();
}

Status Store::ScanAll(const std::optional<RowSum>& stored) {
  IndexBuilder builder(index_);
  RETURN_IF_ERROR(ForEachRow({}, [&](Revision revision, bool tombstone, const KeyValue& kv, uint32_t digest) {
    row_sum_.Add(revision, tombstone, digest);
    // A tombstone without a put before it: the put was compacted away, the tombstone at the compact revision itself
    // stays.
    if (tombstone) return builder.Tombstone(kv.key, revision, digest);
    builder.Put(kv.key, revision, kv.create_revision, kv.version, kv.lease, digest);
  }));
  if (stored && *stored != row_sum_) {
    return absl::DataLossError(fmt::format(
        "store: the engine's table key has {} rows with the checksum {:016x}, but {} rows with {:016x} were written: "
        "the "
        "engine lost or changed some. Do not use this data-dir any more: restore a backup into an empty one, or let a "
        "member with an empty data-dir take this one's place; keep this one for whoever looks for the cause",
        row_sum_.rows, row_sum_.sum, stored->rows, stored->sum));
  }
  if (stored) sealed_ = *stored;
  builder.Finish();
  return Ok();
}

Status Store::Scan(Revision from) {
  return ForEachRow(from, [&](Revision revision, bool tombstone, const KeyValue& kv, uint32_t digest) {
    KeyIndex::Entry* entry = index_.Find(kv.key);
    if (!tombstone) {
      index_.Put(entry, kv.key, revision, kv.create_revision, kv.version, kv.lease, {}, digest);
    } else if (entry == nullptr) {
      index_.AddTombstone(kv.key, revision, digest);
    } else if (!entry->tombstone()) {
      index_.Tombstone(entry, revision, digest);
    }
  });
}

ReadView Store::View() { return ReadView(*this); }

bool Store::TryCachedAt(std::string_view key, int64_t revision, std::optional<KeyIndex::Hit>& hit) {
  KeyIndex::Hit found;
  const bool exists = index_.Get(key, revision, found);
  // No view is registered here. Had anything that `revision` sees been removed before we looked, then the compact
  // revision was raised before that: "not found" would mean nothing.
  if (views_.compact_revision() > revision) return false;
  if (exists && !found.record) return false;
  counts_.ranges.fetch_add(1, std::memory_order_relaxed);
  if (exists) {
    hit = std::move(found);
  } else {
    hit.reset();
  }
  return true;
}

WriteTxn Store::Write(storage::Batch& batch) { return WriteTxn(*this, batch); }

void Store::Seal(storage::Batch& batch) {
  if (row_sum_ == sealed_) return;
  sealed_ = row_sum_;
  batch.Put(tables_.meta, storage::meta::kRowSum, row_sum_.Encode());
}

std::vector<Event> Store::Publish() {
  apply_snapshot_.reset();
  published_.store(current_, std::memory_order_release);
  // Only now: a reader of the newest published revision must never find it compacted.
  if (compact_ > views_.compact_revision()) views_.SetCompactRevision(compact_);
  return std::exchange(events_, {});
}

Result<Block> Store::ReadRow(Revision revision) {
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, engine_.OpenSnapshot());
  ASSIGN_OR_RETURN(const std::string_view row, snapshot.Get(tables_.key, RevisionKey(revision).view()));
  return Block::Copy(row);
}

Result<Block> Store::ReadForApply(Revision revision) {
  const auto it = std::lower_bound(events_.begin(), events_.end(), revision,
                                   [](const Event& event, const Revision& r) { return event.revision < r; });
  if (it != events_.end() && it->revision == revision) return it->row;
  if (!apply_snapshot_) {
    ASSIGN_OR_RETURN(apply_snapshot_, engine_.OpenSnapshot());
  }
  const Result<std::string_view> row = apply_snapshot_->Get(tables_.key, RevisionKey(revision).view());
  if (!row.ok()) {
    return absl::DataLossError(fmt::format("store: row {}/{} is in the index but not readable: {}", revision.main,
                                           revision.sub, Message(row.status())));
  }
  return Block::Copy(*row);
}

Status Store::Compact(int64_t revision, storage::Batch& batch) {
  if (revision <= compact_) return errors::Compacted();
  if (revision > current_) return errors::FutureRevision();
  compact_ = revision;
  batch.Put(tables_.meta, storage::meta::kScheduledCompact, RevisionKey({revision, 0}).view());
  compact_cursor_ = "";  // a compaction under way begins anew: it has less to do than two
  return Ok();
}

Result<Store::Step> Store::CompactStep(storage::Batch& batch) {
  if (!compact_cursor_) return Step::kNothing;
  const int64_t revision = views_.compact_revision();
  if (!views_.NoneBelow(revision)) return Step::kWait;
  removal_.store(revision, std::memory_order_release);  // before the index loses anything
  std::vector<KeyIndex::RemovedRow> removed;
  const std::string from = std::move(*compact_cursor_);
  compact_cursor_ = index_.Compact(from, revision, removed);
  // A reader that was ended may not have noticed yet, and still holds entries.
  if (!views_.AnyBelow(revision)) index_.FreeRemoved();
  if (index_knows_more_) RETURN_IF_ERROR(KeepThere(removed));
  for (const KeyIndex::RemovedRow& row : removed) {
    row_sum_.Remove(row.revision, row.tombstone, row.digest);
    batch.Delete(tables_.key, RevisionKey(row.revision, row.tombstone).view());
  }
  if (compact_cursor_) return Step::kMore;
  batch.Put(tables_.meta, storage::meta::kFinishedCompact, RevisionKey({revision, 0}).view());
  finished_compact_ = revision;
  index_knows_more_ = false;
  return Step::kFinished;
}

Status Store::KeepThere(std::vector<KeyIndex::RemovedRow>& rows) {
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.revision < b.revision; });
  std::vector<RevisionKey> names;
  std::vector<tenon_slice> keys;
  for (const KeyIndex::RemovedRow& row : rows) names.emplace_back(row.revision, row.tombstone);
  for (const RevisionKey& name : names) keys.push_back(storage::Slice(name.view()));
  std::vector<tenon_slice> values(keys.size());
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, engine_.OpenSnapshot());
  size_t kept = 0;
  for (size_t done = 0; done < keys.size();) {
    const std::span<const tenon_slice> rest = std::span(keys).subspan(done);
    ASSIGN_OR_RETURN(const size_t got, snapshot.MultiGet(tables_.key, rest, 4 << 20, values.data()));
    for (size_t i = 0; i < got; i++) {
      if (values[i].p != nullptr) rows[kept++] = rows[done + i];
    }
    done += got;
  }
  rows.resize(kept);
  return Ok();
}

// ---- WriteTxn ----

Result<int64_t> WriteTxn::Resolve(int64_t asked) const {
  if (asked > revision()) return errors::FutureRevision();
  if (asked <= 0) return KeyIndex::kNewest;
  if (asked < store_.compact_) return errors::Compacted();
  // At its own revision a transaction sees what it did so far; the index has nothing newer.
  return asked;
}

Status WriteTxn::Range(std::string_view key, std::string_view end, const RangeOptions& options, RangeHits& out) {
  tally_.ranges++;
  ASSIGN_OR_RETURN(const int64_t at, Resolve(options.revision));
  out.count =
      store_.index_.Range(key, end, at, options.limit, options.count_all, options.count_only ? nullptr : &out.hits);
  return Load(options, out);
}

Status WriteTxn::Single(std::string_view key, const RangeOptions& options, RangeHits& out) {
  tally_.ranges++;
  ASSIGN_OR_RETURN(const int64_t at, Resolve(options.revision));
  KeyIndex::Hit hit;
  out.count = store_.index_.Get(key, at, hit);
  if (out.count > 0 && !options.count_only) out.hits.push_back(std::move(hit));
  return Load(options, out);
}

Status WriteTxn::Load(const RangeOptions& options, RangeHits& out) {
  for (KeyIndex::Hit& hit : out.hits) {
    if (hit.record || (options.index_only && hit.newest)) continue;
    ASSIGN_OR_RETURN(hit.record, store_.ReadForApply(hit.revision));
  }
  return Ok();
}

void WriteTxn::Put(std::string_view key, std::string_view value, int64_t lease) {
  tally_.puts++;
  tally_.put_bytes += key.size() + value.size();
  KeyIndex::Entry* entry = store_.index_.Find(key);
  const bool alive = entry != nullptr && !entry->tombstone();
  const Revision revision = Next();
  KeyValue kv;
  kv.key = key;
  kv.create_revision = alive ? entry->create_main : revision.main;
  kv.mod_revision = revision.main;
  kv.version = alive ? entry->version + 1 : 1;
  kv.value = value;
  kv.lease = lease;
  const Block record = EncodeBlock(kv);
  batch_.Put(store_.tables_.key, RevisionKey(revision).view(), record);
  const uint32_t digest = RowDigest(record.view());
  store_.row_sum_.Add(revision, false, digest);
  MoveLease(entry, key, lease);
  const Revision before = alive ? entry->mod() : Revision{};
  Block former = store_.index_.Put(entry, key, revision, kv.create_revision, kv.version, lease, record, digest);
  store_.events_.emplace_back(revision, false, record, before, std::move(former));
}

void WriteTxn::MoveLease(const KeyIndex::Entry* entry, std::string_view key, int64_t lease) {
  const int64_t before = entry == nullptr ? 0 : entry->lease;
  if (before != lease && store_.attachments_ != nullptr) store_.attachments_->Move(key, before, lease);
}

void WriteTxn::Delete(KeyIndex::Entry* entry) {
  const Revision revision = Next();
  KeyValue kv;
  kv.key = entry->key();
  const Block record = EncodeBlock(kv);
  const uint32_t digest = RowDigest(record.view());
  store_.row_sum_.Add(revision, true, digest);
  batch_.Put(store_.tables_.key, RevisionKey(revision, true).view(), record);
  MoveLease(entry, entry->key(), 0);
  const Revision before = entry->mod();
  store_.events_.emplace_back(revision, true, record, before, store_.index_.Tombstone(entry, revision, digest));
}

int64_t WriteTxn::DeleteRange(std::string_view key, std::string_view end) {
  tally_.deletes++;
  std::vector<KeyIndex::Hit> hits;
  store_.index_.Range(key, end, KeyIndex::kNewest, 0, true, &hits);
  for (const KeyIndex::Hit& hit : hits) Delete(hit.entry);
  return static_cast<int64_t>(hits.size());
}

int64_t WriteTxn::DeleteSingle(std::string_view key) {
  tally_.deletes++;
  KeyIndex::Entry* entry = store_.index_.Find(key);
  if (entry == nullptr || entry->tombstone()) return 0;
  Delete(entry);
  return 1;
}

}  // namespace tenon::mvcc
