// What etcd refuses before a request is proposed. Source: etcd server/etcdserver/api/v3rpc/key.go.
#pragma once
#include <cstdint>

#include "kernel/base/status.h"
#include "proto/rpc.pb.h"

namespace tenon::api {

Status Check(const etcdserverpb::RangeRequest& request);
Status Check(const etcdserverpb::PutRequest& request);
Status Check(const etcdserverpb::DeleteRangeRequest& request);
// Operations are counted through nesting: each level takes its share of `max_ops` from those below it. A key is put
// once only on each path, and not put and deleted on the same one; a range to the end ("\0") counts as one here (it
// does not in etcd, whose member then dies when it applies such a transaction).
// `comparisons`, if given, is raised by the number of keys that were compared: 100,000 operations fit into a request,
// so this is n log n, and a test holds it to that.
Status Check(const etcdserverpb::TxnRequest& request, int64_t max_ops, uint64_t* comparisons = nullptr);

}  // namespace tenon::api
