// The storage engine as the kernel sees it: the C table of tenon/abi/storage.h in C++ clothes.
//
// Nothing is added but types, RAII and Status: contracts, threads and lifetimes of bytes are those of the header.
// Codes: NOT_FOUND -> NotFound, CORRUPT -> DataLoss, NO_SPACE -> ResourceExhausted, IO -> Internal with the system's
// words; gRPC's codes stay. An error of Open, Apply, Persist or Close is final and keeps the engine's sentence.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "include/tenon/abi/storage.h"
#include "kernel/base/ids.h"
#include "kernel/base/status.h"

namespace tenon::storage {

inline tenon_slice Slice(std::string_view v) { return {reinterpret_cast<const uint8_t*>(v.data()), v.size()}; }
inline std::string_view View(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }

// The operations of a batch; they borrow key and value until Apply returned.
inline tenon_op PutOp(uint32_t table, std::string_view key, std::string_view value) {
  return {TENON_OP_PUT, table, Slice(key), Slice(value)};
}
inline tenon_op DeleteOp(uint32_t table, std::string_view key) { return {TENON_OP_DEL, table, Slice(key), {}}; }
inline tenon_op DeleteRangeOp(uint32_t table, std::string_view low, std::string_view high) {
  return {TENON_OP_DEL_RANGE, table, Slice(low), Slice(high)};
}

// A plugin's status and error as a Status. `what` names the operation, for an error without a sentence.
Status ToStatus(tenon_status code, const tenon_error* error, std::string_view what);

class Engine;

// Rows of a range, in order. One thread at a time; closed before its Snapshot.
class Cursor {
 public:
  Cursor(Cursor&& from) noexcept
      : table_(from.table_), self_(from.self_), cursor_(std::exchange(from.cursor_, nullptr)) {}
  Cursor& operator=(Cursor&&) = delete;
  ~Cursor();

  // Fills rows from the front, at least one if any is left; 0: the end. They are valid until the next call here.
  Result<size_t> Next(std::span<tenon_kv> rows, size_t max_bytes);
  // As if opened with low = key (forward) or high = key (reverse), inside the original range.
  Status Seek(std::string_view key);

 private:
  friend class Snapshot;
  Cursor(const tenon_storage_v1* table, void* self, tenon_cursor* cursor)
      : table_(table), self_(self), cursor_(cursor) {}

  const tenon_storage_v1* table_;
  void* self_;
  tenon_cursor* cursor_;
};

// The state after the last Apply that had returned. One thread at a time; closed before its Engine.
class Snapshot {
 public:
  Snapshot(Snapshot&& from) noexcept
      : table_(from.table_), self_(from.self_), snap_(std::exchange(from.snap_, nullptr)) {}
  Snapshot& operator=(Snapshot&& from) noexcept;
  ~Snapshot() { Close(); }

  // NotFound. The bytes are valid until the next Get or MultiGet here (TENON_ST_PINNED: as long as the snapshot).
  Result<std::string_view> Get(uint32_t table, std::string_view key);
  // keys ascending. Answers the first n >= 1 of them and returns n; an absent one has p == nullptr.
  Result<size_t> MultiGet(uint32_t table, std::span<const tenon_slice> keys, size_t max_bytes, tenon_slice* values);
  // Rows in [low, high); an empty bound is open. flags: TENON_CUR_*.
  Result<Cursor> OpenCursor(uint32_t table, std::string_view low, std::string_view high, uint32_t flags = 0);
  // CRC32C over key, value, key, value, ... of the range.
  Result<uint32_t> Hash(uint32_t table, std::string_view low, std::string_view high);

 private:
  friend class Engine;
  Snapshot(const tenon_storage_v1* table, void* self, tenon_snap* snap) : table_(table), self_(self), snap_(snap) {}
  void Close();

  const tenon_storage_v1* table_;
  void* self_;
  tenon_snap* snap_;
};

class Engine {
 public:
  // Makes an instance of the module; it is stopped, closed and destroyed with the Engine. config may be nullptr.
  static Result<std::unique_ptr<Engine>> Create(const tenon_storage_v1* table, const tenon_host* host,
                                                const tenon_cfg* config);
  // Over an instance that the caller created and destroys.
  Engine(const tenon_storage_v1* table, void* self) : Engine(table, self, false) {}
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Opens or makes the store in `directory`, which exists, and starts the module. DataLoss: damaged.
  // FailedPrecondition: in use, or another engine's.
  Status Open(const std::string& directory, uint32_t flags = 0, uint64_t size_hint = 0);
  // After the last Snapshot. Persist first: closing makes nothing durable.
  Status Close();

  uint64_t features() const { return table_.m.features; }
  bool persistent() const { return (features() & TENON_ST_PERSIST) != 0; }
  void* self() const { return self_; }

  // The table's id; made if absent. The hint is a TENON_TABLE_*.
  Result<uint32_t> Table(std::string_view name, uint32_t hint);
  // NotFound: there is no such table.
  Result<uint32_t> FindTable(std::string_view name);
  Status Apply(std::span<const tenon_op> ops, Index index);
  // Unimplemented without TENON_ST_PERSIST.
  Result<Index> Persist(bool force);
  Index DurableIndex() const { return Index(table_.durable_index(self_)); }
  Result<Snapshot> OpenSnapshot();
  tenon_storage_stats Stats() const;

  // Gives unused space back. true: all done; false: the deadline came first. Unimplemented: the engine cannot.
  Result<bool> Compact(uint64_t deadline_mono_ns);
  // Looks for damage; findings are lines of text. DataLoss: there are some. Without an own check: reads all rows of
  // `tables`.
  Status Verify(bool full, std::span<const uint32_t> tables, std::string* findings);
  // Arms a fault in a test build; returns the former action.
  uint32_t Fault(const char* point, uint32_t action);

 private:
  Engine(const tenon_storage_v1* table, void* self, bool owned);

  tenon_storage_v1 table_{};  // full size whatever the plugin's is; what it lacks is nullptr
  void* self_;
  bool owned_, open_ = false;
};

}  // namespace tenon::storage
