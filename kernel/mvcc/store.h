// The MVCC store: an append-only table revision -> KeyValue in the engine, and the key index over it in memory.
//
// The apply thread writes. A turn is any number of transactions; what they change is seen by later transactions of
// the turn at once, by everyone else when the turn is published, which the applier does after the engine took the
// batch. Reference: etcd storage/mvcc/kvstore.go, kvstore_txn.go, kvstore_compaction.go.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/mvcc/attachments.h"
#include "kernel/mvcc/counts.h"
#include "kernel/mvcc/event.h"
#include "kernel/mvcc/hash.h"
#include "kernel/mvcc/key_index.h"
#include "kernel/mvcc/key_value.h"
#include "kernel/mvcc/reader.h"
#include "kernel/mvcc/row_sum.h"
#include "kernel/mvcc/views.h"
#include "kernel/ports/clock.h"
#include "kernel/storage/batch.h"
#include "kernel/storage/engine.h"
#include "kernel/storage/schema.h"

namespace tenon::mvcc {

class IndexSnapshot;
class ReadView;
class WriteTxn;

class Store {
 public:
  struct Options {
    size_t record_cache_bytes = 32 << 20;
    uint64_t view_max_age_ns = 60'000'000'000;
    IndexSnapshot* index_snapshot = nullptr;  // where to look first; outlives the store's use
  };

  // Builds the index from its snapshot or from the table `key`. [main] Any error means that the engine failed or holds
  // what is not ours.
  static Result<std::unique_ptr<Store>> Open(storage::Engine& engine, const storage::Tables& tables, Clock& clock,
                                             Options options);

  // ---- [any] ----
  int64_t revision() const { return published_.load(std::memory_order_acquire); }
  int64_t compact_revision() const { return views_.compact_revision(); }
  size_t keys() const { return index_.keys(); }
  // That went into the index since the start, the start's scan included: what an index snapshot does not know yet.
  uint64_t rows_written() const { return rows_written_.load(std::memory_order_relaxed); }
  const Counts& counts() const { return counts_; }
  // A view of the newest published state.
  ReadView View();
  // One key at the newest published revision, if that takes no engine read: false means "ask a ReadView". `hit` is
  // empty if the key does not exist; `revision` is the one that was read at.
  bool TryCached(std::string_view key, std::optional<KeyIndex::Hit>& hit, int64_t& revision) {
    revision = this->revision();
    return TryCachedAt(key, revision, hit);
  }
  // The same at a revision that was published a moment ago; false also if it is compacted by now.
  bool TryCachedAt(std::string_view key, int64_t revision, std::optional<KeyIndex::Hit>& hit);

  // ---- [apply] ----
  WriteTxn Write(storage::Batch& batch);
  // Who is told of each key whose lease changes; outlives the store's use. [main]
  void SetAttachments(Attachments* attachments) { attachments_ = attachments; }
  int64_t WriterRevision() const { return current_; }  // with what the turn has changed so far
  // Adds to the turn's batch what the table `key` holds with it. Before the engine takes it.
  void Seal(storage::Batch& batch);
  // The turn's batch is in the engine: everyone may see it. Returns what the turn changed, in order.
  std::vector<Event> Publish();
  // Compacted, FutureRevision; else history below `revision` is gone for readers, and CompactStep has work.
  Status Compact(int64_t revision, storage::Batch& batch);

  // One slice of removing rows, at most KeyIndex::kStep keys; the applier seals the batch and hands it to the engine
  // afterwards. An error means that the engine failed.
  enum class Step {
    kNothing,  // no compaction is scheduled
    kWait,     // somebody still reads what would go: ask again later
    kMore,
    kFinished,  // of revision finished_compact()
  };
  Result<Step> CompactStep(storage::Batch& batch);
  int64_t finished_compact() const { return finished_compact_; }
  int64_t scheduled_compact() const { return compact_; }  // -1: never

  const RowSum& row_sum() const { return row_sum_; }  // with what the turn has changed so far

  // ---- for readers of this folder ----
  Counts& counts() { return counts_; }
  // The greatest revision for which rows began to be removed; 0: none. [any]
  int64_t removal_revision() const { return removal_.load(std::memory_order_acquire); }
  KeyIndex& index() { return index_; }
  CompactionHashes& compaction_hashes() { return compaction_hashes_; }
  Views& views() { return views_; }
  storage::Engine& engine() { return engine_; }
  // A row that the index named; NotFound: it has been compacted since. Any other error means that the engine failed.
  Result<Block> ReadRow(Revision revision);
  uint32_t key_table() const { return tables_.key; }

 private:
  friend class WriteTxn;
  Store(storage::Engine& engine, const storage::Tables& tables, Clock& clock, Options options);
  Status Restore(IndexSnapshot* index_snapshot);
  Status Scan(Revision from);
  Status ScanAll(const std::optional<RowSum>& stored);
  // Calls fn(revision, tombstone, KeyValue, digest) for each row from `from` on, in order.
  template <class Fn>
  Status ForEachRow(Revision from, Fn fn);
  void CountRows(uint64_t n) { rows_written_.store(rows_written() + n, std::memory_order_relaxed); }
  // Leaves out the rows that the engine has not.
  Status KeepThere(std::vector<KeyIndex::RemovedRow>& rows);
  // A row for the apply thread: of this turn, or from the engine.
  Result<Block> ReadForApply(Revision revision);

  storage::Engine& engine_;
  const storage::Tables tables_;
  KeyIndex index_;
  Views views_;
  CompactionHashes compaction_hashes_;
  Counts counts_;

  std::atomic<int64_t> published_{1};                // etcd starts at revision 1: the first write makes 2
  std::atomic<uint64_t> rows_written_{0};            // one writer: [apply]
  int64_t current_ = 1;                              // [apply] with what the turn has changed so far
  std::vector<Event> events_;                        // [apply] the changes of this turn, ascending
  std::optional<storage::Snapshot> apply_snapshot_;  // [apply] the engine before this turn
  int64_t compact_ = -1;                             // [apply] what Publish will make the compact revision
  int64_t finished_compact_ = 0;                     // [apply]
  std::atomic<int64_t> removal_{0};                  // written by [apply]
  RowSum row_sum_, sealed_;                          // [apply] of now, and what the engine was told last
  bool index_knows_more_ = false;                    // [apply] perhaps: rows that a former life has removed
  Attachments* attachments_ = nullptr;               // null: nobody
  std::optional<std::string> compact_cursor_;        // [apply] where the next slice begins; none: at rest
};

// One entry's changes. All share one main revision, sub counts them. [apply]
class WriteTxn : public Reader {
 public:
  WriteTxn(Store& store, storage::Batch& batch) : store_(store), batch_(batch), tally_(store.counts_) {}
  ~WriteTxn() override {
    store_.current_ += changes_ > 0;
    store_.CountRows(static_cast<uint64_t>(changes_));
  }
  WriteTxn(const WriteTxn&) = delete;

  int64_t revision() const override { return store_.current_ + (changes_ > 0 ? 1 : 0); }
  int64_t compact_revision() const override { return store_.compact_; }
  Status Range(std::string_view key, std::string_view end, const RangeOptions& options, RangeHits& out) override;
  Status Single(std::string_view key, const RangeOptions& options, RangeHits& out) override;

  void Put(std::string_view key, std::string_view value, int64_t lease);
  // Returns how many keys were deleted.
  int64_t DeleteRange(std::string_view key, std::string_view end);
  int64_t DeleteSingle(std::string_view key);

 private:
  Revision Next() { return {store_.current_ + 1, changes_++}; }
  void Delete(KeyIndex::Entry* entry);
  void MoveLease(const KeyIndex::Entry* entry_or_null, std::string_view key, int64_t lease);
  Result<int64_t> Resolve(int64_t asked) const;
  Status Load(const RangeOptions& options, RangeHits& out);

  Store& store_;
  storage::Batch& batch_;
  int64_t changes_ = 0;
  Tally tally_;
};

}  // namespace tenon::mvcc
