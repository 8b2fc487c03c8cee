#include "tests/sim/engine.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "kernel/base/check.h"
#include "kernel/base/coding.h"
#include "kernel/mvcc/key_value.h"
#include "kernel/mvcc/row_sum.h"
#include "kernel/storage/schema.h"
#include "plugins/storage-memory/storage_memory.h"

namespace tenon::sim {
namespace {

const tenon_storage_v1& Inner() { return *storage_memory::Vtable(); }
std::string_view View(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }
tenon_slice Slice(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

const tenon_host kHost = {sizeof kHost,
                          TENON_ABI_MAJOR,
                          TENON_ABI_MINOR,
                          nullptr,
                          [](const tenon_host*, const char*) -> const void* { return nullptr; },
                          [](const tenon_host*) { return "simulation"; },
                          [](const tenon_host*, const tenon_error* e) { CHECK_MSG(false, e->msg); }};

tenon_status Say(tenon_error* error, tenon_status code, std::string_view text) {
  if (error != nullptr) {
    error->code = code;
    std::strncpy(error->msg, std::string(text).c_str(), sizeof error->msg - 1);
  }
  return code;
}

bool IsTombstone(std::string_view row_key) { return row_key.size() == 18; }

}  // namespace

// ---- what survives ----

void EngineDisk::Wipe() {
  base_.clear();
  base_index_ = 0;
  tail_.clear();
  tables_.clear();
}

void EngineDisk::Crash() {
  if (kind_ == EngineKind::kVolatile) return Wipe();
  Fold(random_.Below(tail_.size() + 1));
  tail_.clear();
}

void EngineDisk::Fold(size_t batches) {
  for (size_t i = 0; i < batches; i++) {
    for (Op& op : tail_[i].ops) {
      CHECK_NE(op.type, static_cast<uint32_t>(TENON_OP_DEL_RANGE));  // the kernel sends none
      if (op.type == TENON_OP_PUT) {
        base_[{op.table, std::move(op.key)}] = std::move(op.value);
      } else {
        base_.erase({op.table, std::move(op.key)});
      }
    }
    base_index_ = tail_[i].index;
  }
  tail_.erase(tail_.begin(), tail_.begin() + static_cast<ptrdiff_t>(batches));
}

bool EngineDisk::Differ(Random& random) {
  const auto id_of = [&](std::string_view name) {
    return static_cast<uint32_t>(std::find(tables_.begin(), tables_.end(), name) - tables_.begin());
  };
  const uint32_t key_table = id_of("key"), meta = id_of("meta");
  const auto row_sum = base_.find({meta, std::string(storage::meta::kRowSum)});
  const auto state_hash = base_.find({meta, std::string(storage::meta::kStateHash)});
  if (row_sum == base_.end() || state_hash == base_.end()) return false;
  std::map<std::string, std::string> newest;  // key -> the row of its newest value so far
  std::vector<std::string> former;
  for (auto row = base_.lower_bound({key_table, ""}); row != base_.end() && row->first.first == key_table; ++row) {
    mvcc::KeyValue kv;
    if (IsTombstone(row->first.second) || !mvcc::Decode(row->second, kv) || kv.value.empty()) continue;
    std::string& last = newest[std::string(kv.key)];
    if (!last.empty()) former.push_back(last);
    last = row->first.second;
  }
  if (former.empty()) return false;
  const std::string& key = former[random.Below(former.size())];
  std::string& bytes = base_[{key_table, key}];
  mvcc::Revision revision;
  bool tombstone;
  mvcc::RowSum sum;
  mvcc::KeyValue kv;
  CHECK(mvcc::ParseRevisionKey(key, revision, tombstone) && mvcc::RowSum::Parse(row_sum->second, sum) &&
        mvcc::Decode(bytes, kv));
  sum.Remove(revision, tombstone, mvcc::RowDigest(bytes));
  bytes[static_cast<size_t>(kv.value.data() - bytes.data()) + random.Below(kv.value.size())] ^= 1;
  sum.Add(revision, tombstone, mvcc::RowDigest(bytes));
  row_sum->second = sum.Encode();
  PutBigEndian64(state_hash->second.data(), random.Next());
  return true;
}

// ---- one life ----

tenon_storage_v1 SimEngine::MakeTable(EngineKind kind, bool hold_deletes) {
  tenon_storage_v1 t{};
  t.m.size = sizeof t;
  t.m.features = Inner().m.features;
  if (kind == EngineKind::kPrefix) {
    t.m.features |= TENON_ST_PERSIST | (hold_deletes ? TENON_ST_HOLD_DELETES : 0);
    t.persist = [](void* self, uint32_t flags, uint64_t* durable, tenon_error* e) {
      return Of(self).Persist(flags, durable, e);
    };
  }
  t.m.start = [](void* self, tenon_error* e) {
    return Inner().m.start != nullptr ? Inner().m.start(Of(self).inner_, e) : TENON_OK;
  };
  t.m.stop = [](void* self) {
    if (Inner().m.stop != nullptr) Inner().m.stop(Of(self).inner_);
  };
  t.m.destroy = [](void*) {};
  t.open = [](void* self, const tenon_storage_open* how, tenon_error* e) { return Of(self).Open(how, e); };
  t.close = [](void* self, tenon_error* e) { return Inner().close(Of(self).inner_, e); };
  t.durable_index = [](void* self) -> uint64_t { return Of(self).disk_.base_index_; };
  t.table = [](void* self, tenon_slice name, uint32_t hint, int create, uint32_t* id, tenon_error* e) {
    const tenon_status status = Inner().table(Of(self).inner_, name, hint, create, id, e);
    if (status != TENON_OK) return status;
    std::vector<std::string>& tables = Of(self).disk_.tables_;
    if (*id == tables.size()) tables.emplace_back(View(name));
    if (View(name) == "key") Of(self).key_table_ = *id;
    if (View(name) == "meta") Of(self).meta_table_ = *id;
    return status;
  };
  t.apply = [](void* self, const tenon_op* ops, size_t n, uint64_t index, tenon_error* e) {
    return Of(self).Apply(ops, n, index, e);
  };
  t.snap_open = [](void* self, tenon_snap** s, tenon_error* e) { return Inner().snap_open(Of(self).inner_, s, e); };
  t.snap_close = [](void* self, tenon_snap* s) { Inner().snap_close(Of(self).inner_, s); };
  t.get = [](void* self, tenon_snap* s, uint32_t table, tenon_slice key, tenon_slice* val) {
    return Inner().get(Of(self).inner_, s, table, key, val);
  };
  t.multi_get = [](void* self, tenon_snap* s, uint32_t table, const tenon_slice* keys, size_t n, size_t max,
                   tenon_slice* vals,
                   size_t* done) { return Inner().multi_get(Of(self).inner_, s, table, keys, n, max, vals, done); };
  t.cursor_open = [](void* self, tenon_snap* s, uint32_t table, tenon_range range, uint32_t flags, tenon_cursor** c,
                     tenon_error* e) { return Inner().cursor_open(Of(self).inner_, s, table, range, flags, c, e); };
  t.cursor_next = [](void* self, tenon_cursor* c, tenon_kv* out, size_t rows, size_t bytes, size_t* n) {
    return Inner().cursor_next(Of(self).inner_, c, out, rows, bytes, n);
  };
  t.cursor_seek = [](void* self, tenon_cursor* c, tenon_slice key) {
    return Inner().cursor_seek(Of(self).inner_, c, key);
  };
  t.cursor_close = [](void* self, tenon_cursor* c) { Inner().cursor_close(Of(self).inner_, c); };
  // Takes what it likes of what is not durable yet along, as an engine that rewrites its file.
  t.compact = [](void* self, uint64_t, tenon_error* e) -> tenon_status {
    SimEngine& me = Of(self);
    if (me.disk_.kind() == EngineKind::kVolatile) return TENON_OK;
    uint64_t durable;
    const tenon_status status = me.Persist(0, &durable, e);
    if (me.disk_.mutant_ == Mutant::kDefragLosesIndex) {
      me.disk_.base_.erase({me.meta_table_, std::string(storage::meta::kConsistentIndex)});
    }
    return status == TENON_OK && me.disk_.random_.Chance(30) ? TENON_DEADLINE : status;
  };
  t.stats = [](void* self, tenon_storage_stats* out) { Inner().stats(Of(self).inner_, out); };
  return t;
}

SimEngine::SimEngine(EngineDisk& disk, SimDisk& files, std::string directory)
    : disk_(disk),
      files_(files),
      directory_(std::move(directory)),
      table_(MakeTable(disk.kind(), disk.random_.Chance(50))) {
  CHECK_EQ(Inner().m.create(&kHost, nullptr, &inner_, nullptr), TENON_OK);
}

SimEngine::~SimEngine() { Inner().m.destroy(inner_); }

tenon_status SimEngine::Open(const tenon_storage_open* how, tenon_error* error) {
  if (const tenon_status status = Inner().open(inner_, how, error); status != TENON_OK) return status;
  for (const std::string& name : disk_.tables_) {
    uint32_t id;
    if (const tenon_status s = Inner().table(inner_, Slice(name), 0, 1, &id, error); s != TENON_OK) return s;
    if (name == "key") key_table_ = id;
  }
  std::vector<tenon_op> ops;
  for (const auto& [place, value] : disk_.base_) {
    ops.push_back({TENON_OP_PUT, place.first, Slice(place.second), Slice(value)});
  }
  if (ops.empty()) return TENON_OK;
  return Inner().apply(inner_, ops.data(), ops.size(), disk_.base_index_, error);
}

tenon_status SimEngine::Apply(const tenon_op* ops, size_t n, uint64_t index, tenon_error* error) {
  if (failed_) return Say(error, TENON_IO, "the engine has failed before");
  std::vector<EngineDisk::Op> taken;
  for (size_t i = 0; i < n; i++) {
    taken.push_back({ops[i].type, ops[i].table, std::string(View(ops[i].key)), std::string(View(ops[i].val))});
  }
  if (disk_.mutant_ == Mutant::kIndexOutsideBatch) {
    std::vector<EngineDisk::Op> first, second;
    for (EngineDisk::Op& op : taken) {
      const bool is_index =
          op.table == meta_table_ && (op.key == storage::meta::kConsistentIndex || op.key == storage::meta::kTerm);
      (is_index ? second : first).push_back(std::move(op));
    }
    if (!first.empty()) {
      if (const tenon_status status = Take(first, index, error); status != TENON_OK) return status;
    }
    return second.empty() ? TENON_OK : Take(second, index, error);
  }
  return Take(Mutated(std::move(taken)), index, error);
}

tenon_status SimEngine::Take(const std::vector<EngineDisk::Op>& ops, uint64_t index, tenon_error* error) {
  std::vector<tenon_op> raw;
  for (const EngineDisk::Op& op : ops) raw.push_back({op.type, op.table, Slice(op.key), Slice(op.value)});
  const tenon_status status = Inner().apply(inner_, raw.data(), raw.size(), index, error);
  if (status != TENON_OK || disk_.kind() == EngineKind::kVolatile) return status;
  CHECK_GE(index, disk_.tail_.empty() ? disk_.base_index_ : disk_.tail_.back().index);
  disk_.tail_.push_back({index, ops});
  if (disk_.random_.Chance(1)) disk_.Fold(disk_.random_.Below(disk_.tail_.size() + 1));  // by itself
  return TENON_OK;
}

tenon_status SimEngine::Persist(uint32_t flags, uint64_t* durable_index, tenon_error* error) {
  if (failed_) return Say(error, TENON_IO, "the engine has failed before");
  size_t batches = disk_.tail_.size();
  if ((flags & TENON_PERSIST_FORCE) == 0 && disk_.random_.Chance(40)) batches = disk_.random_.Below(batches + 1);
  const std::string path = directory_ + "/checkpoint";
  const Status written = [&]() -> Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, files_.OpenFile(path + ".tmp", Disk::Open::kCreateOrTruncate));
    RETURN_IF_ERROR(file->WriteAt(0, std::string(64 * std::min<size_t>(batches + 1, 1000), 'p')));
    RETURN_IF_ERROR(file->Sync());
    RETURN_IF_ERROR(files_.Rename(path + ".tmp", path));
    return files_.SyncDirectory(directory_);
  }();
  if (!written.ok()) {
    failed_ = true;
    return Say(error, absl::IsResourceExhausted(written) ? TENON_NO_SPACE : TENON_IO, Message(written));
  }
  disk_.Fold(batches);
  *durable_index = disk_.base_index_;
  return TENON_OK;
}

// ---- mutants ----

std::vector<EngineDisk::Op> SimEngine::Mutated(std::vector<EngineDisk::Op> ops) {
  if (disk_.mutant_ == Mutant::kCompactionMarkLost) {
    std::erase_if(ops, [&](const EngineDisk::Op& op) {
      return op.table == meta_table_ &&
             (op.key == storage::meta::kScheduledCompact || op.key == storage::meta::kFinishedCompact);
    });
  }
  if (disk_.mutant_ == Mutant::kTombstoneDropped) {
    // The puts right before the tombstones that this compaction removes stay.
    std::set<std::string> hidden_keys;
    std::map<std::string, std::string> newest_put;  // user key -> its newest row that goes
    tenon_snap* snap = nullptr;
    CHECK_EQ(Inner().snap_open(inner_, &snap, nullptr), TENON_OK);
    for (const EngineDisk::Op& op : ops) {
      if (op.table != key_table_ || op.type != TENON_OP_DEL) continue;
      tenon_slice value;
      mvcc::KeyValue kv;
      if (Inner().get(inner_, snap, op.table, Slice(op.key), &value) != TENON_OK || !mvcc::Decode(View(value), kv))
        continue;
      if (IsTombstone(op.key)) {
        hidden_keys.insert(std::string(kv.key));
      } else {
        std::string& newest = newest_put[std::string(kv.key)];
        newest = std::max(newest, op.key);
      }
    }
    Inner().snap_close(inner_, snap);
    std::erase_if(ops, [&](const EngineDisk::Op& op) {
      if (op.table != key_table_ || op.type != TENON_OP_DEL || IsTombstone(op.key)) return false;
      for (const std::string& key : hidden_keys) {
        const auto found = newest_put.find(key);
        if (found != newest_put.end() && found->second == op.key) return true;
      }
      return false;
    });
  }
  return ops;
}

}  // namespace tenon::sim
