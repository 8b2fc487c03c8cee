// Snapshots: sessions of a pool, each inside a snapshot transaction, with cursors that stay open between snapshots.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "plugins/storage-wiredtiger/blobs.h"
#include "plugins/storage-wiredtiger/connection.h"

namespace tenon::storage_wiredtiger {

// A table as readers need it; constant once its id was given out.
struct TableName {
  std::string name, uri;
};

class Cursor;

// One session, one thread at a time.
class Snap {
 public:
  explicit Snap(const Connection& connection);

  void Begin(uint64_t now_ns);
  void End();
  uint64_t opened_ns() const { return opened_ns_; }  // 0: idle

  // NOT_FOUND; *value is valid until the next Get, MultiGet or End.
  tenon_status Get(uint32_t id, const TableName& table, std::string_view key, tenon_slice* value);
  tenon_status MultiGet(uint32_t id, const TableName& table, std::span<const tenon_slice> keys, size_t max_bytes,
                        tenon_slice* values, size_t* done);

 private:
  friend class Cursor;
  struct Cursors {
    WT_CURSOR* get = nullptr;
    std::vector<WT_CURSOR*> idle;  // of closed range cursors
  };
  WT_CURSOR* OpenCursor(const char* uri, const char* config = nullptr);
  WT_CURSOR* CursorForGet(uint32_t id, const TableName& table);
  Cursors& CursorsOf(uint32_t id);
  WT_CURSOR* BlobCursor();
  // Appends the row's value at which `cursor` stands.
  void AppendValue(WT_CURSOR* cursor, const TableName& table, Buffer& to);

  const Connection& connection_;
  WT_SESSION* session_;
  std::atomic<uint64_t> opened_ns_{0};
  std::vector<Cursors> cursors_;  // by table id
  WT_CURSOR* blobs_ = nullptr;
  WT_CURSOR* positioned_ = nullptr;  // the get cursor whose row is given out
  Buffer values_;
};

// Rows of a range.
class Cursor {
 public:
  Cursor(Snap& snap, uint32_t id, const TableName& table, std::string_view low, std::string_view high, uint32_t flags);
  ~Cursor();
  Cursor(const Cursor&) = delete;

  tenon_status Next(tenon_kv* out, size_t max_rows, size_t max_bytes, size_t* n);
  tenon_status Seek(std::string_view key);

 private:
  bool Step();  // to the next row inside the range; false: the end
  int Position();

  Snap& snap_;
  const uint32_t id_;
  const TableName& table_;
  const std::string low_, high_;
  const uint32_t flags_;
  std::string from_;  // where the next row is searched when not positioned
  WT_CURSOR* cursor_;
  bool positioned_ = false, end_ = false;
  Buffer rows_;
};

// Up to `limit` sessions, kept open for the next snapshot.
class ReaderPool {
 public:
  ReaderPool(const Connection& connection, size_t limit) : connection_(connection), limit_(limit) {}
  Snap* Take(uint64_t now_ns);  // throws EXHAUSTED
  void Give(Snap* snap) noexcept;
  // Open snapshots and the age of the oldest.
  uint32_t Open(uint64_t now_ns, uint64_t* oldest_age_ns) const;

 private:
  const Connection& connection_;
  const size_t limit_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Snap>> all_;
  std::vector<Snap*> idle_;
};

}  // namespace tenon::storage_wiredtiger
