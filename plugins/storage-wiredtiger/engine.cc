#include "plugins/storage-wiredtiger/engine.h"

#include <algorithm>

#include "plugins/storage-wiredtiger/storage_wiredtiger.h"

namespace tenon::storage_wiredtiger {

extern constexpr tenon_storage_v1 kTable = sdk::StorageTable<Engine>();
extern const char kConfigSchema[] = R"({
  "type": "object",
  "properties": {
    "cache": { "type": "string" },
    "eviction-threads": { "type": "integer", "minimum": 1, "maximum": 8 },
    "readers": { "type": "integer", "minimum": 8, "maximum": 1000 }
  },
  "additionalProperties": false
})";

namespace {

constexpr uint64_t kMinCache = 16ull << 20, kMaxCache = 1ull << 40;
constexpr size_t kMaxKey = 511, kMaxValue = 64ull << 20;
constexpr uint64_t kFormat = 1;
constexpr char kMetaUri[] = "table:tenon_meta";
constexpr char kMetaConfig[] = "key_format=S,value_format=Q";

std::string TableConfig(uint32_t hint) {
  std::string config = "key_format=u,value_format=u,internal_page_max=16KB,leaf_value_max=16KB";
  // Rows that come in order fill their pages; one that comes between others needs room.
  config += hint == TENON_TABLE_APPEND  ? ",leaf_page_max=32KB,split_pct=98"
            : hint == TENON_TABLE_SMALL ? ",leaf_page_max=16KB,split_pct=90,memory_page_max=1MB"
                                        : ",leaf_page_max=32KB,split_pct=75";
  return config;
}

// A table's name may hold a slash, a file's name may not; "~" is in no table's name.
std::string UriOf(std::string_view name) {
  std::string uri = "table:t_" + std::string(name);
  std::replace(uri.begin(), uri.end(), '/', '~');
  return uri;
}

int64_t Statistic(WT_CURSOR* cursor, int key) {
  const char *description = nullptr, *text = nullptr;
  int64_t value = 0;
  cursor->set_key(cursor, key);
  if (cursor->search(cursor) != 0 || cursor->get_value(cursor, &description, &text, &value) != 0) return 0;
  return value;
}

}  // namespace

Engine::Engine(const sdk::Host& host, const sdk::Config& config)
    : host_(host),
      cache_bytes_(config.Bytes("cache", 64ull << 20)),
      eviction_threads_(config.I64("eviction-threads", 2)),
      reader_limit_(config.I64("readers", 128)) {
  if (cache_bytes_ < kMinCache || cache_bytes_ > kMaxCache) throw config.Wrong("cache", "must be from 16MiB to 1TiB");
  if (eviction_threads_ < 1 || eviction_threads_ > 8) throw config.Wrong("eviction-threads", "must be from 1 to 8");
  if (reader_limit_ < 8 || reader_limit_ > 1000) throw config.Wrong("readers", "must be from 8 to 1000");
}

Engine::~Engine() {
  readers_.reset();
  connection_.reset();
}

std::string Engine::ConnectionConfig(bool create) const {
  // No log: the raft log is ours. No idle sweep: closing a changed table would write a checkpoint of that file alone.
  std::string config = "log=(enabled=false),statistics=(fast),config_base=false,use_environment=false";
  config += ",file_manager=(close_idle_time=0),session_max=" + std::to_string(reader_limit_ + 32);
  // What is clean leaves beyond a fifth of the cache: rows and files are cached elsewhere. The rest is for a batch.
  config += ",cache_size=" + std::to_string(cache_bytes_) + ",eviction_target=20";
  config += ",eviction=(threads_min=1,threads_max=" + std::to_string(eviction_threads_) + ")";
  if (create) config += ",create";
  if (read_only_) config += ",readonly=true";
  return config;
}

void Engine::Open(const tenon_storage_open& how) {
  if (connection_) throw sdk::Error(TENON_PRECONDITION, "storage-wiredtiger: already open");
  read_only_ = (how.flags & TENON_OPEN_READ_ONLY) != 0;
  layout_.emplace(std::string(sdk::View(how.dir)));
  try {
    layout_->Lock();
    if (!layout_->Exists()) {
      if (read_only_) throw sdk::Error(TENON_PRECONDITION, "storage-wiredtiger: there is no store to read");
      MakeStore(layout_->BeginNew());
      layout_->CommitNew();
    }
    OpenStore(layout_->home());
  } catch (...) {
    readers_.reset();
    connection_.reset();
    layout_.reset();
    throw;
  }
}

void Engine::MakeStore(const std::string& home) {
  Connection connection(host_);
  connection.Open(home, ConnectionConfig(true));
  WT_SESSION* session = connection.OpenSession();
  connection.Check(session->create(session, kMetaUri, kMetaConfig), "make a table");
  connection.Check(session->create(session, kBlobsUri, kBlobsConfig), "make a table");
  WT_CURSOR* cursor = nullptr;
  connection.Check(session->open_cursor(session, kMetaUri, nullptr, nullptr, &cursor), "open a cursor");
  for (const auto& [key, value] : {std::pair{"format", kFormat}, std::pair{"index", uint64_t{0}}}) {
    cursor->set_key(cursor, key);
    cursor->set_value(cursor, value);
    connection.Check(cursor->insert(cursor), "write the format");
  }
  connection.Check(session->checkpoint(session, nullptr), "checkpoint");
  connection.Close();
}

void Engine::OpenStore(const std::string& home) {
  connection_.emplace(host_);
  connection_->Open(home, ConnectionConfig(false));
  readers_.emplace(*connection_, static_cast<size_t>(reader_limit_));
  write_session_ = connection_->OpenSession();
  persist_session_ = connection_->OpenSession();
  CheckFiles(*connection_, write_session_, home);
  meta_cursor_ = OpenWriteCursor(kMetaUri);
  blob_cursor_ = OpenWriteCursor(kBlobsUri);

  const auto number = [&](const char* key) {
    uint64_t value = 0;
    meta_cursor_->set_key(meta_cursor_, key);
    connection_->Check(meta_cursor_->search(meta_cursor_), std::string("read the row ") + key);
    connection_->Check(meta_cursor_->get_value(meta_cursor_, &value), std::string("read the row ") + key);
    return value;
  };
  if (const uint64_t format = number("format"); format != kFormat) {
    throw sdk::Error(TENON_PRECONDITION, "storage-wiredtiger: format " + std::to_string(format) +
                                             " of a newer version; this one reads " + std::to_string(kFormat));
  }
  const uint64_t index = number("index");
  connection_->Check(meta_cursor_->reset(meta_cursor_), "reset a cursor");
  applied_index_ = durable_index_ = index;
  table_count_ = 0;
  changes_ = persisted_changes_ = 0;
  cache_now_ = cache_bytes_;
  failed_ = false;
  RefreshStats();
  connection_->SetServing();
}

void Engine::Close() {
  readers_.reset();  // its sessions close with the connection
  write_ = {};
  try {
    connection_->Close();
  } catch (...) {
    connection_.reset();
    layout_.reset();
    throw;
  }
  connection_.reset();
  layout_.reset();
}

WT_CURSOR* Engine::OpenWriteCursor(const char* uri) {
  WT_CURSOR* cursor = nullptr;
  const int ret = write_session_->open_cursor(write_session_, uri, nullptr, nullptr, &cursor);
  if (ret == ENOENT) connection_->Corrupt(std::string(uri) + " is missing");
  connection_->Check(ret, std::string("open ") + uri);
  return cursor;
}

void Engine::CheckUsable() const {
  if (!connection_) throw sdk::Error(TENON_PRECONDITION, "storage-wiredtiger: not open");
  if (failed_) throw sdk::Error(TENON_PRECONDITION, "storage-wiredtiger: refused, an earlier error was final");
}

const TableName& Engine::NameOf(uint32_t table) const {
  if (table >= table_count_.load(std::memory_order_acquire)) {
    throw sdk::Error(TENON_INVALID, "storage-wiredtiger: no table " + std::to_string(table));
  }
  return names_[table];
}

uint32_t Engine::Table(std::string_view name, uint32_t hint, bool create) {
  const std::scoped_lock lock(write_mutex_);
  CheckUsable();
  const uint32_t count = table_count_;
  for (uint32_t id = 0; id < count; id++) {
    if (names_[id].name == name) return id;
  }
  const std::string uri = UriOf(name);
  // The cursor stays open, so that this table's handle never closes (see ConnectionConfig).
  WT_CURSOR* cursor = nullptr;
  int ret = write_session_->open_cursor(write_session_, uri.c_str(), nullptr, nullptr, &cursor);
  if (ret == ENOENT) {
    if (!create || read_only_) throw sdk::Error(TENON_NOT_FOUND, "storage-wiredtiger: no table " + std::string(name));
    if (count == kMaxTables) throw sdk::Error(TENON_EXHAUSTED, "storage-wiredtiger: there are 256 tables already");
    connection_->Check(write_session_->create(write_session_, uri.c_str(), TableConfig(hint).c_str()), "make a table");
    cursor = OpenWriteCursor(uri.c_str());
    changes_++;
  } else {
    connection_->Check(ret, "open " + uri);
  }

  WriteState& state = write_[count];
  state = WriteState{cursor};
  ret = cursor->prev(cursor);
  if (ret == 0) {
    WT_ITEM key{};
    connection_->Check(cursor->get_key(cursor, &key), "read the last key");
    state.greatest = View(key);
  } else if (ret != WT_NOTFOUND) {
    connection_->Fail(ret, "read the last row of " + uri);
  }
  connection_->Check(cursor->reset(cursor), "reset a cursor");
  uint64_t last_blob = 0;
  state.has_blobs = LastBlob(*connection_, blob_cursor_, name, &last_blob);
  state.next_blob = state.has_blobs ? last_blob + 1 : 0;

  names_[count] = {std::string(name), uri};
  table_count_.store(count + 1, std::memory_order_release);
  return count;
}

void Engine::Apply(std::span<const tenon_op> ops, uint64_t index) {
  const std::scoped_lock lock(write_mutex_);
  CheckUsable();
  if (read_only_) throw sdk::Error(TENON_PRECONDITION, "storage-wiredtiger: opened to read only");
  try {
    MakeRoomFor(ops);
    connection_->Check(write_session_->begin_transaction(write_session_, "isolation=snapshot"), "begin a batch");
    ApplyOnce(ops, index);
    connection_->Check(write_session_->commit_transaction(write_session_, nullptr), "commit a batch");
  } catch (...) {
    failed_ = true;
    write_session_->rollback_transaction(write_session_, nullptr);  // an error if none is open; that is all right
    throw;
  }
  applied_index_.store(index, std::memory_order_release);
  changes_.fetch_add(1, std::memory_order_release);
}

void Engine::ApplyOnce(std::span<const tenon_op> ops, uint64_t index) {
  uint64_t bytes = 0;
  for (const tenon_op& op : ops) {
    NameOf(op.table);
    const std::string_view key = sdk::View(op.key), val = sdk::View(op.val);
    if (op.type == TENON_OP_DEL_RANGE) {
      DeleteRange(op.table, key, val);
      continue;
    }
    if (key.empty() || key.size() > kMaxKey || val.size() > kMaxValue) {
      throw sdk::Error(TENON_INVALID, "storage-wiredtiger: a key is not 1..511 bytes or a value is over 64 MiB");
    }
    if (op.type == TENON_OP_PUT) {
      Put(op.table, key, val);
      bytes += key.size() + val.size();
    } else if (op.type == TENON_OP_DEL) {
      Delete(op.table, key);
    } else {
      throw sdk::Error(TENON_UNIMPLEMENTED, "storage-wiredtiger: unknown operation in a batch");
    }
  }
  meta_cursor_->set_key(meta_cursor_, "index");
  meta_cursor_->set_value(meta_cursor_, index);
  connection_->Check(meta_cursor_->insert(meta_cursor_), "write the index");
  written_bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

void Engine::Put(uint32_t table, std::string_view key, std::string_view value) {
  WriteState& state = write_[table];
  if (key > state.greatest) {
    state.greatest = key;
  } else if (state.has_blobs) {
    RemoveBlobOf(table, key);
  }
  value_.Trim();
  if (value.size() <= kInlineMax) {
    AppendInline(value_, value);
  } else {
    const Reference reference{state.next_blob++, value.size()};
    state.has_blobs = true;
    WriteBlob(*connection_, blob_cursor_, names_[table].name, reference, value);
    AppendReference(value_, reference);
  }
  const WT_ITEM k = Item(key), v = Item({value_.data(), value_.size()});
  state.cursor->set_key(state.cursor, &k);
  state.cursor->set_value(state.cursor, &v);
  connection_->Check(state.cursor->insert(state.cursor), "put");
}

void Engine::Delete(uint32_t table, std::string_view key) {
  WriteState& state = write_[table];
  if (state.has_blobs) RemoveBlobOf(table, key);
  const WT_ITEM k = Item(key);
  state.cursor->set_key(state.cursor, &k);
  const int ret = state.cursor->remove(state.cursor);
  if (ret != 0 && ret != WT_NOTFOUND) connection_->Fail(ret, "delete");
  connection_->Check(state.cursor->reset(state.cursor), "reset a cursor");
}

void Engine::RemoveBlobOf(uint32_t table, std::string_view key) {
  WT_CURSOR* cursor = write_[table].cursor;
  const WT_ITEM k = Item(key);
  cursor->set_key(cursor, &k);
  const int ret = cursor->search(cursor);
  if (ret == WT_NOTFOUND) return;
  connection_->Check(ret, "look for a large value");
  WT_ITEM stored{};
  connection_->Check(cursor->get_value(cursor, &stored), "look for a large value");
  std::string_view value;
  Reference reference{};
  const bool is_inline = ParseValue(*connection_, View(stored), &value, &reference);
  connection_->Check(cursor->reset(cursor), "reset a cursor");
  if (!is_inline) RemoveBlob(*connection_, blob_cursor_, names_[table].name, reference);
}

// Stands on the first row >= low; false: there is none below high.
bool Engine::StandOnFirst(WT_CURSOR* cursor, std::string_view low, std::string_view high) {
  int ret = 0, exact = 0;
  if (low.empty()) {
    ret = cursor->next(cursor);
  } else {
    const WT_ITEM k = Item(low);
    cursor->set_key(cursor, &k);
    ret = cursor->search_near(cursor, &exact);
    if (ret == 0 && exact < 0) ret = cursor->next(cursor);
  }
  if (ret == WT_NOTFOUND) return false;
  connection_->Check(ret, "delete a range");
  WT_ITEM key{};
  connection_->Check(cursor->get_key(cursor, &key), "delete a range");
  return high.empty() || View(key) < high;
}

// Stands on the last row < high; false: there is none.
bool Engine::StandOnLast(WT_CURSOR* cursor, std::string_view high) {
  int ret = 0, exact = 0;
  if (high.empty()) {
    ret = cursor->prev(cursor);
  } else {
    const WT_ITEM k = Item(high);
    cursor->set_key(cursor, &k);
    ret = cursor->search_near(cursor, &exact);
    if (ret == 0 && exact >= 0) ret = cursor->prev(cursor);
  }
  if (ret == WT_NOTFOUND) return false;
  connection_->Check(ret, "delete a range");
  return true;
}

void Engine::DeleteRange(uint32_t table, std::string_view low, std::string_view high) {
  if (!high.empty() && low >= high) return;
  WriteState& state = write_[table];
  WT_CURSOR* first = state.cursor;
  if (state.has_blobs) {
    for (bool on = StandOnFirst(first, low, high); on;) {
      WT_ITEM key{}, stored{};
      connection_->Check(first->get_key(first, &key), "delete a range");
      if (!high.empty() && View(key) >= high) break;
      connection_->Check(first->get_value(first, &stored), "delete a range");
      std::string_view value;
      Reference reference{};
      if (!ParseValue(*connection_, View(stored), &value, &reference)) {
        RemoveBlob(*connection_, blob_cursor_, names_[table].name, reference);
      }
      const int ret = first->next(first);
      if (ret != 0 && ret != WT_NOTFOUND) connection_->Fail(ret, "delete a range");
      on = ret == 0;
    }
    connection_->Check(first->reset(first), "reset a cursor");
  }
  if (StandOnFirst(first, low, high)) {
    // A second cursor for the far end, opened from the session's cursor cache.
    WT_CURSOR* last = OpenWriteCursor(names_[table].uri.c_str());
    int ret = 0;
    if (StandOnLast(last, high)) ret = write_session_->truncate(write_session_, nullptr, first, last, nullptr);
    last->close(last);
    connection_->Check(ret, "delete a range");
  }
  connection_->Check(first->reset(first), "reset a cursor");
}

// A batch is one transaction, and what it changed cannot leave the cache before it commits: a large one gets a larger
// cache until the next persist.
void Engine::MakeRoomFor(std::span<const tenon_op> ops) {
  uint64_t bytes = 0;
  for (const tenon_op& op : ops) bytes += op.type == TENON_OP_PUT ? op.val.n + op.key.n : 0;
  const uint64_t need = cache_bytes_ + 4 * bytes;
  if (bytes < cache_bytes_ / 16 || need <= cache_now_) return;
  connection_->Reconfigure("cache_size=" + std::to_string(need));
  cache_now_ = need;
}

uint64_t Engine::Persist(uint32_t) {
  const std::scoped_lock lock(persist_mutex_);
  CheckUsable();
  if (read_only_) return durable_index_;
  const uint64_t changes = changes_.load(std::memory_order_acquire);
  if (changes == persisted_changes_) return durable_index_;
  // Every batch whose index is read here is committed, so the checkpoint holds it; it may hold later ones too.
  const uint64_t index = applied_index_.load(std::memory_order_acquire);
  const uint64_t start = host_.MonoNs();
  const int ret = persist_session_->checkpoint(persist_session_, nullptr);
  if (ret != 0) {
    failed_ = true;
    connection_->Fail(ret, "checkpoint");
  }
  persisted_changes_ = changes;
  durable_index_.store(index, std::memory_order_release);
  last_persist_ns_ = host_.MonoNs() - start;
  if (cache_now_ > cache_bytes_) {
    // Not below a batch that is under way; the next persist will find a moment.
    const std::unique_lock writer(write_mutex_, std::try_to_lock);
    if (writer.owns_lock()) {
      connection_->Reconfigure("cache_size=" + std::to_string(cache_bytes_));
      cache_now_ = cache_bytes_;
    }
  }
  RefreshStats();
  return index;
}

Engine::Snap* Engine::SnapOpen() {
  if (!connection_) throw sdk::Error(TENON_PRECONDITION, "storage-wiredtiger: not open");
  return readers_->Take(host_.MonoNs());
}

// The statistics are read after a persist, not when somebody asks.
void Engine::RefreshStats() {
  uint64_t files = 0, reusable = 0;
  const auto add = [&](const std::string& uri) {
    WT_CURSOR* cursor = nullptr;
    if (persist_session_->open_cursor(persist_session_, uri.c_str(), nullptr, "statistics=(fast)", &cursor) != 0)
      return;
    files += static_cast<uint64_t>(Statistic(cursor, WT_STAT_DSRC_BLOCK_SIZE));
    reusable += static_cast<uint64_t>(Statistic(cursor, WT_STAT_DSRC_BLOCK_REUSE_BYTES));
    cursor->close(cursor);
  };
  const uint64_t written = written_bytes_.load(std::memory_order_relaxed);
  add(std::string("statistics:") + kBlobsUri);
  for (uint32_t id = 0; id < table_count_.load(std::memory_order_acquire); id++) add("statistics:" + names_[id].uri);
  WT_CURSOR* cursor = nullptr;
  if (persist_session_->open_cursor(persist_session_, "statistics:", nullptr, "statistics=(fast)", &cursor) == 0) {
    cached_bytes_ = static_cast<uint64_t>(Statistic(cursor, WT_STAT_CONN_CACHE_BYTES_INUSE));
    dirty_bytes_ = static_cast<uint64_t>(Statistic(cursor, WT_STAT_CONN_CACHE_BYTES_DIRTY));
    cursor->close(cursor);
  }
  file_bytes_ = files;
  reusable_bytes_ = reusable;
  written_bytes_ -= written;
}

void Engine::Stats(tenon_storage_stats& out) noexcept {
  const uint32_t size = out.size;
  out = tenon_storage_stats{};
  out.size = size;
  const uint64_t written = written_bytes_;
  out.size_bytes = file_bytes_ + written;
  out.size_in_use_bytes = out.size_bytes - std::min(reusable_bytes_.load(), out.size_bytes);
  out.cache_bytes = cached_bytes_;
  out.dirty_bytes = dirty_bytes_;
  out.applied_index = applied_index_;
  out.durable_index = durable_index_;
  out.last_persist_ns = last_persist_ns_;
  if (readers_) out.open_snaps = readers_->Open(host_.MonoNs(), &out.oldest_snap_age_ns);
}

tenon_status Engine::Compact(uint64_t deadline_ns) {
  // A session of its own: persist must not wait for minutes.
  CheckUsable();
  WT_SESSION* session = connection_->OpenSession();
  tenon_status status = TENON_OK;
  int ret = 0;
  const auto compact = [&](const std::string& uri) {
    const uint64_t now = host_.MonoNs();
    if (now >= deadline_ns) {
      status = TENON_DEADLINE;
      return false;
    }
    const uint64_t seconds = std::min<uint64_t>((deadline_ns - now) / 1'000'000'000 + 1, 86'400);
    ret = session->compact(session, uri.c_str(), ("timeout=" + std::to_string(seconds)).c_str());
    if (ret == ETIMEDOUT) {
      status = TENON_DEADLINE;
      ret = 0;
    }
    if (ret == EBUSY) ret = 0;  // in use by a checkpoint; the next call takes it
    return ret == 0 && status == TENON_OK;
  };
  bool go = compact(kBlobsUri);
  for (uint32_t id = 0; go && id < table_count_.load(std::memory_order_acquire); id++) go = compact(names_[id].uri);
  session->close(session, nullptr);
  connection_->Check(ret, "compact");
  const std::scoped_lock lock(persist_mutex_);
  RefreshStats();
  return status;
}

}  // namespace tenon::storage_wiredtiger
