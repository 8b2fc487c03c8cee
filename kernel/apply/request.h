// What a normal log entry asks for: an InternalRaftRequest with its id and exactly one operation.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "kernel/base/status.h"
#include "proto/raft_internal.pb.h"
#include "proto/rpc.pb.h"

namespace tenon::apply {

// The operations that this kernel applies itself. One of a module (lease, auth) arrives here with the module's issue.
using Operation = std::variant<etcdserverpb::PutRequest, etcdserverpb::DeleteRangeRequest, etcdserverpb::TxnRequest,
                               etcdserverpb::CompactionRequest, etcdserverpb::AlarmRequest,
                               membershippb::ClusterVersionSetRequest, membershippb::ClusterMemberAttrSetRequest>;

struct Request {
  uint64_t id = 0;
  Operation operation;
};

// The fields of InternalRaftRequest that carry them.
enum class Field : int {
  kPut = 4,
  kDeleteRange = 5,
  kTxn = 6,
  kCompaction = 7,
  kAlarm = 10,
  kClusterVersionSet = 1300,
  kClusterMemberAttrSet = 1301,
};

// The entry's bytes, around the request's own bytes as they came from the client: nothing is encoded twice.
std::string EncodeEntry(uint64_t id, Field field, std::string_view request);

// DataLoss: not an InternalRaftRequest, or not exactly one operation, or one that no loaded module owns. An entry is
// never skipped: the member must stop.
Result<Request> DecodeEntry(std::string_view bytes);

}  // namespace tenon::apply
