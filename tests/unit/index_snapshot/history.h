// A store over the memory engine that remembers every batch, so that a test can have the engine of any moment back.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "kernel/mvcc/index_snapshot.h"
#include "kernel/mvcc/store.h"
#include "tests/abi/storage_fixture.h"
#include "tests/support/memory_disk.h"

namespace tenon::mvcc {

class ManualClock : public Clock {
 public:
  uint64_t MonoNs() override { return now_ns; }
  uint64_t WallNs() override { return now_ns; }
  uint64_t now_ns = 1;
};

inline constexpr char kFolder[] = "/data/member/index";

struct RecordedOp {
  uint32_t type;
  bool in_key_table;
  std::string key, value;
};
using RecordedBatch = std::vector<RecordedOp>;

// An entry of the index in a form to compare and to print.
using EntryImage =
    std::tuple<std::string, Revision, int64_t, int64_t, int64_t, std::vector<std::tuple<int64_t, uint32_t, bool>>>;

// An engine with a store over it; the index snapshot, if any, lies on `disk`.
class World {
 public:
  World(Clock& clock, MemoryDisk* disk, const std::vector<RecordedBatch>& past = {}, size_t batches = 0,
        IndexSnapshot::Options options = {}) {
    engine_ = *storage::Engine::Create(tenon::testing::EngineTable("memory"), host_.get(), nullptr);
    EXPECT_TRUE(engine_->Open("/nowhere").ok());
    tables_ = *storage::Tables::Open(*engine_);
    for (size_t i = 0; i < batches; i++) Replay(past[i]);
    Store::Options store_options;
    if (disk != nullptr) {
      snapshot_ = std::make_unique<IndexSnapshot>(*disk, kFolder, clock, options);
      store_options.index_snapshot = snapshot_.get();
    }
    auto store = Store::Open(*engine_, tables_, clock, store_options);
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  Store& store() { return *store_; }
  IndexSnapshot& snapshot() { return *snapshot_; }
  const std::vector<RecordedBatch>& past() const { return past_; }

  // One turn with one transaction.
  template <class Fn>
  void Write(Fn fn) {
    {
      WriteTxn txn = store_->Write(batch_);
      fn(txn);
    }
    Apply();
    store_->Publish();
  }
  void Put(std::string_view key, std::string_view value = "v") {
    Write([&](WriteTxn& txn) { txn.Put(key, value, 0); });
  }
  void Delete(std::string_view key) {
    Write([&](WriteTxn& txn) { txn.DeleteSingle(key); });
  }
  void Compact(int64_t revision) {
    ASSERT_TRUE(store_->Compact(revision, batch_).ok());
    Apply();
    store_->Publish();
  }
  Store::Step Step() {
    const Store::Step step = store_->CompactStep(batch_).value();
    if (!batch_.empty()) Apply();
    return step;
  }
  void FinishCompaction() {
    while (Step() != Store::Step::kNothing) {
    }
  }

  std::vector<EntryImage> Entries() {
    std::vector<EntryImage> all;
    store_->index().ForEach([&](const KeyIndex::Entry& e) {
      EntryImage image{std::string(e.key()), e.mod(), e.create_main, e.version, e.lease, {}};
      if (e.older != nullptr) {
        for (const KeyIndex::Change& c : *e.older) std::get<5>(image).emplace_back(c.main, c.sub, c.tombstone);
      }
      all.push_back(std::move(image));
    });
    return all;
  }
  // The keys that live at `revision`, with the revision of their row.
  std::vector<std::pair<std::string, Revision>> Alive(int64_t revision) {
    std::vector<KeyIndex::Hit> hits;
    store_->index().Range({}, {}, revision, 0, true, &hits);
    std::vector<std::pair<std::string, Revision>> alive;
    for (const auto& hit : hits) alive.emplace_back(hit.entry->key(), hit.revision);
    return alive;
  }
  tenon::testing::Rows Rows() {
    storage::Snapshot snapshot = *engine_->OpenSnapshot();
    return tenon::testing::ReadTable(snapshot, tables_.key);
  }

 private:
  void Apply() {
    store_->Seal(batch_);
    RecordedBatch recorded;
    for (const tenon_op& op : batch_.ops()) {
      EXPECT_TRUE(op.table == tables_.key || op.table == tables_.meta);
      recorded.push_back(
          {op.type, op.table == tables_.key, std::string(storage::View(op.key)), std::string(storage::View(op.val))});
    }
    past_.push_back(std::move(recorded));
    EXPECT_TRUE(engine_->Apply(batch_.ops(), Index(++index_)).ok());
    batch_.Clear();
  }
  void Replay(const RecordedBatch& batch) {
    std::vector<tenon_op> ops;
    for (const RecordedOp& op : batch) {
      ops.push_back(
          {op.type, op.in_key_table ? tables_.key : tables_.meta, storage::Slice(op.key), storage::Slice(op.value)});
    }
    EXPECT_TRUE(engine_->Apply(ops, Index(++index_)).ok());
  }

  tenon::testing::FakeHost host_;
  std::unique_ptr<storage::Engine> engine_;
  storage::Tables tables_{};
  std::unique_ptr<IndexSnapshot> snapshot_;
  std::unique_ptr<Store> store_;
  storage::Batch batch_;
  std::vector<RecordedBatch> past_;
  uint64_t index_ = 0;
};

}  // namespace tenon::mvcc
