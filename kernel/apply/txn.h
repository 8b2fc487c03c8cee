// Put, DeleteRange and Txn requests over the store. Source: etcd server/etcdserver/txn/.
//
// A transaction is decided before it writes: compares choose the path of every nested transaction on the state before
// it, then everything that can be refused is checked, and only then the first change is made. So there is no rollback.
#pragma once
#include <vector>

#include "kernel/apply/leases.h"
#include "kernel/apply/range.h"
#include "kernel/apply/response.h"
#include "kernel/base/status.h"
#include "kernel/mvcc/store.h"
#include "proto/rpc.pb.h"

namespace tenon::apply {

// Errors are etcd's; others mean that the engine failed and the member must stop.
// `leases` null: there is none.
Result<PutAnswer> Put(mvcc::WriteTxn& txn, const Leases* leases, const etcdserverpb::PutRequest& request);
Result<DeleteAnswer> DeleteRange(mvcc::WriteTxn& txn, const etcdserverpb::DeleteRangeRequest& request);
Result<TxnAnswer> Txn(mvcc::WriteTxn& txn, const Leases* leases, const etcdserverpb::TxnRequest& request);
// Of a transaction for which IsReadOnly holds.
Result<TxnAnswer> ReadOnlyTxn(mvcc::Reader& reader, const etcdserverpb::TxnRequest& request);

// All operations are ranges. A nested transaction never counts, as in etcd.
bool IsReadOnly(const etcdserverpb::TxnRequest& request);
// All operations are serializable ranges; also true without any operation, as in etcd.
bool IsSerializable(const etcdserverpb::TxnRequest& request);
// Would it make the store grow: is there a put in any branch, however deep? Such a transaction is refused while the
// disk or the quota is full. Source: etcd storage/quota.go, costTxn.
bool Grows(const etcdserverpb::TxnRequest& request);

// Is this one of etcd's answers to a client (they all begin with its name), not a failure of the engine?
bool IsClientError(const Status& status);

}  // namespace tenon::apply
