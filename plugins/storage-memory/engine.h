// The engine of tests, simulations and caches: ordered tables in memory, lost at close.
//
// apply edits copy-on-write trees and then publishes their new roots; a snapshot is the roots that were published when
// it was opened. So snapshots cost nothing, block nobody and stay valid as long as they live, and rows are never copied
// out.
#pragma once
#include <tenon/sdk/storage.hpp>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugins/storage-memory/tree.h"

namespace tenon::storage_memory {

// What snapshots see: never changed once published.
struct State {
  uint64_t version = 0;
  std::vector<Root> roots;  // by table id
};

class Engine {
 public:
  static constexpr uint64_t kFeatures = TENON_ST_PINNED | TENON_ST_LONG_SNAPS;

  struct Snap {
    std::shared_ptr<const State> state;
    uint64_t opened_ns;
    const Node* RootOf(uint32_t table) const { return table < state->roots.size() ? state->roots[table] : nullptr; }
  };
  struct Cursor {
    Iterator at;
    std::string low, high;
    bool reverse, keys_only;
    const Row* next;  // the row that comes next, or nullptr
  };

  Engine(const sdk::Host& host, const sdk::Config& config);
  ~Engine();

  void Open(const tenon_storage_open& how);
  void Close();
  uint64_t DurableIndex() noexcept { return 0; }
  uint32_t Table(std::string_view name, uint32_t hint, bool create);
  void Apply(std::span<const tenon_op> ops, uint64_t index);
  Snap* SnapOpen();
  void SnapClose(Snap* snap) noexcept;
  tenon_status Get(Snap& snap, uint32_t table, std::string_view key, tenon_slice* val);
  tenon_status MultiGet(Snap& snap, uint32_t table, std::span<const tenon_slice> keys, size_t max_bytes,
                        tenon_slice* vals, size_t* done);
  Cursor* CursorOpen(Snap& snap, uint32_t table, std::string_view low, std::string_view high, uint32_t flags);
  tenon_status CursorNext(Cursor& cursor, tenon_kv* out, size_t max_rows, size_t max_bytes, size_t* n);
  tenon_status CursorSeek(Cursor& cursor, std::string_view key);
  void CursorClose(Cursor* cursor) noexcept { delete cursor; }
  void Stats(tenon_storage_stats& out) noexcept;

 private:
  // Snapshots of one version, and the memory that dies with the last of them.
  struct Readers {
    size_t snaps = 0;
    uint64_t opened_ns = 0;
    std::vector<Retired> garbage;
  };
  void CheckOps(std::span<const tenon_op> ops) const;
  void Publish(std::vector<Root> roots, Edit& edit, uint64_t index);
  static void FreeOrKeep(std::vector<Retired>& retired, uint64_t newest_reader);

  const sdk::Host host_;
  // Held by table and apply, which never run for long beside each other.
  std::mutex write_mutex_;
  std::map<std::string, uint32_t, std::less<>> tables_;
  std::vector<Root> roots_;  // of the next State
  bool open_ = false, failed_ = false;

  // Held for a few instructions only: by snap_open, snap_close and the end of apply.
  std::mutex mutex_;
  std::shared_ptr<const State> state_;
  std::map<uint64_t, Readers> readers_;  // by version

  std::atomic<uint64_t> bytes_{0}, applied_index_{0};
};

}  // namespace tenon::storage_memory
