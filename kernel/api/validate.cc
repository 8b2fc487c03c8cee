#include "kernel/api/validate.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "kernel/apply/range.h"
#include "kernel/base/errors.h"

namespace tenon::api {
namespace {

using apply::Interval;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using Ops = google::protobuf::RepeatedPtrField<RequestOp>;

Status CheckOp(const RequestOp& op, int64_t max_ops);

Status CheckCounts(const TxnRequest& request, int64_t max_ops) {
  const int64_t count = std::max({request.compare_size(), request.success_size(), request.failure_size()});
  if (count > max_ops) return errors::TooManyOps();
  for (const auto& compare : request.compare()) {
    if (compare.key().empty()) return errors::EmptyKey();
  }
  for (const Ops* ops : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *ops) RETURN_IF_ERROR(CheckOp(op, max_ops - count));
  }
  return Ok();
}

Status CheckOp(const RequestOp& op, int64_t max_ops) {
  switch (op.request_case()) {
    case RequestOp::kRequestRange: return Check(op.request_range());
    case RequestOp::kRequestPut: return Check(op.request_put());
    case RequestOp::kRequestDeleteRange: return Check(op.request_delete_range());
    case RequestOp::kRequestTxn: return CheckCounts(op.request_txn(), max_ops);
    default: return errors::KeyNotFound();  // an empty operation; the word is etcd's
  }
}

// The order of keys. Every comparison of two keys goes through it, and is counted.
struct Less {
  using is_transparent = void;
  uint64_t* comparisons;
  bool operator()(std::string_view a, std::string_view b) const {
    ++*comparisons;
    return a < b;
  }
};

// A set of keys made of intervals. Neighbours and overlaps are merged, so that a question costs the logarithm: nesting
// allows for 100,000 deletes and as many puts in one request.
class KeySet {
 public:
  explicit KeySet(uint64_t* comparisons) : comparisons_(comparisons), runs_(Less{comparisons}) {}

  void Add(const Interval& i) {
    // One key is the interval up to its successor; an empty end is behind all keys.
    std::string begin(i.key), end = i.single ? begin + '\0' : std::string(i.end);
    if (!end.empty() && !less()(begin, end)) return;
    auto at = runs_.upper_bound(begin);
    if (at != runs_.begin() && Reaches(std::prev(at)->second, begin)) --at;
    while (at != runs_.end() && Reaches(end, at->first)) {
      begin = std::min(begin, at->first, less());
      if (!end.empty() && (at->second.empty() || less()(end, at->second))) end = at->second;
      at = runs_.erase(at);
    }
    runs_.emplace(std::move(begin), std::move(end));
  }
  void Add(const KeySet& other) {
    for (const auto& [begin, end] : other.runs_) Add(Interval{begin, end});
  }
  bool Has(std::string_view key) const {
    const auto behind = runs_.upper_bound(key);
    if (behind == runs_.begin()) return false;
    const std::string& end = std::prev(behind)->second;
    return end.empty() || less()(key, end);
  }

 private:
  Less less() const { return Less{comparisons_}; }
  bool Reaches(const std::string& end, const std::string& key) const { return end.empty() || !less()(end, key); }

  uint64_t* comparisons_;
  std::map<std::string, std::string, Less> runs_;  // begin -> end
};

// What a list of operations may change, all branches together.
struct Changes {
  explicit Changes(uint64_t* comparisons) : comparisons(comparisons) {}

  uint64_t* comparisons;
  std::set<std::string_view, Less> puts{Less{comparisons}};
  KeySet deletes{comparisons};
};

Status CheckOverlaps(const Ops& ops, Changes& changes) {
  // Deletes of this level first: they forbid puts of the levels below too.
  for (const RequestOp& op : ops) {
    if (!op.has_request_delete_range()) continue;
    changes.deletes.Add(Interval::Of(op.request_delete_range().key(), op.request_delete_range().range_end()));
  }
  for (const RequestOp& op : ops) {
    if (!op.has_request_txn()) continue;
    Changes then_changes(changes.comparisons), else_changes(changes.comparisons);
    RETURN_IF_ERROR(CheckOverlaps(op.request_txn().success(), then_changes));
    RETURN_IF_ERROR(CheckOverlaps(op.request_txn().failure(), else_changes));
    // Only one branch is taken, so a key may stand in both; but not also elsewhere.
    for (const std::string_view key : else_changes.puts) then_changes.puts.insert(key);
    for (const std::string_view key : then_changes.puts) {
      if (changes.deletes.Has(key) || !changes.puts.insert(key).second) return errors::DuplicateKey();
    }
    for (const Changes* branch : {&then_changes, &else_changes}) changes.deletes.Add(branch->deletes);
  }
  for (const RequestOp& op : ops) {
    if (!op.has_request_put()) continue;
    const std::string_view key = op.request_put().key();
    if (changes.deletes.Has(key) || !changes.puts.insert(key).second) return errors::DuplicateKey();
  }
  return Ok();
}

}  // namespace

Status Check(const etcdserverpb::RangeRequest& request) {
  if (request.key().empty()) return errors::EmptyKey();
  if (!etcdserverpb::RangeRequest::SortOrder_IsValid(request.sort_order()) ||
      !etcdserverpb::RangeRequest::SortTarget_IsValid(request.sort_target())) {
    return errors::InvalidSortOption();
  }
  return Ok();
}

Status Check(const etcdserverpb::PutRequest& request) {
  if (request.key().empty()) return errors::EmptyKey();
  if (request.ignore_value() && !request.value().empty()) return errors::ValueProvided();
  if (request.ignore_lease() && request.lease() != 0) return errors::LeaseProvided();
  return Ok();
}

Status Check(const etcdserverpb::DeleteRangeRequest& request) {
  return request.key().empty() ? errors::EmptyKey() : Ok();
}

Status Check(const TxnRequest& request, int64_t max_ops, uint64_t* comparisons) {
  RETURN_IF_ERROR(CheckCounts(request, max_ops));
  uint64_t uncounted = 0;
  if (comparisons == nullptr) comparisons = &uncounted;
  Changes then_changes(comparisons), else_changes(comparisons);
  RETURN_IF_ERROR(CheckOverlaps(request.success(), then_changes));
  return CheckOverlaps(request.failure(), else_changes);
}

}  // namespace tenon::api
