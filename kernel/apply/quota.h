// The quota module as the kernel asks it: what a request costs, and whether there is room for it.
//
// Asked before a request is proposed and once more when its entry is applied, because others were on their way at the
// same time. The sizes are the engine's of the last look, plus what was applied since: asking an engine may cost more
// than a put.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "include/tenon/abi/quota.h"
#include "kernel/apply/request.h"
#include "kernel/base/status.h"
#include "kernel/ports/clock.h"
#include "kernel/storage/engine.h"

namespace tenon::apply {

// What a request may add to the store. Source: etcd server/storage/quota.go, costPut and costTxn.
struct Growth {
  uint64_t puts = 0, put_bytes = 0, leases = 0;

  bool None() const { return puts == 0 && leases == 0; }
  uint64_t Weight() const { return puts * 256 + put_bytes; }  // by which the branch of a transaction is chosen
};
Growth GrowthOf(const etcdserverpb::PutRequest& request);
Growth GrowthOf(const etcdserverpb::TxnRequest& request);
Growth GrowthOf(const etcdserverpb::LeaseGrantRequest& request);
// Anything else adds nothing.
template <class T>
Growth GrowthOf(const T&) {
  return {};
}
using PutKeys = absl::InlinedVector<tenon_access, 2>;
// Appends the keys of all puts; they borrow the request.
void CollectPuts(const etcdserverpb::PutRequest& request, PutKeys& to);
void CollectPuts(const etcdserverpb::TxnRequest& request, PutKeys& to);
template <class T>
void CollectPuts(const T&, PutKeys&) {}

class Quota {
 public:
  // limit: bytes; 0: none. The module and the engine outlive this.
  Quota(const tenon_quota_v1& table, void* self, const storage::Engine& engine, Clock& clock, uint64_t limit);

  struct Answer {
    Status status;      // OK, or etcd's words for no space, or another refusal, in the module's words
    bool full = false;  // no space: the alarm is due
  };
  // Of a request that somebody sent. [rpc]
  template <class Message>
  Answer Admit(std::string_view method, const Message& request) {
    const Growth growth = GrowthOf(request);
    if (growth.None()) return {};
    PutKeys ranges;
    CollectPuts(request, ranges);
    return Ask(method, growth, ranges, false);
  }
  // Is there room for the operation of an entry? What it adds counts from here on. [apply]
  bool FitsAtApply(const Operation& operation);

  int64_t Remaining();  // bytes; for metrics [any]
  bool Recovered();     // there is room again, says the module [any]

 private:
  Answer Ask(std::string_view method, const Growth& growth, const PutKeys& ranges, bool at_apply);
  tenon_quota_in Describe();
  void Look();

  static constexpr uint64_t kLookNs = 100'000'000;
  const tenon_quota_v1 table_;
  void* const self_;
  const storage::Engine& engine_;
  Clock& clock_;
  const uint64_t limit_;
  const uint64_t look_bytes_;  // added since the last look: then look again
  std::mutex look_mutex_;
  std::atomic<uint64_t> looked_ns_{0};         // 0: never
  std::atomic<uint64_t> size_{0}, in_use_{0};  // the engine's, then
  std::atomic<uint64_t> added_{0};             // since
};

}  // namespace tenon::apply
