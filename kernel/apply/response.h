// Answers to KV requests, written straight into the parts of a reply.
//
// The rows of an answer are stored KeyValues in canonical protobuf; they are shared with the record cache, not decoded
// and not copied. Field numbers: proto/rpc.proto.
#pragma once
#include <cstdint>
#include <variant>
#include <vector>

#include "kernel/base/block.h"
#include "kernel/base/bufs.h"

namespace tenon::apply {

struct ResponseHeader {
  uint64_t cluster_id = 0;
  uint64_t member_id = 0;
  int64_t revision = 0;
  uint64_t raft_term = 0;
};

struct RangeAnswer {
  int64_t revision = 0;
  std::vector<Block> kvs;
  bool more = false;
  int64_t count = 0;
};

struct PutAnswer {
  int64_t revision = 0;
  Block prev_kv;  // empty: none
};

struct DeleteAnswer {
  int64_t revision = 0;
  int64_t deleted = 0;
  std::vector<Block> prev_kvs;
};

struct TxnAnswer;
using OpAnswer = std::variant<std::monostate, RangeAnswer, PutAnswer, DeleteAnswer, TxnAnswer>;

struct TxnAnswer {
  int64_t revision = 0;  // 0 in a nested one, as in etcd
  bool succeeded = false;
  std::vector<OpAnswer> responses;
};

// The whole reply. `header.revision` is used where the answer has none of its own.
Bufs Encode(const RangeAnswer& answer, ResponseHeader header);
Bufs Encode(const PutAnswer& answer, ResponseHeader header);
Bufs Encode(const DeleteAnswer& answer, ResponseHeader header);
Bufs Encode(const TxnAnswer& answer, ResponseHeader header);
// A reply of nothing but its header: Compact.
Bufs EncodeHeaderOnly(ResponseHeader header);

// One message of a RangeStream: kvs, and in the last one header, more and count.
Bufs EncodeStreamPart(const std::vector<Block>& kvs, size_t from, size_t n, const ResponseHeader* header_of_last,
                      bool more, int64_t count);

}  // namespace tenon::apply
