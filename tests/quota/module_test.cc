// The module's rules: what fits, what a request costs, when there is room again. Source: etcd server/storage/quota.go.
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>

#include "kernel/apply/quota.h"
#include "plugins/quota/quota.h"
#include "tests/abi/fake_host.h"

namespace tenon::apply {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

class ModuleTest : public ::testing::Test {
 protected:
  ~ModuleTest() override { quota::kTable.m.destroy(self); }
  void Create(const std::map<std::string, std::string>& config = {}) {
    ASSERT_EQ(quota::kTable.m.create(host.get(), host.Config(config), &self, nullptr), TENON_OK);
  }
  static tenon_quota_in In(uint64_t in_use, uint64_t limit, uint64_t puts = 0, uint64_t put_bytes = 0,
                           uint64_t leases = 0) {
    tenon_quota_in in{};
    in.size = sizeof in;
    in.db_size = 10 * in_use;  // does not count
    in.db_in_use = in_use;
    in.limit = limit;
    in.puts = puts;
    in.put_bytes = put_bytes;
    in.leases = leases;
    return in;
  }
  bool Fits(const tenon_quota_in& in) { return quota::kTable.admit(self, &in, nullptr) == TENON_OK; }
  bool Recovered(uint64_t in_use, uint64_t limit) {
    const tenon_quota_in in = In(in_use, limit);
    return quota::kTable.recovered(self, &in) != 0;
  }

  testing::FakeHost host;
  void* self = nullptr;
};

TEST_F(ModuleTest, CostsAreEtcds) {
  Create();
  const tenon_quota_in put = In(0, 0, 3, 100), lease = In(0, 0, 0, 0, 2);
  EXPECT_EQ(quota::kTable.cost(self, &put), 3 * 256 + 100u);
  EXPECT_EQ(quota::kTable.cost(self, &lease), 2 * 64u);
}

TEST_F(ModuleTest, WhatWouldReachTheLimitDoesNotFit) {
  Create();
  EXPECT_TRUE(Fits(In(1000, 1267, 1, 10)));
  EXPECT_FALSE(Fits(In(1000, 1266, 1, 10)));
  EXPECT_FALSE(Fits(In(2000, 1266, 0, 0, 1))) << "far over it";
  EXPECT_TRUE(Fits(In(2000, 1266))) << "what adds nothing goes in";
  EXPECT_TRUE(Fits(In(UINT64_MAX, 0, 1, 10))) << "no limit";
  EXPECT_FALSE(Fits(In(0, 100, 1, UINT64_MAX / 2)));
}

TEST_F(ModuleTest, RemainingGoesBelowZero) {
  Create();
  const tenon_quota_in over = In(1500, 1000), under = In(400, 1000), none = In(400, 0);
  EXPECT_EQ(quota::kTable.remaining(self, &over), -500);
  EXPECT_EQ(quota::kTable.remaining(self, &under), 600);
  EXPECT_EQ(quota::kTable.remaining(self, &none), std::numeric_limits<int64_t>::max());
}

TEST_F(ModuleTest, RecoversBelow95PerCent) {
  Create();
  EXPECT_FALSE(Recovered(1000, 1000));
  EXPECT_FALSE(Recovered(950, 1000));
  EXPECT_TRUE(Recovered(949, 1000));
  EXPECT_TRUE(Recovered(5000, 0)) << "the limit was taken away";
}

TEST_F(ModuleTest, ManualNeverRecovers) {
  Create({{"clear", "manual"}});
  EXPECT_FALSE(Recovered(0, 1000));
}

TEST(Growth, OfATransactionIsThatOfItsDearerBranch) {
  TxnRequest inner;
  for (int i = 0; i < 3; i++) inner.add_success()->mutable_request_put()->set_key("k");
  inner.add_failure()->mutable_request_put()->set_value(std::string(100, 'x'));
  TxnRequest txn;
  *txn.add_success()->mutable_request_txn() = inner;
  txn.add_success()->mutable_request_range();
  txn.add_success()->mutable_request_delete_range();
  txn.add_success()->mutable_request_put()->set_value("abc");
  txn.add_failure()->mutable_request_put()->set_value(std::string(500, 'x'));
  const Growth growth = GrowthOf(txn);
  EXPECT_EQ(growth.puts, 4u);
  EXPECT_EQ(growth.put_bytes, 6u);
  txn.mutable_failure(0)->mutable_request_put()->set_value(std::string(2000, 'x'));
  EXPECT_EQ(GrowthOf(txn).put_bytes, 2000u);
  EXPECT_TRUE(GrowthOf(TxnRequest()).None());
  EXPECT_TRUE(GrowthOf(DeleteRangeRequest()).None());
  EXPECT_EQ(GrowthOf(LeaseGrantRequest()).leases, 1u);
}

TEST(Growth, AModuleSeesTheKeysOfAllPuts) {
  TxnRequest txn;
  txn.add_success()->mutable_request_put()->set_key("a");
  txn.add_failure()->mutable_request_txn()->add_success()->mutable_request_put()->set_key("b");
  PutKeys keys;
  CollectPuts(txn, keys);
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(storage::View(keys[0].range.lo), "a");
  EXPECT_EQ(storage::View(keys[1].range.lo), "b");
  EXPECT_EQ(storage::View(keys[1].range.hi), std::string_view("b\0", 2));
  EXPECT_EQ(keys[1].op, static_cast<uint32_t>(TENON_ACC_WRITE));
}

}  // namespace
}  // namespace tenon::apply
