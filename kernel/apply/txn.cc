#include "kernel/apply/txn.h"

#include "kernel/base/check.h"
#include "kernel/base/errors.h"
#include "kernel/base/mutant.h"
#include "kernel/mvcc/key_value.h"

namespace tenon::apply {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using mvcc::KeyValue;
using mvcc::Reader;
using mvcc::WriteTxn;

Result<Block> Previous(Reader& reader, std::string_view key) {
  mvcc::RangeHits found;
  RETURN_IF_ERROR(reader.Single(key, {}, found));
  return found.hits.empty() ? Block() : std::move(found.hits[0].record);
}

// ---- compares ----

template <class T>
int Order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

bool Holds(const Compare& c, const KeyValue& kv) {
  int order = 0;
  switch (c.target()) {
    case Compare::VALUE: order = Order<std::string_view>(kv.value, c.value()); break;
    case Compare::CREATE: order = Order(kv.create_revision, c.create_revision()); break;
    case Compare::MOD: order = Order(kv.mod_revision, c.mod_revision()); break;
    case Compare::VERSION: order = Order(kv.version, c.version()); break;
    case Compare::LEASE: order = Order(kv.lease, c.lease()); break;
    default: break;
  }
  switch (c.result()) {
    case Compare::EQUAL: return order == 0;
    case Compare::NOT_EQUAL: return order != 0;
    case Compare::GREATER: return order > 0;
    case Compare::LESS: return order < 0;
    default: return true;  // as etcd
  }
}

Result<bool> Holds(Reader& reader, const Compare& c) {
  const Interval interval = Interval::Of(c.key(), c.range_end());
  mvcc::RangeOptions options;
  options.index_only = c.target() != Compare::VALUE;
  mvcc::RangeHits found;
  RETURN_IF_ERROR(interval.single ? reader.Single(interval.key, options, found)
                                  : reader.Range(interval.key, interval.end, options, found));
  // A missing value cannot be told from an empty one on the wire, so a compare with it fails.
  if (found.hits.empty()) return c.target() != Compare::VALUE && Holds(c, KeyValue());
  for (const mvcc::KeyIndex::Hit& hit : found.hits) {
    KeyValue kv;
    if (hit.record) {
      CHECK(Decode(hit.record.view(), kv));
    } else {
      kv.create_revision = hit.create;
      kv.mod_revision = hit.revision.main;
      kv.version = hit.version;
      kv.lease = hit.lease;
    }
    if (!Holds(c, kv)) return false;
  }
  return true;
}

// The outcome of the compares of a transaction and of those nested in the branch it takes, in the order of a walk.
Status Decide(Reader& reader, const TxnRequest& request, std::vector<bool>& path) {
  bool all = true;
  for (const Compare& c : request.compare()) {
    ASSIGN_OR_RETURN(const bool holds, Holds(reader, c));
    if (!holds) {
      all = false;
      break;
    }
  }
  path.push_back(all);
  for (const RequestOp& op : all ? request.success() : request.failure()) {
    if (op.has_request_txn()) RETURN_IF_ERROR(Decide(reader, op.request_txn(), path));
  }
  return Ok();
}

// ---- checks before the first write ----

Status CheckRange(Reader& reader, const RangeRequest& request) {
  if (request.revision() == 0 || Planted(Mutant::kTxnHalfDone)) return Ok();
  if (request.revision() > reader.revision()) return errors::FutureRevision();
  if (request.revision() < reader.compact_revision()) return errors::Compacted();
  return Ok();
}

Status CheckPut(Reader& reader, const Leases* leases, const PutRequest& request) {
  if (request.lease() != 0 && (leases == nullptr || !leases->Exists(request.lease()))) return errors::LeaseNotFound();
  if (request.ignore_value() || request.ignore_lease()) {
    mvcc::RangeHits found;
    mvcc::RangeOptions options;
    options.count_only = true;
    RETURN_IF_ERROR(reader.Single(request.key(), options, found));
    if (found.count == 0) return errors::KeyNotFound();
  }
  return Ok();
}

Status CheckTxn(Reader& reader, const Leases* leases, const TxnRequest& request, const std::vector<bool>& path,
                size_t& at) {
  for (const RequestOp& op : path[at++] ? request.success() : request.failure()) {
    if (op.has_request_range()) RETURN_IF_ERROR(CheckRange(reader, op.request_range()));
    if (op.has_request_put()) RETURN_IF_ERROR(CheckPut(reader, leases, op.request_put()));
    if (op.has_request_txn()) RETURN_IF_ERROR(CheckTxn(reader, leases, op.request_txn(), path, at));
  }
  return Ok();
}

// ---- execution ----

Result<PutAnswer> PutChecked(WriteTxn& txn, const PutRequest& request) {
  PutAnswer answer;
  Block previous;
  if (request.ignore_value() || request.ignore_lease() || request.prev_kv()) {
    ASSIGN_OR_RETURN(previous, Previous(txn, request.key()));
  }
  KeyValue kv;
  if (previous) CHECK(Decode(previous.view(), kv));
  txn.Put(request.key(), request.ignore_value() ? kv.value : std::string_view(request.value()),
          request.ignore_lease() ? kv.lease : request.lease());
  answer.revision = txn.revision();
  if (request.prev_kv()) answer.prev_kv = std::move(previous);
  return answer;
}

// `writer` is null in a read-only transaction.
Result<TxnAnswer> Execute(Reader& reader, WriteTxn* writer, const TxnRequest& request, const std::vector<bool>& path,
                          size_t& at) {
  TxnAnswer answer;
  answer.succeeded = path[at++];
  for (const RequestOp& op : answer.succeeded ? request.success() : request.failure()) {
    OpAnswer& response = answer.responses.emplace_back();
    if (op.has_request_range()) {
      ASSIGN_OR_RETURN(response, Range(reader, op.request_range()));
    } else if (op.has_request_put()) {
      ASSIGN_OR_RETURN(response, PutChecked(*writer, op.request_put()));
    } else if (op.has_request_delete_range()) {
      ASSIGN_OR_RETURN(response, DeleteRange(*writer, op.request_delete_range()));
    } else if (op.has_request_txn()) {
      ASSIGN_OR_RETURN(response, Execute(reader, writer, op.request_txn(), path, at));
    }
  }
  return answer;
}

}  // namespace

bool IsClientError(const Status& status) { return Message(status).substr(0, 12) == "etcdserver: "; }

Result<PutAnswer> Put(WriteTxn& txn, const Leases* leases, const PutRequest& request) {
  RETURN_IF_ERROR(CheckPut(txn, leases, request));
  return PutChecked(txn, request);
}

Result<DeleteAnswer> DeleteRange(WriteTxn& txn, const DeleteRangeRequest& request) {
  const Interval interval = Interval::Of(request.key(), request.range_end());
  DeleteAnswer answer;
  if (request.prev_kv()) {
    mvcc::RangeHits found;
    RETURN_IF_ERROR(interval.single ? txn.Single(interval.key, {}, found)
                                    : txn.Range(interval.key, interval.end, {}, found));
    for (mvcc::KeyIndex::Hit& hit : found.hits) answer.prev_kvs.push_back(std::move(hit.record));
  }
  answer.deleted = interval.single ? txn.DeleteSingle(interval.key) : txn.DeleteRange(interval.key, interval.end);
  answer.revision = txn.revision();
  return answer;
}

Result<TxnAnswer> Txn(WriteTxn& txn, const Leases* leases, const TxnRequest& request) {
  std::vector<bool> path;
  RETURN_IF_ERROR(Decide(txn, request, path));
  size_t at = 0;
  RETURN_IF_ERROR(CheckTxn(txn, leases, request, path, at));
  at = 0;
  Result<TxnAnswer> answer = Execute(txn, &txn, request, path, at);
  if (Planted(Mutant::kTxnHalfDone) && !answer.ok()) return answer.status();
  // What can be refused was checked: an error now is no answer to a client (etcd panics here too).
  if (!answer.ok())
    return absl::InternalError(fmt::format("apply: a checked transaction failed: {}", Message(answer.status())));
  answer->revision = txn.revision();
  return answer;
}

Result<TxnAnswer> ReadOnlyTxn(Reader& reader, const TxnRequest& request) {
  std::vector<bool> path;
  RETURN_IF_ERROR(Decide(reader, request, path));
  size_t at = 0;
  RETURN_IF_ERROR(CheckTxn(reader, nullptr, request, path, at));
  at = 0;
  ASSIGN_OR_RETURN(TxnAnswer answer, Execute(reader, nullptr, request, path, at));
  answer.revision = reader.revision();
  return answer;
}

bool IsReadOnly(const TxnRequest& request) {
  for (const auto* ops : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *ops) {
      if (!op.has_request_range()) return false;
    }
  }
  return true;
}

bool IsSerializable(const TxnRequest& request) {
  for (const auto* ops : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *ops) {
      if (!op.has_request_range() || !op.request_range().serializable()) return false;
    }
  }
  return true;
}

bool Grows(const TxnRequest& request) {
  for (const auto* ops : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *ops) {
      if (op.has_request_put() || (op.has_request_txn() && Grows(op.request_txn()))) return true;
    }
  }
  return false;
}

}  // namespace tenon::apply
