#include "plugins/storage-memory/engine.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "plugins/storage-memory/storage_memory.h"

namespace tenon::storage_memory {

constexpr size_t kMaxKey = 511, kMaxValue = 64ull << 20;

extern constexpr tenon_storage_v1 kTable = sdk::StorageTable<Engine>();
extern const char kConfigSchema[] = R"({"type":"object","properties":{},"additionalProperties":false})";

const tenon_storage_v1* Vtable() { return &kTable; }

Engine::Engine(const sdk::Host& host, const sdk::Config&) : host_(host) {}

Engine::~Engine() {
  if (open_) Close();
}

void Engine::Open(const tenon_storage_open&) {
  if (open_) throw sdk::Error(TENON_PRECONDITION, "storage-memory: already open");
  state_ = std::make_shared<const State>();
  open_ = true;
}

void Engine::Close() {
  // From what is published, not from roots_: a batch that failed leaves those half changed.
  for (const Root root : state_->roots) FreeAll(root);
  for (auto& [version, readers] : readers_) {
    for (const Retired& r : readers.garbage) std::free(r.memory);
  }
  readers_.clear();
  state_.reset();
  tables_.clear();
  roots_.clear();
  bytes_ = applied_index_ = 0;
  open_ = failed_ = false;
}

uint32_t Engine::Table(std::string_view name, uint32_t, bool create) {
  const std::scoped_lock lock(write_mutex_);
  if (auto found = tables_.find(name); found != tables_.end()) return found->second;
  if (!create) throw sdk::Error(TENON_NOT_FOUND, "storage-memory: no table " + std::string(name));
  const auto id = static_cast<uint32_t>(roots_.size());
  roots_.push_back(nullptr);
  tables_.emplace(name, id);
  return id;
}

// Before anything is changed, so that a refused batch leaves nothing half made.
void Engine::CheckOps(std::span<const tenon_op> ops) const {
  for (const tenon_op& op : ops) {
    if (op.table >= roots_.size()) throw sdk::Error(TENON_INVALID, "storage-memory: no such table in a batch");
    if (op.type == TENON_OP_DEL_RANGE) continue;
    if (op.type != TENON_OP_PUT && op.type != TENON_OP_DEL) {
      throw sdk::Error(TENON_UNIMPLEMENTED, "storage-memory: unknown operation in a batch");
    }
    if (op.key.n == 0 || op.key.n > kMaxKey || op.val.n > kMaxValue) {
      throw sdk::Error(TENON_INVALID, "storage-memory: a key is not 1..511 bytes or a value is over 64 MiB");
    }
  }
}

void Engine::Apply(std::span<const tenon_op> ops, uint64_t index) {
  const std::scoped_lock lock(write_mutex_);
  if (!open_ || failed_) throw sdk::Error(TENON_PRECONDITION, "storage-memory: not open, or failed before");
  failed_ = true;  // until the batch is whole
  CheckOps(ops);
  Edit edit{state_->version + 1};
  for (const tenon_op& op : ops) {
    const std::string_view key = sdk::View(op.key), val = sdk::View(op.val);
    Root& root = roots_[op.table];
    if (op.type == TENON_OP_PUT) {
      Put(root, key, val, edit);
    } else if (op.type == TENON_OP_DEL) {
      Delete(root, key, edit);
    } else {
      DeleteRange(root, key, val, edit);
    }
  }
  Publish(roots_, edit, index);
  failed_ = false;
}

void Engine::Publish(std::vector<Root> roots, Edit& edit, uint64_t index) {
  auto next = std::make_shared<State>();
  next->version = edit.version;
  next->roots = std::move(roots);
  bytes_.fetch_add(static_cast<uint64_t>(edit.bytes), std::memory_order_relaxed);
  applied_index_.store(index, std::memory_order_relaxed);
  uint64_t newest_reader = 0;
  std::shared_ptr<const State> former;  // its last reference must not go under the lock
  {
    const std::scoped_lock lock(mutex_);
    former = std::exchange(state_, std::move(next));
    // Every snapshot that is open now is older than this version; later ones do not see what it retired.
    newest_reader = readers_.empty() ? UINT64_MAX : readers_.rbegin()->first;
  }
  FreeOrKeep(edit.retired, newest_reader);
  if (edit.retired.empty()) return;
  std::unique_lock lock(mutex_);
  // The newest reader older than this version; it may have closed meanwhile.
  auto reader = readers_.lower_bound(edit.version);
  if (reader == readers_.begin()) {
    lock.unlock();
    return FreeOrKeep(edit.retired, UINT64_MAX);
  }
  auto& garbage = std::prev(reader)->second.garbage;
  if (garbage.empty()) {
    garbage.swap(edit.retired);
  } else {
    garbage.insert(garbage.end(), edit.retired.begin(), edit.retired.end());
  }
}

// Frees what no reader up to newest_reader can see (UINT64_MAX: there is no reader) and keeps the rest in `retired`.
void Engine::FreeOrKeep(std::vector<Retired>& retired, uint64_t newest_reader) {
  std::erase_if(retired, [&](const Retired& r) {
    const bool dead = newest_reader == UINT64_MAX || r.created > newest_reader;
    if (dead) std::free(r.memory);
    return dead;
  });
}

Engine::Snap* Engine::SnapOpen() {
  auto snap = std::make_unique<Snap>();
  snap->opened_ns = host_.MonoNs();
  const std::scoped_lock lock(mutex_);
  if (state_ == nullptr) throw sdk::Error(TENON_PRECONDITION, "storage-memory: not open");
  snap->state = state_;
  Readers& readers = readers_[state_->version];
  if (readers.snaps++ == 0) readers.opened_ns = snap->opened_ns;
  return snap.release();
}

void Engine::SnapClose(Snap* snap) noexcept {
  const std::unique_ptr<Snap> owned(snap);
  std::vector<Retired> dead;
  uint64_t older = UINT64_MAX;
  {
    const std::scoped_lock lock(mutex_);
    const auto it = readers_.find(snap->state->version);
    if (--it->second.snaps > 0) return;
    dead = std::move(it->second.garbage);
    if (it != readers_.begin()) {
      // The next older snapshot sees the part of it that is as old as itself.
      auto& [version, readers] = *std::prev(it);
      older = version;
      const auto alive = std::partition(dead.begin(), dead.end(), [&](const Retired& r) { return r.created > older; });
      readers.garbage.insert(readers.garbage.end(), alive, dead.end());
      dead.erase(alive, dead.end());
    }
    readers_.erase(it);
  }
  for (const Retired& r : dead) std::free(r.memory);
}

tenon_status Engine::Get(Snap& snap, uint32_t table, std::string_view key, tenon_slice* val) {
  const Row* row = Find(snap.RootOf(table), key);
  if (row == nullptr) return TENON_NOT_FOUND;
  *val = sdk::Slice(row->value());
  return TENON_OK;
}

tenon_status Engine::MultiGet(Snap& snap, uint32_t table, std::span<const tenon_slice> keys, size_t max_bytes,
                              tenon_slice* vals, size_t* done) {
  const Node* root = snap.RootOf(table);
  size_t bytes = 0, i = 0;
  for (; i < keys.size() && (i == 0 || bytes <= max_bytes); i++) {
    const Row* row = Find(root, sdk::View(keys[i]));
    vals[i] = row == nullptr ? tenon_slice{} : sdk::Slice(row->value());
    bytes += vals[i].n;
  }
  *done = i;
  return TENON_OK;
}

Engine::Cursor* Engine::CursorOpen(Snap& snap, uint32_t table, std::string_view low, std::string_view high,
                                   uint32_t flags) {
  auto cursor =
      std::make_unique<Cursor>(Cursor{Iterator(snap.RootOf(table)), std::string(low), std::string(high),
                                      (flags & TENON_CUR_REVERSE) != 0, (flags & TENON_CUR_KEYS_ONLY) != 0, nullptr});
  cursor->next = cursor->reverse ? cursor->at.SeekBefore(cursor->high) : cursor->at.SeekAtLeast(cursor->low);
  return cursor.release();
}

tenon_status Engine::CursorNext(Cursor& c, tenon_kv* out, size_t max_rows, size_t max_bytes, size_t* n) {
  size_t bytes = 0, rows = 0;
  while (c.next != nullptr && rows < max_rows && (rows == 0 || bytes <= max_bytes)) {
    const std::string_view key = c.next->key();
    const bool past_end = c.reverse ? key < c.low : !c.high.empty() && key >= c.high;
    if (past_end) {
      c.next = nullptr;
      break;
    }
    out[rows].key = sdk::Slice(key);
    out[rows].val = c.keys_only ? tenon_slice{} : sdk::Slice(c.next->value());
    bytes += out[rows].key.n + out[rows].val.n;
    rows++;
    c.next = c.reverse ? c.at.Previous() : c.at.Next();
  }
  *n = rows;
  return TENON_OK;
}

tenon_status Engine::CursorSeek(Cursor& c, std::string_view key) {
  if (c.reverse) {
    const bool inside = !key.empty() && (c.high.empty() || key < c.high);
    c.next = c.at.SeekBefore(inside ? key : std::string_view(c.high));
  } else {
    c.next = c.at.SeekAtLeast(std::max<std::string_view>(key, c.low));
  }
  return TENON_OK;
}

void Engine::Stats(tenon_storage_stats& out) noexcept {
  const uint32_t size = out.size;
  out = tenon_storage_stats{};
  out.size = size;
  out.size_bytes = out.size_in_use_bytes = out.cache_bytes = bytes_.load(std::memory_order_relaxed);
  out.applied_index = applied_index_.load(std::memory_order_relaxed);
  const uint64_t now = host_.MonoNs();
  const std::scoped_lock lock(mutex_);
  for (const auto& [version, readers] : readers_) out.open_snaps += static_cast<uint32_t>(readers.snaps);
  if (!readers_.empty()) out.oldest_snap_age_ns = now - readers_.begin()->second.opened_ns;
}

}  // namespace tenon::storage_memory
