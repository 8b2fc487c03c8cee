#include "kernel/apply/range.h"

#include <algorithm>
#include <limits>

#include "kernel/base/check.h"
#include "kernel/mvcc/key_value.h"

namespace tenon::apply {
namespace {

using etcdserverpb::RangeRequest;
using mvcc::KeyIndex;
using mvcc::KeyValue;

// A hit with the fields that filters and sorting look at.
struct Row {
  KeyIndex::Hit* hit;
  KeyValue kv;
};

KeyValue Fields(const KeyIndex::Hit& hit) {
  KeyValue kv;
  if (hit.record) {
    CHECK(Decode(hit.record.view(), kv));
  } else {
    CHECK(hit.newest);
    kv.key = hit.entry->key();
    kv.create_revision = hit.create;
    kv.mod_revision = hit.revision.main;
    kv.version = hit.version;
    kv.lease = hit.lease;
  }
  return kv;
}

bool Passes(const RangeRequest& r, const KeyValue& kv) {
  return (r.max_mod_revision() == 0 || kv.mod_revision <= r.max_mod_revision()) &&
         (r.min_mod_revision() == 0 || kv.mod_revision >= r.min_mod_revision()) &&
         (r.max_create_revision() == 0 || kv.create_revision <= r.max_create_revision()) &&
         (r.min_create_revision() == 0 || kv.create_revision >= r.min_create_revision());
}

// Stable, so that ties stay in key order.
void Sort(const RangeRequest& r, std::vector<Row>& rows) {
  const auto by = [&](auto field) {
    if (r.sort_order() == RangeRequest::DESCEND) {
      std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) { return field(b.kv) < field(a.kv); });
    } else {
      std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) { return field(a.kv) < field(b.kv); });
    }
  };
  switch (r.sort_target()) {
    case RangeRequest::KEY: return by([](const KeyValue& kv) { return kv.key; });
    case RangeRequest::VERSION: return by([](const KeyValue& kv) { return kv.version; });
    case RangeRequest::CREATE: return by([](const KeyValue& kv) { return kv.create_revision; });
    case RangeRequest::MOD: return by([](const KeyValue& kv) { return kv.mod_revision; });
    case RangeRequest::VALUE: return by([](const KeyValue& kv) { return kv.value; });
    default: CheckFailed(__FILE__, __LINE__, "a sort target that validation let through");
  }
}

// Filters and sorts. Historic rows have no fields in the index, but those were loaded.
void Select(const RangeRequest& request, bool sort, std::vector<KeyIndex::Hit>& hits) {
  std::vector<Row> rows;
  rows.reserve(hits.size());
  for (KeyIndex::Hit& hit : hits) {
    const KeyValue kv = Fields(hit);
    if (Passes(request, kv)) rows.push_back({&hit, kv});
  }
  if (sort) Sort(request, rows);
  std::vector<KeyIndex::Hit> selected;
  selected.reserve(rows.size());
  for (const Row& row : rows) selected.push_back(std::move(*row.hit));
  hits = std::move(selected);
}

}  // namespace

bool IsDefaultOrder(const RangeRequest& r) {
  return r.sort_order() == RangeRequest::NONE ||
         (r.sort_target() == RangeRequest::KEY && r.sort_order() == RangeRequest::ASCEND);
}

bool HasRevisionFilters(const RangeRequest& r) {
  return r.min_mod_revision() != 0 || r.max_mod_revision() != 0 || r.min_create_revision() != 0 ||
         r.max_create_revision() != 0;
}

Block WithoutValue(const KeyIndex::Hit& hit) {
  KeyValue kv = Fields(hit);
  kv.value = {};
  return EncodeBlock(kv);
}

Result<RangeAnswer> Range(mvcc::Reader& reader, const RangeRequest& request) {
  // etcd cuts in the index when no order is asked for, also when it then sorts what is left by another target.
  const bool cut_in_index = IsDefaultOrder(request) && !HasRevisionFilters(request);
  const bool sort = request.sort_target() != RangeRequest::KEY || request.sort_order() == RangeRequest::DESCEND;
  const int64_t limit = std::max<int64_t>(request.limit(), 0);
  mvcc::RangeOptions options;
  options.revision = request.revision();
  options.limit = cut_in_index && limit > 0 && limit < std::numeric_limits<int64_t>::max() ? limit + 1 : 0;
  options.count_only = request.count_only();
  options.index_only = request.keys_only() && request.sort_target() != RangeRequest::VALUE;

  mvcc::RangeHits found;
  const Interval interval = Interval::Of(request.key(), request.range_end());
  RETURN_IF_ERROR(interval.single ? reader.Single(interval.key, options, found)
                                  : reader.Range(interval.key, interval.end, options, found));
  RangeAnswer answer;
  answer.revision = reader.revision();
  answer.count = found.count;
  std::vector<KeyIndex::Hit>& hits = found.hits;
  if (sort || HasRevisionFilters(request)) Select(request, sort, hits);
  if (limit > 0 && hits.size() > static_cast<size_t>(limit)) {
    hits.resize(static_cast<size_t>(limit));
    answer.more = true;
  }
  answer.kvs.reserve(hits.size());
  for (KeyIndex::Hit& hit : hits) {
    answer.kvs.push_back(request.keys_only() ? WithoutValue(hit) : std::move(hit.record));
  }
  return answer;
}

}  // namespace tenon::apply
