#include "kernel/storage/engine.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "kernel/base/check.h"
#include "kernel/base/crc32c.h"

namespace tenon::storage {

namespace {

// A tenon_error to be filled by a call.
struct ErrorOut : tenon_error {
  ErrorOut() : tenon_error{} { size = sizeof(tenon_error); }
};

StatusCode CodeOf(tenon_status code) {
  if (code > 0 && code <= 16) return static_cast<StatusCode>(code);
  switch (code) {
    case TENON_AGAIN: return StatusCode::kUnavailable;
    case TENON_CORRUPT: return StatusCode::kDataLoss;
    case TENON_NO_SPACE: return StatusCode::kResourceExhausted;
    default: return StatusCode::kInternal;  // IO, FATAL and what no comment lists
  }
}

// Calls visit for each row of the range.
template <class Visit>
Status Scan(Snapshot& snapshot, uint32_t table, std::string_view low, std::string_view high, Visit visit) {
  ASSIGN_OR_RETURN(Cursor cursor, snapshot.OpenCursor(table, low, high, TENON_CUR_NO_FILL));
  std::array<tenon_kv, 256> rows;
  while (true) {
    ASSIGN_OR_RETURN(const size_t n, cursor.Next(rows, 1 << 20));
    if (n == 0) return Ok();
    for (size_t i = 0; i < n; i++) visit(rows[i]);
  }
}

}  // namespace

Status ToStatus(tenon_status code, const tenon_error* error, std::string_view what) {
  if (code == TENON_OK) return Ok();
  std::string text = error != nullptr && error->msg[0] != '\0'
                         ? std::string(error->msg, strnlen(error->msg, sizeof error->msg))
                         : fmt::format("storage: {} failed with status {}", what, code);
  if (error != nullptr && error->sys_errno != 0) {
    const std::string words = std::strerror(error->sys_errno);
    if (text.find(words) == std::string::npos) text += ": " + words;
  }
  return Status(CodeOf(code), ToAbsl(text));
}

Cursor::~Cursor() {
  if (cursor_ != nullptr) table_->cursor_close(self_, cursor_);
}

Result<size_t> Cursor::Next(std::span<tenon_kv> rows, size_t max_bytes) {
  size_t n = 0;
  const tenon_status code = table_->cursor_next(self_, cursor_, rows.data(), rows.size(), max_bytes, &n);
  if (code != TENON_OK) return ToStatus(code, nullptr, "cursor_next");
  return n;
}

Status Cursor::Seek(std::string_view key) {
  return ToStatus(table_->cursor_seek(self_, cursor_, Slice(key)), nullptr, "cursor_seek");
}

Snapshot& Snapshot::operator=(Snapshot&& from) noexcept {
  if (this == &from) return *this;
  Close();
  table_ = from.table_;
  self_ = from.self_;
  snap_ = std::exchange(from.snap_, nullptr);
  return *this;
}

void Snapshot::Close() {
  if (snap_ != nullptr) table_->snap_close(self_, std::exchange(snap_, nullptr));
}

Result<std::string_view> Snapshot::Get(uint32_t table, std::string_view key) {
  tenon_slice value{};
  const tenon_status code = table_->get(self_, snap_, table, Slice(key), &value);
  if (code == TENON_NOT_FOUND) return Status(StatusCode::kNotFound, {});
  if (code != TENON_OK) return ToStatus(code, nullptr, "get");
  return View(value);
}

Result<size_t> Snapshot::MultiGet(uint32_t table, std::span<const tenon_slice> keys, size_t max_bytes,
                                  tenon_slice* values) {
  size_t done = 0;
  const tenon_status code = table_->multi_get(self_, snap_, table, keys.data(), keys.size(), max_bytes, values, &done);
  if (code != TENON_OK) return ToStatus(code, nullptr, "multi_get");
  return done;
}

Result<Cursor> Snapshot::OpenCursor(uint32_t table, std::string_view low, std::string_view high, uint32_t flags) {
  ErrorOut error;
  tenon_cursor* cursor = nullptr;
  const tenon_status code = table_->cursor_open(self_, snap_, table, {Slice(low), Slice(high)}, flags, &cursor, &error);
  if (code != TENON_OK) return ToStatus(code, &error, "cursor_open");
  return Cursor(table_, self_, cursor);
}

Result<uint32_t> Snapshot::Hash(uint32_t table, std::string_view low, std::string_view high) {
  uint32_t crc = 0;
  if (table_->hash != nullptr) {
    ErrorOut error;
    const tenon_status code = table_->hash(self_, snap_, table, {Slice(low), Slice(high)}, &crc, &error);
    if (code != TENON_OK) return ToStatus(code, &error, "hash");
    return crc;
  }
  RETURN_IF_ERROR(Scan(*this, table, low, high,
                       [&](const tenon_kv& row) { crc = Crc32c(Crc32c(crc, View(row.key)), View(row.val)); }));
  return crc;
}

Engine::Engine(const tenon_storage_v1* table, void* self, bool owned) : self_(self), owned_(owned) {
  CHECK_GE(table->m.size, offsetof(tenon_storage_v1, hash));  // the loader refuses a table without the required part
  std::memcpy(&table_, table, std::min<size_t>(table->m.size, sizeof table_));
  table_.m.size = sizeof table_;
}

Result<std::unique_ptr<Engine>> Engine::Create(const tenon_storage_v1* table, const tenon_host* host,
                                               const tenon_cfg* config) {
  ErrorOut error;
  void* self = nullptr;
  const tenon_status code = table->m.create(host, config, &self, &error);
  if (code != TENON_OK) return ToStatus(code, &error, "create");
  return std::unique_ptr<Engine>(new Engine(table, self, true));
}

Engine::~Engine() {
  if (open_) Close().IgnoreError();  // not a durability point: it counts as a crash
  if (owned_) table_.m.destroy(self_);
}

Status Engine::Open(const std::string& directory, uint32_t flags, uint64_t size_hint) {
  CHECK(!open_);
  ErrorOut error;
  const tenon_storage_open how{sizeof how, flags, Slice(directory), size_hint};
  RETURN_IF_ERROR(ToStatus(table_.open(self_, &how, &error), &error, "open"));
  open_ = true;
  if (!owned_) return Ok();  // its owner starts and stops it
  Status started = ToStatus(table_.m.start(self_, &error), &error, "start");
  if (!started.ok()) {
    open_ = false;
    table_.close(self_, nullptr);
  }
  return started;
}

Status Engine::Close() {
  CHECK(open_);
  open_ = false;
  ErrorOut error;
  const tenon_status code = table_.close(self_, &error);
  if (owned_) table_.m.stop(self_);
  return ToStatus(code, &error, "close");
}

Result<uint32_t> Engine::Table(std::string_view name, uint32_t hint) {
  ErrorOut error;
  uint32_t id = 0;
  const tenon_status code = table_.table(self_, Slice(name), hint, 1, &id, &error);
  if (code != TENON_OK) return ToStatus(code, &error, "table");
  return id;
}

Result<uint32_t> Engine::FindTable(std::string_view name) {
  ErrorOut error;
  uint32_t id = 0;
  const tenon_status code = table_.table(self_, Slice(name), TENON_TABLE_RANDOM, 0, &id, &error);
  if (code != TENON_OK) return ToStatus(code, &error, "table");
  return id;
}

Status Engine::Apply(std::span<const tenon_op> ops, Index index) {
  ErrorOut error;
  return ToStatus(table_.apply(self_, ops.data(), ops.size(), index.value, &error), &error, "apply");
}

Result<Index> Engine::Persist(bool force) {
  if (!persistent() || table_.persist == nullptr) {
    return Status(StatusCode::kUnimplemented, "storage: this engine does not persist");
  }
  ErrorOut error;
  uint64_t durable = 0;
  const tenon_status code = table_.persist(self_, force ? TENON_PERSIST_FORCE : 0, &durable, &error);
  if (code != TENON_OK) return ToStatus(code, &error, "persist");
  return Index(durable);
}

Result<Snapshot> Engine::OpenSnapshot() {
  ErrorOut error;
  tenon_snap* snap = nullptr;
  const tenon_status code = table_.snap_open(self_, &snap, &error);
  if (code != TENON_OK) return ToStatus(code, &error, "snap_open");
  return Snapshot(&table_, self_, snap);
}

tenon_storage_stats Engine::Stats() const {
  tenon_storage_stats stats{};
  stats.size = sizeof stats;
  table_.stats(self_, &stats);
  return stats;
}

Result<bool> Engine::Compact(uint64_t deadline_mono_ns) {
  if (table_.compact == nullptr)
    return Status(StatusCode::kUnimplemented, "storage: this engine does not compact itself");
  ErrorOut error;
  const tenon_status code = table_.compact(self_, deadline_mono_ns, &error);
  if (code != TENON_OK && code != TENON_DEADLINE) return ToStatus(code, &error, "compact");
  return code == TENON_OK;
}

Status Engine::Verify(bool full, std::span<const uint32_t> tables, std::string* findings) {
  if (table_.verify == nullptr) {
    ASSIGN_OR_RETURN(Snapshot snapshot, OpenSnapshot());
    for (const uint32_t table : tables) RETURN_IF_ERROR(Scan(snapshot, table, "", "", [](const tenon_kv&) {}));
    return Ok();
  }
  const tenon_sink sink{findings, [](void* to, tenon_slice chunk) -> tenon_status {
                          if (to != nullptr) static_cast<std::string*>(to)->append(View(chunk)).append("\n");
                          return TENON_OK;
                        }};
  ErrorOut error;
  return ToStatus(table_.verify(self_, full ? TENON_VERIFY_FULL : 0, &sink, &error), &error, "verify");
}

uint32_t Engine::Fault(const char* point, uint32_t action) {
  return table_.fault == nullptr ? 0 : table_.fault(self_, point, action);
}

}  // namespace tenon::storage
