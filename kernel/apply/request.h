// What a normal log entry asks for: an InternalRaftRequest with its id and exactly one operation.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "kernel/base/ids.h"
#include "kernel/base/status.h"
#include "proto/raft_internal.pb.h"
#include "proto/rpc.pb.h"

namespace tenon::apply {

// The operations that this kernel applies, by itself or through the module that owns them.
using Operation =
    std::variant<etcdserverpb::PutRequest, etcdserverpb::DeleteRangeRequest, etcdserverpb::TxnRequest,
                 etcdserverpb::CompactionRequest, etcdserverpb::AlarmRequest, membershippb::ClusterVersionSetRequest,
                 membershippb::ClusterMemberAttrSetRequest, etcdserverpb::LeaseGrantRequest,
                 etcdserverpb::LeaseRevokeRequest, etcdserverpb::LeaseCheckpointRequest>;

struct Request {
  uint64_t id = 0;
  Operation operation;
  Term term;  // not 0: counts only if the log holds the entry under this term
};

// The fields of InternalRaftRequest that carry them.
enum class Field : int {
  kPut = 4,
  kDeleteRange = 5,
  kTxn = 6,
  kCompaction = 7,
  kLeaseGrant = 8,
  kLeaseRevoke = 9,
  kAlarm = 10,
  kLeaseCheckpoint = 11,
  kClusterVersionSet = 1300,
  kClusterMemberAttrSet = 1301,
};

// The entry's bytes, around the request's own bytes as they came from the client: nothing is encoded twice.
// `term`: Request::term, which travels in our own field 20000; none, and the entry is etcd's byte for byte.
std::string EncodeEntry(uint64_t id, Field field, std::string_view request, Term term = {});

// DataLoss: not an InternalRaftRequest, or not exactly one operation, or one that no loaded module owns. An entry is
// never skipped: the member must stop.
Result<Request> DecodeEntry(std::string_view bytes);

}  // namespace tenon::apply
