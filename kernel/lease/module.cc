#include "kernel/lease/module.h"

#include "kernel/base/check.h"
#include "kernel/base/errors.h"
#include "kernel/base/log.h"
#include "kernel/plugin/abi_status.h"
#include "kernel/plugin/threads.h"

namespace tenon::lease {
namespace {

using plugin::NewError;
using plugin::ThreadTag;
using storage::Slice;

constexpr const char* kTable = "lease";

tenon_status TakeKey(void* keys, tenon_slice key) {
  static_cast<std::vector<std::string>*>(keys)->emplace_back(storage::View(key));
  return TENON_OK;
}

}  // namespace

Status Module::Answer(tenon_status status, const tenon_error& error, std::string_view what) const {
  switch (status) {
    case TENON_OK: return Ok();
    case TENON_NOT_FOUND: return errors::LeaseNotFound();
    case TENON_EXISTS: return errors::LeaseExists();
    case TENON_RANGE: return errors::LeaseTtlTooLarge();
    default: break;
  }
  const Status cause = plugin::FromAbi(status, &error);
  return absl::InternalError(fmt::format("the lease module failed to {}: {}", what, Message(cause)));
}

// ---- the start ----

Result<bool> Module::AnyIn(storage::Engine& engine) {
  const Result<uint32_t> table = engine.FindTable(kTable);
  if (absl::IsNotFound(table.status())) return false;
  RETURN_IF_ERROR(table);
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, engine.OpenSnapshot());
  ASSIGN_OR_RETURN(storage::Cursor cursor, snapshot.OpenCursor(*table, {}, {}));
  tenon_kv row;
  ASSIGN_OR_RETURN(const size_t n, cursor.Next({&row, 1}, 1));
  return n > 0;
}

Status Module::Recover(storage::Engine& engine, mvcc::Store& store) {
  ASSIGN_OR_RETURN(const bool any, AnyIn(engine));
  ASSIGN_OR_RETURN(const uint32_t table, engine.Table(kTable, TENON_TABLE_RANDOM));
  tables_ = std::make_unique<apply::ModuleTables>(engine, std::vector<uint32_t>{table});
  ThreadTag tag(TENON_ON_MAIN);
  tenon_error error = NewError();
  const tenon_status status =
      tables_->Recover([&](const tenon_apply_v1* context) { return table_.recover(self_, context, &error); });
  RETURN_IF_ERROR(Answer(status, error, "recover"));
  store.SetAttachments(this);
  if (!any) return Ok();
  size_t attached = 0, lost = 0;
  Status failed;
  store.index().ForEach([&](const mvcc::KeyIndex::Entry& entry) {
    if (entry.lease == 0 || !failed.ok()) return;
    const tenon_status s = table_.attach(self_, entry.lease, Slice(entry.key()));
    attached += s == TENON_OK;
    lost += s == TENON_NOT_FOUND;
    if (s != TENON_OK && s != TENON_NOT_FOUND) failed = Answer(s, error, "attach a key");
  });
  RETURN_IF_ERROR(failed);
  if (lost > 0) LOG_WARN("keys have a lease that does not exist: they stay as they are", {"keys", lost});
  LOG_INFO("restored the leases", {"keys-attached", attached});
  return Ok();
}

// ---- [apply] ----

bool Module::Exists(int64_t lease) const { return table_.lookup(self_, lease, nullptr, nullptr, nullptr) == TENON_OK; }

Result<int64_t> Module::Grant(apply::EntryContext entry, int64_t lease, int64_t ttl_s) {
  ThreadTag tag(TENON_ON_APPLY);
  tenon_error error = NewError();
  int64_t granted = 0;
  const tenon_status status = tables_->Apply(entry, [&](const tenon_apply_v1* context) {
    return table_.grant(self_, context, lease, ttl_s, &granted, &error);
  });
  RETURN_IF_ERROR(Answer(status, error, "grant a lease"));
  return granted;
}

Result<std::vector<std::string>> Module::Revoke(apply::EntryContext entry, int64_t lease) {
  ThreadTag tag(TENON_ON_APPLY);
  tenon_error error = NewError();
  std::vector<std::string> keys;
  const tenon_status status = tables_->Apply(entry, [&](const tenon_apply_v1* context) {
    return table_.revoke(self_, context, lease, TakeKey, &keys, &error);
  });
  RETURN_IF_ERROR(Answer(status, error, "revoke a lease"));
  return keys;
}

Status Module::Checkpoint(apply::EntryContext entry, int64_t lease, int64_t remaining_s) {
  ThreadTag tag(TENON_ON_APPLY);
  tenon_error error = NewError();
  const tenon_status status = tables_->Apply(entry, [&](const tenon_apply_v1* context) {
    return table_.checkpoint(self_, context, lease, remaining_s, &error);
  });
  return status == TENON_NOT_FOUND ? Ok() : Answer(status, error, "take a checkpoint");
}

void Module::Move(std::string_view key, int64_t from, int64_t to) {
  ThreadTag tag(TENON_ON_APPLY);
  if (from != 0) table_.detach(self_, from, Slice(key));
  if (to == 0) return;
  const tenon_status status = table_.attach(self_, to, Slice(key));
  CHECK_MSG(status == TENON_OK, fmt::format("the lease module says {} to a key of lease {:x}, which exists",
                                            plugin::StatusName(status), static_cast<uint64_t>(to)));
}

// ---- [role] ----

void Module::Promote(Term term, uint64_t extend_ns) {
  ThreadTag tag(TENON_ON_ROLE);
  table_.promote(self_, term.value, static_cast<int64_t>(extend_ns));
}

void Module::Demote() {
  ThreadTag tag(TENON_ON_ROLE);
  table_.demote(self_);
}

// ---- [any] ----

std::optional<Module::Info> Module::Lookup(int64_t lease, bool keys) const {
  tenon_lease_info raw{};
  raw.size = sizeof raw;
  Info info;
  if (table_.lookup(self_, lease, &raw, keys ? TakeKey : nullptr, &info.keys) != TENON_OK) return std::nullopt;
  info.granted_ttl_s = raw.granted_ttl_s;
  info.remaining_ttl_s = raw.remaining_ttl_s;
  return info;
}

std::vector<int64_t> Module::List() const {
  std::vector<int64_t> ids;
  table_.list(
      self_,
      [](void* to, const tenon_lease_info* info) -> tenon_status {
        static_cast<std::vector<int64_t>*>(to)->push_back(info->id);
        return TENON_OK;
      },
      &ids);
  return ids;
}

void Module::Renew(int64_t lease, RenewDone done) {
  const auto answer = [](void* ctx, tenon_status status, int64_t ttl_s) {
    const std::unique_ptr<RenewDone> done(static_cast<RenewDone*>(ctx));
    if (status == TENON_OK) return (*done)(ttl_s);
    (*done)(status == TENON_NOT_FOUND ? errors::LeaseNotFound() : errors::LeaderChanged());
  };
  ThreadTag tag(TENON_ON_RPC);
  table_.renew(self_, lease, {new RenewDone(std::move(done)), answer});
}

}  // namespace tenon::lease
