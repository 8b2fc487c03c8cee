#include "kernel/apply/quota.h"

#include <algorithm>

#include "kernel/base/errors.h"

namespace tenon::apply {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

constexpr uint64_t kMaxLookBytes = 1 << 20;

template <class Ops>
Growth OfBranch(const Ops& ops) {
  Growth sum;
  for (const RequestOp& op : ops) {
    const Growth one = op.has_request_put()   ? GrowthOf(op.request_put())
                       : op.has_request_txn() ? GrowthOf(op.request_txn())
                                              : Growth();
    sum.puts += one.puts;
    sum.put_bytes += one.put_bytes;
  }
  return sum;
}

}  // namespace

Growth GrowthOf(const PutRequest& request) { return {1, request.key().size() + request.value().size(), 0}; }

Growth GrowthOf(const TxnRequest& request) {
  const Growth success = OfBranch(request.success()), failure = OfBranch(request.failure());
  return failure.Weight() > success.Weight() ? failure : success;
}

Growth GrowthOf(const LeaseGrantRequest&) { return {0, 0, 1}; }

void CollectPuts(const PutRequest& request, PutKeys& to) {
  const auto* key = reinterpret_cast<const uint8_t*>(request.key().c_str());
  // The key that follows it ends in the zero that c_str promises.
  to.push_back({TENON_ACC_WRITE, 0, {{key, request.key().size()}, {key, request.key().size() + 1}}});
}

void CollectPuts(const TxnRequest& request, PutKeys& to) {
  for (const auto* ops : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *ops) {
      if (op.has_request_put()) CollectPuts(op.request_put(), to);
      if (op.has_request_txn()) CollectPuts(op.request_txn(), to);
    }
  }
}

Quota::Quota(const tenon_quota_v1& table, void* self, const storage::Engine& engine, Clock& clock, uint64_t limit)
    : table_(table),
      self_(self),
      engine_(engine),
      clock_(clock),
      limit_(limit),
      look_bytes_(limit == 0 ? kMaxLookBytes : std::min(kMaxLookBytes, limit / 64)) {}

void Quota::Look() {
  const uint64_t now = clock_.MonoNs();
  const uint64_t looked = looked_ns_.load(std::memory_order_acquire);
  if (looked != 0 && now - looked < kLookNs && added_.load(std::memory_order_relaxed) < look_bytes_) return;
  const std::unique_lock lock(look_mutex_, std::try_to_lock);
  if (!lock && looked != 0) return;  // somebody else is looking
  added_.store(0, std::memory_order_relaxed);
  const tenon_storage_stats stats = engine_.Stats();
  size_.store(stats.size_bytes, std::memory_order_relaxed);
  // An engine that does not know what it has in use counts as full of it.
  in_use_.store(stats.size_in_use_bytes == 0 ? stats.size_bytes : stats.size_in_use_bytes, std::memory_order_relaxed);
  looked_ns_.store(std::max<uint64_t>(now, 1), std::memory_order_release);
}

tenon_quota_in Quota::Describe() {
  Look();
  tenon_quota_in in{};
  in.size = sizeof in;
  const uint64_t added = added_.load(std::memory_order_relaxed);
  in.db_size = size_.load(std::memory_order_relaxed) + added;
  in.db_in_use = in_use_.load(std::memory_order_relaxed) + added;
  in.limit = limit_;
  return in;
}

Quota::Answer Quota::Ask(std::string_view method, const Growth& growth, const PutKeys& ranges, bool at_apply) {
  tenon_quota_in in = Describe();
  in.at_apply = at_apply;
  in.method = storage::Slice(method);
  in.puts = growth.puts;
  in.put_bytes = growth.put_bytes;
  in.leases = growth.leases;
  in.ranges = ranges.data();
  in.n_ranges = ranges.size();
  tenon_error error{};
  error.size = sizeof error;
  const tenon_status status = table_.admit(self_, &in, &error);
  if (at_apply) added_.fetch_add(table_.cost(self_, &in), std::memory_order_relaxed);
  if (status == TENON_OK) return {};
  if (status == TENON_NO_SPACE) return {errors::NoSpace(), true};
  return {storage::ToStatus(status, &error, "quota")};
}

bool Quota::FitsAtApply(const Operation& operation) {
  const Growth growth = std::visit([](const auto& request) { return GrowthOf(request); }, operation);
  if (growth.None()) return true;
  PutKeys ranges;
  std::visit([&](const auto& request) { CollectPuts(request, ranges); }, operation);
  const std::string_view method = std::holds_alternative<PutRequest>(operation)   ? "/etcdserverpb.KV/Put"
                                  : std::holds_alternative<TxnRequest>(operation) ? "/etcdserverpb.KV/Txn"
                                                                                  : "/etcdserverpb.Lease/LeaseGrant";
  return !Ask(method, growth, ranges, true).full;
}

int64_t Quota::Remaining() {
  const tenon_quota_in in = Describe();
  return table_.remaining(self_, &in);
}

bool Quota::Recovered() {
  const tenon_quota_in in = Describe();
  return table_.recovered != nullptr && table_.recovered(self_, &in) != 0;
}

}  // namespace tenon::apply
