#include "plugins/concurrency/requests.h"

#include <fmt/format.h>

namespace tenon::concurrency {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

namespace {

Compare CreatedAt(const std::string& key, int64_t revision) {
  Compare compare;
  compare.set_target(Compare::CREATE);
  compare.set_result(Compare::EQUAL);
  compare.set_key(key);
  compare.set_create_revision(revision);
  return compare;
}

}  // namespace

std::string SessionKey(std::string_view prefix, int64_t lease) { return fmt::format("{}{:x}", prefix, lease); }

std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<uint8_t>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');
  prefix.back()++;
  return prefix;
}

RangeRequest FirstCreated(const std::string& prefix) {
  RangeRequest r;
  r.set_key(prefix);
  r.set_range_end(PrefixEnd(prefix));
  r.set_sort_target(RangeRequest::CREATE);
  r.set_sort_order(RangeRequest::ASCEND);
  r.set_limit(1);
  return r;
}

RangeRequest LastCreated(const std::string& prefix, int64_t revision) {
  RangeRequest r = FirstCreated(prefix);
  r.set_sort_order(RangeRequest::DESCEND);
  r.set_max_create_revision(revision);
  return r;
}

RangeRequest One(const std::string& key) {
  RangeRequest r;
  r.set_key(key);
  return r;
}

TxnRequest TakePart(const std::string& key, const std::string& value, int64_t lease, const std::string& owner_of) {
  TxnRequest txn;
  *txn.add_compare() = CreatedAt(key, 0);
  PutRequest* put = txn.add_success()->mutable_request_put();
  put->set_key(key);
  put->set_value(value);
  put->set_lease(lease);
  txn.add_failure()->mutable_request_range()->set_key(key);
  if (!owner_of.empty()) {
    *txn.add_success()->mutable_request_range() = FirstCreated(owner_of);
    *txn.add_failure()->mutable_request_range() = FirstCreated(owner_of);
  }
  return txn;
}

TxnRequest PutIfOurs(const std::string& key, int64_t revision, const std::string& value, int64_t lease) {
  TxnRequest txn;
  *txn.add_compare() = CreatedAt(key, revision);
  PutRequest* put = txn.add_success()->mutable_request_put();
  put->set_key(key);
  put->set_value(value);
  put->set_lease(lease);
  return txn;
}

TxnRequest DeleteIfOurs(const std::string& key, int64_t revision) {
  TxnRequest txn;
  *txn.add_compare() = CreatedAt(key, revision);
  txn.add_success()->mutable_request_delete_range()->set_key(key);
  return txn;
}

}  // namespace tenon::concurrency
