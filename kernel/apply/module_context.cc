#include "kernel/apply/module_context.h"

#include <algorithm>

namespace tenon::apply {
namespace {

constexpr size_t kMaxKey = 511, kMaxValue = 64ull << 20;

ModuleTables& Of(const tenon_apply_v1* context) { return *static_cast<ModuleTables*>(context->priv); }

tenon_status Denied() { return TENON_DENIED; }

}  // namespace

// The functions of the table; the members of ModuleTables behind them are private.
struct ModuleContext {
  static tenon_status Put(const tenon_apply_v1* c, uint32_t table, tenon_slice key, tenon_slice value) {
    return Of(c).Write(table, key, &value);
  }
  static tenon_status Delete(const tenon_apply_v1* c, uint32_t table, tenon_slice key) {
    return Of(c).Write(table, key, nullptr);
  }
  static tenon_status Get(const tenon_apply_v1* c, uint32_t table, tenon_slice key, tenon_slice* value) {
    return Of(c).Get(table, key, value);
  }
  static tenon_status Scan(const tenon_apply_v1* c, uint32_t table, tenon_range range, int reverse, tenon_row_fn fn,
                           void* ctx) {
    return Of(c).Scan(table, range, reverse != 0, fn, ctx);
  }
  // The user's keys are for services.
  static tenon_status KvPut(const tenon_apply_v1*, tenon_slice, tenon_slice, int64_t) { return Denied(); }
  static tenon_status KvDelete(const tenon_apply_v1*, tenon_range, int64_t*) { return Denied(); }
  static tenon_status KvRange(const tenon_apply_v1*, tenon_range, int64_t, tenon_kv_row_fn, void*) { return Denied(); }
};

tenon_status ModuleTables::Apply(EntryContext entry, Fn fn) {
  const size_t before = entry.batch.ops().size();
  const tenon_status status = Call(&entry.batch, entry.index, entry.term, fn);
  if (status != TENON_OK) entry.batch.Truncate(before);
  return status;
}

tenon_status ModuleTables::Recover(Fn fn) { return Call(nullptr, {}, {}, fn); }

tenon_status ModuleTables::Call(storage::Batch* batch, Index index, Term term, Fn fn) {
  tenon_apply_v1 context{};
  context.size = sizeof context;
  context.index = index.value;
  context.term = term.value;
  context.priv = this;
  context.put = ModuleContext::Put;
  context.del = ModuleContext::Delete;
  context.get = ModuleContext::Get;
  context.scan = ModuleContext::Scan;
  context.kv_put = ModuleContext::KvPut;
  context.kv_delete = ModuleContext::KvDelete;
  context.kv_range = ModuleContext::KvRange;
  batch_ = batch;
  const tenon_status status = fn(&context);
  batch_ = nullptr;
  snapshot_.reset();
  return status;
}

tenon_status ModuleTables::Write(uint32_t table, tenon_slice key, const tenon_slice* value) {
  if (batch_ == nullptr || table >= tables_.size()) return TENON_DENIED;
  if (key.n == 0 || key.n > kMaxKey || (value != nullptr && value->n > kMaxValue)) return TENON_INVALID;
  if (value != nullptr) {
    batch_->Put(tables_[table], storage::View(key), storage::View(*value));
  } else {
    batch_->Delete(tables_[table], storage::View(key));
  }
  return TENON_OK;
}

const std::map<ModuleTables::Name, tenon_op>& ModuleTables::Pending() {
  if (batch_ == nullptr || generation_ != batch_->generation()) {
    pending_.clear();
    seen_ = 0;
  }
  if (batch_ == nullptr) return pending_;
  generation_ = batch_->generation();
  // The operations may have moved since; what they point to stays.
  for (const std::span<const tenon_op> ops = batch_->ops(); seen_ < ops.size(); seen_++) {
    const tenon_op& op = ops[seen_];
    if (std::find(tables_.begin(), tables_.end(), op.table) == tables_.end()) continue;
    pending_.insert_or_assign({op.table, storage::View(op.key)}, op);
  }
  return pending_;
}

Result<storage::Snapshot*> ModuleTables::Snapshot() {
  if (!snapshot_) {
    ASSIGN_OR_RETURN(storage::Snapshot snapshot, engine_.OpenSnapshot());
    snapshot_.emplace(std::move(snapshot));
  }
  return &*snapshot_;
}

tenon_status ModuleTables::Get(uint32_t table, tenon_slice key, tenon_slice* value) {
  if (table >= tables_.size()) return TENON_DENIED;
  const auto& pending = Pending();
  if (const auto it = pending.find({tables_[table], storage::View(key)}); it != pending.end()) {
    if (it->second.type == TENON_OP_DEL) return TENON_NOT_FOUND;
    *value = it->second.val;
    return TENON_OK;
  }
  const Result<storage::Snapshot*> snapshot = Snapshot();
  if (!snapshot.ok()) return TENON_FATAL;
  const Result<std::string_view> row = (*snapshot)->Get(tables_[table], storage::View(key));
  if (absl::IsNotFound(row.status())) return TENON_NOT_FOUND;
  if (!row.ok()) return TENON_FATAL;
  *value = storage::Slice(*row);
  return TENON_OK;
}

tenon_status ModuleTables::Scan(uint32_t table, tenon_range range, bool reverse, tenon_row_fn fn, void* ctx) {
  if (table >= tables_.size()) return TENON_DENIED;
  const std::string_view low = storage::View(range.lo), high = storage::View(range.hi);
  const uint32_t id = tables_[table];
  // The pending rows of the range, in the scan's order.
  std::vector<const tenon_op*> over;
  const auto& pending = Pending();
  for (auto it = pending.lower_bound({id, low}); it != pending.end() && it->first.first == id; ++it) {
    if (!high.empty() && it->first.second >= high) break;
    over.push_back(&it->second);
  }
  if (reverse) std::reverse(over.begin(), over.end());
  const auto comes_before = [&](std::string_view a, std::string_view b) { return reverse ? b < a : a < b; };

  const Result<storage::Snapshot*> snapshot = Snapshot();
  if (!snapshot.ok()) return TENON_FATAL;
  Result<storage::Cursor> cursor =
      (*snapshot)->OpenCursor(id, low, high, TENON_CUR_NO_FILL | (reverse ? uint32_t{TENON_CUR_REVERSE} : 0u));
  if (!cursor.ok()) return TENON_FATAL;
  size_t at = 0;
  const auto hand = [&](const tenon_op& op) -> tenon_status {
    if (op.type == TENON_OP_DEL) return TENON_OK;
    const tenon_kv row{op.key, op.val};
    return fn(ctx, &row);
  };
  tenon_kv rows[256];
  for (;;) {
    const Result<size_t> n = cursor->Next(rows, 1 << 20);
    if (!n.ok()) return TENON_FATAL;
    if (*n == 0) break;
    for (size_t i = 0; i < *n; i++) {
      const std::string_view key = storage::View(rows[i].key);
      for (; at < over.size() && comes_before(storage::View(over[at]->key), key); at++) {
        if (const tenon_status s = hand(*over[at]); s != TENON_OK) return s;
      }
      const bool hidden = at < over.size() && storage::View(over[at]->key) == key;
      const tenon_status s = hidden ? hand(*over[at++]) : fn(ctx, &rows[i]);
      if (s != TENON_OK) return s;
    }
  }
  for (; at < over.size(); at++) {
    if (const tenon_status s = hand(*over[at]); s != TENON_OK) return s;
  }
  return TENON_OK;
}

}  // namespace tenon::apply
