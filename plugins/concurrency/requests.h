// The requests to the server's own API that lock and election are made of. Source: etcd client/v3/concurrency. [pure]
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "proto/rpc.pb.h"

namespace tenon::concurrency {

constexpr int64_t kSessionTtlSeconds = 60;

// The key by which a session takes part under a prefix: "PREFIX" + its lease in hexadecimal.
std::string SessionKey(std::string_view prefix, int64_t lease);
// The end of the range of all keys that begin with prefix.
std::string PrefixEnd(std::string prefix);

// The one key under prefix that was created first.
etcdserverpb::RangeRequest FirstCreated(const std::string& prefix);
// The one that was created last, but not after `revision`.
etcdserverpb::RangeRequest LastCreated(const std::string& prefix, int64_t revision);
etcdserverpb::RangeRequest One(const std::string& key);

// Makes `key` with the lease unless it is there; with `owner` both branches also say who came first under that prefix.
etcdserverpb::TxnRequest TakePart(const std::string& key, const std::string& value, int64_t lease,
                                  const std::string& owner_of = "");
// Puts or deletes `key` if it is still the one that was created at `revision`.
etcdserverpb::TxnRequest PutIfOurs(const std::string& key, int64_t revision, const std::string& value, int64_t lease);
etcdserverpb::TxnRequest DeleteIfOurs(const std::string& key, int64_t revision);

}  // namespace tenon::concurrency
