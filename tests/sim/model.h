// What a store of etcd's kind is, said as simply as possible: a map per revision. Pure.
//
// Written from etcd's API description and behaviour, and sharing no code with kernel/mvcc or kernel/apply.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "proto/rpc.pb.h"

namespace tenon::sim {

struct Value {
  std::string value;
  int64_t create = 0, mod = 0, version = 0, lease = 0;
  bool operator==(const Value&) const = default;
};
using State = std::map<std::string, Value>;

// A row of the table key.
struct Row {
  std::string key;
  bool tombstone;
  Value value;
};

using Write = std::variant<etcdserverpb::PutRequest, etcdserverpb::DeleteRangeRequest, etcdserverpb::TxnRequest,
                           etcdserverpb::LeaseRevokeRequest>;
struct Revoked {
  bool changed = false;  // keys went with it; its answer does not say so
};
using Response =
    std::variant<etcdserverpb::PutResponse, etcdserverpb::DeleteRangeResponse, etcdserverpb::TxnResponse, Revoked>;

struct Effect {
  State after;
  std::vector<Row> rows;  // none: the revision stays
  Response response;      // headers are empty
};
// `write` on `before`; if it changes anything, as revision `revision`.
Effect Carry(const Write& write, const State& before, int64_t revision);

etcdserverpb::RangeResponse Range(const etcdserverpb::RangeRequest& request, const State& state);

// Did it change anything, by its own words?
bool Changed(const Response& response);

// The history: what each revision did.
struct Step {
  State after;
  std::vector<Row> rows;
};
using History = std::map<int64_t, Step>;
uint32_t HashKv(const History& history, int64_t revision, int64_t compact_revision);

}  // namespace tenon::sim
