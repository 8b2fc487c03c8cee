// Where ids come from. The same configuration gives the same ids as in etcd.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "kernel/base/ids.h"

namespace tenon::cluster {

// First 8 bytes of SHA1(sorted peer URLs joined, then the cluster token). Source: etcd membership/member.go.
MemberId ComputeMemberId(std::vector<std::string> peer_urls, const std::string& token);
// First 8 bytes of SHA1(member ids, ascending, 8 bytes big-endian each). Source: etcd membership/cluster.go.
uint64_t ComputeClusterId(std::vector<MemberId> members);

// Request ids that do not repeat, also not after a restart: 2 bytes of the member, 5 of the start time in
// milliseconds, 1 that counts and carries into them. Source: etcd pkg/idutil. [any thread]
class RequestIds {
 public:
  RequestIds(MemberId member, uint64_t wall_ns)
      : next_((member & 0xffff) << 48 | ((wall_ns / 1'000'000) & 0xff'ffff'ffff) << 8) {}
  uint64_t Next() { return next_.fetch_add(1, std::memory_order_relaxed) + 1; }

 private:
  std::atomic<uint64_t> next_;
};

}  // namespace tenon::cluster
