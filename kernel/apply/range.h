// RangeRequest -> RangeAnswer, over a read view or inside a transaction. Source: etcd server/etcdserver/txn/range.go.
#pragma once
#include "kernel/apply/response.h"
#include "kernel/base/status.h"
#include "kernel/mvcc/reader.h"
#include "proto/rpc.pb.h"

namespace tenon::apply {

// etcd's forms of a range: no end: one key; "\0": all keys from `key` on; else up to `range_end`.
struct Interval {
  std::string_view key, end;  // end empty: open
  bool single = false;

  static Interval Of(std::string_view key, std::string_view range_end) {
    if (range_end.empty()) return {key, {}, true};
    if (range_end == std::string_view("\0", 1)) return {key, {}, false};
    return {key, range_end, false};
  }
  bool Contains(std::string_view k) const { return single ? k == key : k >= key && (end.empty() || k < end); }
};

// FutureRevision, Compacted; any other error means that the engine failed.
Result<RangeAnswer> Range(mvcc::Reader& reader, const etcdserverpb::RangeRequest& request);

// Is the order that of the index, so that a limit can end the search?
bool IsDefaultOrder(const etcdserverpb::RangeRequest& request);
bool HasRevisionFilters(const etcdserverpb::RangeRequest& request);

// The row without its value, for keys_only.
Block WithoutValue(const mvcc::KeyIndex::Hit& hit);

}  // namespace tenon::apply
