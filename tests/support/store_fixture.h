// An MVCC store over storage-memory, in the words that the tests use.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/mvcc/key_value.h"
#include "kernel/mvcc/read_view.h"
#include "kernel/mvcc/store.h"
#include "plugins/storage-memory/storage_memory.h"
#include "tests/abi/fake_host.h"
#include "tests/support/manual_executor.h"

namespace tenon::testing {

class StoreFixture {
 public:
  explicit StoreFixture(mvcc::Store::Options options = {}) : options_(options) {
    engine = storage::Engine::Create(storage_memory::Vtable(), host.get(), nullptr).value();
    EXPECT_TRUE(engine->Open("").ok());
    tables = storage::Tables::Open(*engine).value();
    Reopen();
  }

  // Builds the store anew from what the engine holds.
  void Reopen() {
    store.reset();
    batch.Clear();
    store = mvcc::Store::Open(*engine, tables, clock, options_).value();
  }

  // Ends a turn: the engine takes the batch, everyone sees it.
  void Commit() {
    store->Seal(batch);
    const Status status = engine->Apply(batch.ops(), Index(++index));
    EXPECT_TRUE(status.ok()) << status;
    batch.Clear();
    published = store->Publish();
  }
  int64_t Put(std::string_view key, std::string_view value, int64_t lease = 0) {
    {
      mvcc::WriteTxn txn = store->Write(batch);
      txn.Put(key, value, lease);
    }
    Commit();
    return store->revision();
  }
  int64_t Delete(std::string_view key) {
    {
      mvcc::WriteTxn txn = store->Write(batch);
      txn.DeleteSingle(key);
    }
    Commit();
    return store->revision();
  }
  Status ScheduleCompact(int64_t revision) {
    const Status status = store->Compact(revision, batch);
    Commit();
    return status;
  }
  // One slice of the removal.
  mvcc::Store::Step CompactStep() {
    const mvcc::Store::Step step = store->CompactStep(batch).value();
    if (!batch.empty()) {
      store->Seal(batch);
      const Status status = engine->Apply(batch.ops(), Index(index));
      EXPECT_TRUE(status.ok()) << status;
    }
    batch.Clear();
    return step;
  }
  void Compact(int64_t revision) {
    const Status status = ScheduleCompact(revision);
    ASSERT_TRUE(status.ok()) << status;
    while (CompactStep() == mvcc::Store::Step::kMore) {
    }
  }

  // "key=value" of each key at `revision` (0: now), as a reader sees them.
  Result<std::vector<std::string>> Read(int64_t revision = 0) {
    mvcc::ReadView view = store->View();
    mvcc::RangeHits found;
    mvcc::RangeOptions options;
    options.revision = revision;
    RETURN_IF_ERROR(view.Range(std::string_view("\0", 1), {}, options, found));
    std::vector<std::string> out;
    for (const auto& hit : found.hits) {
      mvcc::KeyValue kv;
      EXPECT_TRUE(Decode(hit.record.view(), kv));
      out.push_back(std::string(kv.key) + "=" + std::string(kv.value));
    }
    return out;
  }
  size_t Rows() {
    storage::Snapshot snapshot = engine->OpenSnapshot().value();
    storage::Cursor cursor = snapshot.OpenCursor(tables.key, {}, {}).value();
    tenon_kv rows[64];
    size_t all = 0;
    while (const size_t n = cursor.Next(rows, 1 << 20).value()) all += n;
    return all;
  }

  FakeHost host;
  ManualClock clock;
  std::unique_ptr<storage::Engine> engine;
  storage::Tables tables;
  storage::Batch batch;
  uint64_t index = 0;
  std::vector<mvcc::Event> published;  // by the last turn
  std::unique_ptr<mvcc::Store> store;

 private:
  const mvcc::Store::Options options_;
};

}  // namespace tenon::testing
