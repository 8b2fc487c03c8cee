// A quota on the bytes in use, with etcd's costs.
//
// etcd compares the allocated size, which only a defragmentation makes smaller; here deletes and a compaction make room
// by themselves. The estimate of a request is etcd's (server/storage/quota.go): 256 bytes a key and 64 a lease beside
// the bytes themselves. Plain functions of the kernel's numbers: no state but the configuration.
#include "plugins/quota/quota.h"

#include <tenon/sdk/sdk.hpp>

#include <limits>

namespace tenon::quota {
namespace {

constexpr uint64_t kPerKey = 256, kPerLease = 64;

class Quota {
 public:
  Quota(const sdk::Host&, const sdk::Config& config) : manual_(config.Str("clear", "auto") == "manual") {}

  static uint64_t Cost(const tenon_quota_in& in) { return in.puts * kPerKey + in.put_bytes + in.leases * kPerLease; }
  static bool Fits(const tenon_quota_in& in) {
    const uint64_t cost = Cost(in);
    if (in.limit == 0 || cost == 0) return true;
    // As etcd: what would reach the limit does not fit.
    return in.db_in_use < in.limit && cost < in.limit - in.db_in_use;
  }
  static int64_t Remaining(const tenon_quota_in& in) {
    if (in.limit == 0) return std::numeric_limits<int64_t>::max();
    return static_cast<int64_t>(in.limit - in.db_in_use);  // negative when it is over
  }
  // Some way below the limit, so that the alarm does not flap with each write.
  bool Recovered(const tenon_quota_in& in) const {
    return !manual_ && (in.limit == 0 || in.db_in_use < in.limit - in.limit / 20);
  }

 private:
  const bool manual_;
};

}  // namespace

const tenon_quota_v1 kTable = {
    sdk::ModuleVt<Quota>(sizeof(tenon_quota_v1), 0, TENON_F_SWAPPABLE),
    [](void*, const tenon_quota_in* in) { return Quota::Cost(*in); },
    [](void*, const tenon_quota_in* in, tenon_error*) -> tenon_status {
      return Quota::Fits(*in) ? TENON_OK : TENON_NO_SPACE;
    },
    [](void*, const tenon_quota_in* in) { return Quota::Remaining(*in); },
    [](void* self, const tenon_quota_in* in) -> int { return static_cast<Quota*>(self)->Recovered(*in); },
};

const char kConfigSchema[] = R"({"type":"object","additionalProperties":false,"properties":{
  "clear":{"type":"string","enum":["auto","manual"],"default":"auto",
           "description":"who takes NOSPACE back: the server below 95 % of the quota, or the operator"}}})";

}  // namespace tenon::quota
