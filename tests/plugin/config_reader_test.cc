#include <gtest/gtest.h>

#include "kernel/plugin/cfg.h"

namespace tenon::plugin {
namespace {

const tenon_host_config_v1& reader = kConfigTable;

std::string Text(tenon_slice slice) { return {reinterpret_cast<const char*>(slice.p), slice.n}; }

const tenon_cfg config =
    tenon_cfg::Map({{"cache", tenon_cfg::Scalar("256MiB", "etcd.yaml:3:9")},
                    {"count", tenon_cfg::Scalar("-12")},
                    {"quoted",
                     [] {
                       tenon_cfg node = tenon_cfg::Scalar("12");
                       node.quoted = true;
                       return node;
                     }()},
                    {"ratio", tenon_cfg::Scalar("0.25")},
                    {"sync", tenon_cfg::Scalar("true")},
                    {"interval", tenon_cfg::Scalar("1m30s")},
                    {"a.b", tenon_cfg::Scalar("whole key")},
                    {"tls", tenon_cfg::Map({{"ca", tenon_cfg::Map({{"file", tenon_cfg::Scalar("ca.pem")}})}})},
                    {"hosts", tenon_cfg::List({tenon_cfg::Scalar("a"), tenon_cfg::Scalar("b")})}},
                   "etcd.yaml:2:3");

TEST(ConfigReaderTest, ReadsEachType) {
  int64_t i = 0;
  double f = 0;
  int b = 0;
  uint64_t n = 0;
  EXPECT_EQ(reader.i64(reader.find(&config, "count"), &i), TENON_OK);
  EXPECT_EQ(i, -12);
  EXPECT_EQ(reader.f64(reader.find(&config, "ratio"), &f), TENON_OK);
  EXPECT_EQ(f, 0.25);
  EXPECT_EQ(reader.boolean(reader.find(&config, "sync"), &b), TENON_OK);
  EXPECT_EQ(b, 1);
  EXPECT_EQ(reader.duration_ns(reader.find(&config, "interval"), &i), TENON_OK);
  EXPECT_EQ(i, 90'000'000'000);
  EXPECT_EQ(reader.bytes(reader.find(&config, "cache"), &n), TENON_OK);
  EXPECT_EQ(n, 256u << 20);
}

TEST(ConfigReaderTest, WhatIsNotOfTheTypeLeavesTheValueAlone) {
  int64_t i = 5;
  int b = 5;
  double f = 5;
  uint64_t n = 5;
  for (const char* path : {"cache", "ratio", "sync", "tls", "quoted", "no such key"}) {
    EXPECT_EQ(reader.i64(reader.find(&config, path), &i), TENON_INVALID) << path;
  }
  EXPECT_EQ(reader.boolean(reader.find(&config, "count"), &b), TENON_INVALID);
  EXPECT_EQ(reader.f64(reader.find(&config, "interval"), &f), TENON_INVALID);
  EXPECT_EQ(reader.bytes(reader.find(&config, "count"), &n), TENON_INVALID);
  EXPECT_EQ(reader.duration_ns(reader.find(&config, "cache"), &i), TENON_INVALID);
  EXPECT_EQ(i, 5);
  EXPECT_EQ(b, 5);
  EXPECT_EQ(f, 5);
  EXPECT_EQ(n, 5u);
}

TEST(ConfigReaderTest, FindsByDottedPathAndByKeysWithDots) {
  EXPECT_EQ(Text(reader.scalar(reader.find(&config, "tls.ca.file"))), "ca.pem");
  EXPECT_EQ(Text(reader.scalar(reader.find(&config, "a.b"))), "whole key");
  EXPECT_EQ(reader.find(&config, "tls.key"), nullptr);
  EXPECT_EQ(reader.find(&config, "cache.x"), nullptr);
}

TEST(ConfigReaderTest, WalksListsAndMapsInOrder) {
  const tenon_cfg* hosts = reader.find(&config, "hosts");
  EXPECT_EQ(reader.kind(hosts), TENON_CFG_LIST);
  ASSERT_EQ(reader.count(hosts), 2u);
  EXPECT_EQ(Text(reader.scalar(reader.at(hosts, 1, nullptr))), "b");
  EXPECT_EQ(reader.at(hosts, 2, nullptr), nullptr);
  tenon_slice key{};
  reader.at(&config, 0, &key);
  EXPECT_EQ(Text(key), "cache");
}

TEST(ConfigReaderTest, SaysWhereANodeStood) {
  EXPECT_EQ(Text(reader.where(reader.find(&config, "cache"))), "etcd.yaml:3:9");
}

TEST(ConfigReaderTest, AMissingNodeReadsAsAbsent) {
  int64_t i = 0;
  EXPECT_EQ(reader.kind(nullptr), TENON_CFG_NULL);
  EXPECT_EQ(reader.count(nullptr), 0u);
  EXPECT_EQ(reader.find(nullptr, "x"), nullptr);
  EXPECT_EQ(reader.at(nullptr, 0, nullptr), nullptr);
  EXPECT_EQ(reader.scalar(nullptr).n, 0u);
  EXPECT_EQ(reader.where(nullptr).n, 0u);
  EXPECT_EQ(reader.i64(nullptr, &i), TENON_INVALID);
}

}  // namespace
}  // namespace tenon::plugin
