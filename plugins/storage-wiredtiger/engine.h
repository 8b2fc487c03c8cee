// The engine on WiredTiger 3.2.1: see README.md for the layout and for what is avoided and why.
#pragma once
#include <tenon/sdk/storage.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "plugins/storage-wiredtiger/blobs.h"
#include "plugins/storage-wiredtiger/connection.h"
#include "plugins/storage-wiredtiger/layout.h"
#include "plugins/storage-wiredtiger/reader.h"

namespace tenon::storage_wiredtiger {

class Engine {
 public:
  static constexpr uint64_t kFeatures = TENON_ST_PERSIST | TENON_ST_HOLD_DELETES;
  using Snap = storage_wiredtiger::Snap;
  using Cursor = storage_wiredtiger::Cursor;

  Engine(const sdk::Host& host, const sdk::Config& config);
  ~Engine();

  void Open(const tenon_storage_open& how);
  void Close();
  uint64_t DurableIndex() noexcept { return durable_index_.load(std::memory_order_acquire); }
  uint32_t Table(std::string_view name, uint32_t hint, bool create);
  void Apply(std::span<const tenon_op> ops, uint64_t index);
  uint64_t Persist(uint32_t flags);
  Snap* SnapOpen();
  void SnapClose(Snap* snap) noexcept { readers_->Give(snap); }
  tenon_status Get(Snap& snap, uint32_t table, std::string_view key, tenon_slice* val) {
    return snap.Get(table, NameOf(table), key, val);
  }
  tenon_status MultiGet(Snap& snap, uint32_t table, std::span<const tenon_slice> keys, size_t max_bytes,
                        tenon_slice* vals, size_t* done) {
    return snap.MultiGet(table, NameOf(table), keys, max_bytes, vals, done);
  }
  Cursor* CursorOpen(Snap& snap, uint32_t table, std::string_view low, std::string_view high, uint32_t flags) {
    return new Cursor(snap, table, NameOf(table), low, high, flags);
  }
  tenon_status CursorNext(Cursor& cursor, tenon_kv* out, size_t max_rows, size_t max_bytes, size_t* n) {
    return cursor.Next(out, max_rows, max_bytes, n);
  }
  tenon_status CursorSeek(Cursor& cursor, std::string_view key) { return cursor.Seek(key); }
  void CursorClose(Cursor* cursor) noexcept { delete cursor; }
  void Stats(tenon_storage_stats& out) noexcept;
  tenon_status Compact(uint64_t deadline_ns);

 private:
  static constexpr uint32_t kMaxTables = 256;
  // A table as the writer needs it.
  struct WriteState {
    WT_CURSOR* cursor = nullptr;
    std::string greatest;    // no key of the table is greater
    bool has_blobs = false;  // some row may refer to a blob
    uint64_t next_blob = 0;
  };

  std::string ConnectionConfig(bool create) const;
  void MakeStore(const std::string& home);
  void OpenStore(const std::string& home);
  WT_CURSOR* OpenWriteCursor(const char* uri);
  const TableName& NameOf(uint32_t table) const;
  void CheckUsable() const;

  void ApplyOnce(std::span<const tenon_op> ops, uint64_t index);
  void Put(uint32_t table, std::string_view key, std::string_view value);
  void Delete(uint32_t table, std::string_view key);
  void DeleteRange(uint32_t table, std::string_view low, std::string_view high);
  void RemoveBlobOf(uint32_t table, std::string_view key);
  bool StandOnFirst(WT_CURSOR* cursor, std::string_view low, std::string_view high);
  bool StandOnLast(WT_CURSOR* cursor, std::string_view high);
  void MakeRoomFor(std::span<const tenon_op> ops);
  void RefreshStats();

  const sdk::Host host_;
  uint64_t cache_bytes_;
  int64_t eviction_threads_, reader_limit_;

  std::optional<Layout> layout_;
  std::optional<Connection> connection_;
  std::optional<ReaderPool> readers_;
  bool read_only_ = false;
  std::atomic<bool> failed_{false};

  // Constant below table_count_.
  std::array<TableName, kMaxTables> names_;
  std::atomic<uint32_t> table_count_{0};

  std::mutex write_mutex_;  // table and apply
  WT_SESSION* write_session_ = nullptr;
  WT_CURSOR *meta_cursor_ = nullptr, *blob_cursor_ = nullptr;
  std::array<WriteState, kMaxTables> write_;
  Buffer value_;

  std::mutex persist_mutex_;  // persist and compact: a session has one user at a time
  WT_SESSION* persist_session_ = nullptr;
  uint64_t persisted_changes_ = 0;

  std::atomic<uint64_t> changes_{0};  // batches and new tables so far
  std::atomic<uint64_t> applied_index_{0}, durable_index_{0};
  std::atomic<uint64_t> cache_now_{0};  // the cache's size, when a batch needed more than is configured

  // Sizes as of the last persist, and what was written since.
  std::atomic<uint64_t> file_bytes_{0}, reusable_bytes_{0}, cached_bytes_{0}, dirty_bytes_{0}, written_bytes_{0};
  std::atomic<uint64_t> last_persist_ns_{0};
};

}  // namespace tenon::storage_wiredtiger
