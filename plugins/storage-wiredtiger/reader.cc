#include "plugins/storage-wiredtiger/reader.h"

#include <algorithm>

namespace tenon::storage_wiredtiger {

namespace {

tenon_slice AsOffset(size_t offset, size_t n) { return {reinterpret_cast<const uint8_t*>(offset), n}; }
void AsPointer(tenon_slice& slice, const Buffer& base) {
  slice.p = reinterpret_cast<const uint8_t*>(base.data()) + reinterpret_cast<size_t>(slice.p);
}

// Are the keys a few revisions apart, so that stepping is likely to meet the second sooner than a search from the root?
// Only a guess by the first eight bytes: stepping over many deleted rows would be slow.
bool LooksNear(std::string_view a, std::string_view b) {
  if (a.size() < 8 || b.size() < 8) return false;
  uint64_t x, y;
  std::memcpy(&x, a.data(), 8);
  std::memcpy(&y, b.data(), 8);
  return __builtin_bswap64(y) - __builtin_bswap64(x) <= 8;
}

}  // namespace

Snap::Snap(const Connection& connection)
    : connection_(connection), session_(const_cast<Connection&>(connection).OpenSession()) {}

void Snap::Begin(uint64_t now_ns) {
  connection_.Check(session_->begin_transaction(session_, "isolation=snapshot"), "begin a snapshot");
  opened_ns_ = now_ns;
}

void Snap::End() {
  // Resets all cursors, so no page stays pinned.
  session_->rollback_transaction(session_, nullptr);
  positioned_ = nullptr;
  values_.Trim();
  opened_ns_ = 0;
}

WT_CURSOR* Snap::OpenCursor(const char* uri, const char* config) {
  WT_CURSOR* cursor = nullptr;
  connection_.Check(session_->open_cursor(session_, uri, nullptr, config, &cursor), "open a cursor");
  return cursor;
}

Snap::Cursors& Snap::CursorsOf(uint32_t id) {
  if (id >= cursors_.size()) cursors_.resize(id + 1);
  return cursors_[id];
}

WT_CURSOR* Snap::CursorForGet(uint32_t id, const TableName& table) {
  WT_CURSOR*& cursor = CursorsOf(id).get;
  if (cursor == nullptr) cursor = OpenCursor(table.uri.c_str());
  if (positioned_ != nullptr && positioned_ != cursor) positioned_->reset(positioned_);
  positioned_ = cursor;
  return cursor;
}

WT_CURSOR* Snap::BlobCursor() {
  if (blobs_ == nullptr) blobs_ = OpenCursor(kBlobsUri);
  return blobs_;
}

void Snap::AppendValue(WT_CURSOR* cursor, const TableName& table, Buffer& to) {
  WT_ITEM item{};
  connection_.Check(cursor->get_value(cursor, &item), "read a value");
  std::string_view value;
  Reference reference{};
  if (ParseValue(connection_, View(item), &value, &reference)) {
    to.Append(value);
  } else {
    ReadBlob(connection_, BlobCursor(), table.name, reference, to);
  }
}

tenon_status Snap::Get(uint32_t id, const TableName& table, std::string_view key, tenon_slice* out) {
  WT_CURSOR* cursor = CursorForGet(id, table);
  const WT_ITEM item = Item(key);
  cursor->set_key(cursor, &item);
  const int ret = cursor->search(cursor);
  if (ret == WT_NOTFOUND) return TENON_NOT_FOUND;
  connection_.Check(ret, "get");
  WT_ITEM stored{};
  connection_.Check(cursor->get_value(cursor, &stored), "get");
  std::string_view value;
  Reference reference{};
  if (!ParseValue(connection_, View(stored), &value, &reference)) {
    values_.Clear();
    ReadBlob(connection_, BlobCursor(), table.name, reference, values_);
    value = {values_.data(), values_.size()};
  }
  *out = sdk::Slice(value);  // inline: the page's own bytes, which the cursor's position keeps in the cache
  return TENON_OK;
}

tenon_status Snap::MultiGet(uint32_t id, const TableName& table, std::span<const tenon_slice> keys, size_t max_bytes,
                            tenon_slice* values, size_t* done) {
  WT_CURSOR* cursor = CursorForGet(id, table);
  values_.Clear();
  values_.Extend(1);  // so that an empty value has an address
  bool positioned = false;
  std::string_view at;  // the key under the cursor, if positioned
  size_t i = 0;
  std::vector<bool> present(keys.size());
  for (; i < keys.size() && (i == 0 || values_.size() - 1 <= max_bytes); i++) {
    const std::string_view key = sdk::View(keys[i]);
    if (positioned && at < key && LooksNear(at, key)) {
      const int ret = cursor->next(cursor);
      if (ret != 0 && ret != WT_NOTFOUND) connection_.Fail(ret, "multi_get");
      positioned = ret == 0;
      WT_ITEM item{};
      if (positioned) connection_.Check(cursor->get_key(cursor, &item), "multi_get");
      at = View(item);
      if (!positioned) continue;  // the table ends before the key
    }
    if (positioned && at > key) continue;  // the row before `at` was smaller than the key
    if (!positioned || at != key) {
      const WT_ITEM item = Item(key);
      cursor->set_key(cursor, &item);
      const int ret = cursor->search(cursor);
      if (ret != 0 && ret != WT_NOTFOUND) connection_.Fail(ret, "multi_get");
      positioned = ret == 0;
      if (!positioned) continue;
      at = key;
    }
    const size_t start = values_.size();
    AppendValue(cursor, table, values_);
    values[i] = AsOffset(start, values_.size() - start);
    present[i] = true;
  }
  for (size_t j = 0; j < i; j++) {
    if (present[j]) {
      AsPointer(values[j], values_);
    } else {
      values[j] = {};
    }
  }
  connection_.Check(cursor->reset(cursor), "multi_get");
  *done = i;
  return TENON_OK;
}

Cursor::Cursor(Snap& snap, uint32_t id, const TableName& table, std::string_view low, std::string_view high,
               uint32_t flags)
    : snap_(snap),
      id_(id),
      table_(table),
      low_(low),
      high_(high),
      flags_(flags),
      from_((flags & TENON_CUR_REVERSE) ? high_ : low_) {
  auto& idle = snap.CursorsOf(id).idle;
  if (flags & TENON_CUR_NO_FILL) {
    cursor_ = snap.OpenCursor(table.uri.c_str(), "read_once=true");
  } else if (idle.empty()) {
    cursor_ = snap.OpenCursor(table.uri.c_str());
  } else {
    cursor_ = idle.back();
    idle.pop_back();
  }
}

Cursor::~Cursor() {
  if (flags_ & TENON_CUR_NO_FILL) {
    cursor_->close(cursor_);
  } else {
    cursor_->reset(cursor_);
    snap_.CursorsOf(id_).idle.push_back(cursor_);
  }
}

// Stands on the first row >= from_ (forward) or the last one < from_ (reverse).
int Cursor::Position() {
  const bool reverse = (flags_ & TENON_CUR_REVERSE) != 0;
  if (from_.empty()) {
    const int ret = cursor_->reset(cursor_);
    if (ret != 0) return ret;
    return reverse ? cursor_->prev(cursor_) : cursor_->next(cursor_);
  }
  const WT_ITEM item = Item(from_);
  cursor_->set_key(cursor_, &item);
  int exact = 0;
  const int ret = cursor_->search_near(cursor_, &exact);
  if (ret != 0) return ret;
  if (reverse) return exact >= 0 ? cursor_->prev(cursor_) : 0;
  return exact < 0 ? cursor_->next(cursor_) : 0;
}

bool Cursor::Step() {
  if (end_) return false;
  const bool reverse = (flags_ & TENON_CUR_REVERSE) != 0;
  int ret = !positioned_ ? Position() : reverse ? cursor_->prev(cursor_) : cursor_->next(cursor_);
  positioned_ = ret == 0;
  end_ = ret == WT_NOTFOUND;
  if (ret == 0) {
    WT_ITEM key{};
    snap_.connection_.Check(cursor_->get_key(cursor_, &key), "cursor_next");
    end_ = reverse ? View(key) < low_ : !high_.empty() && View(key) >= high_;
    if (end_) ret = cursor_->reset(cursor_);
    positioned_ = !end_;
  }
  if (ret != 0 && ret != WT_NOTFOUND) snap_.connection_.Fail(ret, "cursor_next");
  return !end_;
}

tenon_status Cursor::Next(tenon_kv* out, size_t max_rows, size_t max_bytes, size_t* n) {
  rows_.Clear();
  rows_.Extend(1);  // an address for what is empty
  size_t rows = 0;
  while (rows < max_rows && (rows == 0 || rows_.size() - 1 <= max_bytes) && Step()) {
    WT_ITEM key{};
    snap_.connection_.Check(cursor_->get_key(cursor_, &key), "cursor_next");
    out[rows].key = AsOffset(rows_.size(), key.size);
    rows_.Append(View(key));
    const size_t start = rows_.size();
    if (!(flags_ & TENON_CUR_KEYS_ONLY)) snap_.AppendValue(cursor_, table_, rows_);
    out[rows].val = AsOffset(start, rows_.size() - start);
    rows++;
  }
  for (size_t i = 0; i < rows; i++) {
    AsPointer(out[i].key, rows_);
    AsPointer(out[i].val, rows_);
  }
  *n = rows;
  return TENON_OK;
}

tenon_status Cursor::Seek(std::string_view key) {
  if (flags_ & TENON_CUR_REVERSE) {
    const bool inside = !key.empty() && (high_.empty() || key < high_);
    from_ = inside ? key : std::string_view(high_);
  } else {
    from_ = std::max<std::string_view>(key, low_);
  }
  end_ = positioned_ = false;
  return TENON_OK;
}

Snap* ReaderPool::Take(uint64_t now_ns) {
  Snap* snap = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    if (idle_.empty()) {
      if (all_.size() >= limit_) {
        throw sdk::Error(TENON_EXHAUSTED, "storage-wiredtiger: all " + std::to_string(limit_) + " readers are in use");
      }
      all_.push_back(std::make_unique<Snap>(connection_));
      idle_.reserve(all_.size());
      snap = all_.back().get();
    } else {
      snap = idle_.back();
      idle_.pop_back();
    }
  }
  try {
    snap->Begin(now_ns);
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    idle_.push_back(snap);
    throw;
  }
  return snap;
}

void ReaderPool::Give(Snap* snap) noexcept {
  snap->End();
  const std::scoped_lock lock(mutex_);
  idle_.push_back(snap);
}

uint32_t ReaderPool::Open(uint64_t now_ns, uint64_t* oldest_age_ns) const {
  const std::scoped_lock lock(mutex_);
  uint64_t oldest = now_ns;
  uint32_t open = 0;
  for (const auto& snap : all_) {
    const uint64_t opened = snap->opened_ns();
    if (opened == 0) continue;
    open++;
    oldest = std::min(oldest, opened);
  }
  *oldest_age_ns = now_ns - oldest;
  return open;
}

}  // namespace tenon::storage_wiredtiger
