// The table of options against the struct, against etcd, and against configs/.
#include "kernel/config/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "tests/unit/config/load.h"

namespace tenon {
namespace {

std::string ReadConfig(const std::string& name) {
  std::ifstream in(std::string(TENON_CONFIGS) + "/" + name);
  EXPECT_TRUE(in) << name;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// The lines of comment just above "name: ".
std::string CommentAbove(const std::string& text, std::string_view name) {
  const size_t entry = text.find(fmt::format("\n{}: ", name));
  size_t from = entry;
  while (from != text.npos && from != 0) {
    const size_t line = text.rfind('\n', from - 1);
    if (line == text.npos || text[line + 1] != '#') break;
    from = line;
  }
  return from == text.npos ? "" : text.substr(from, entry - from);
}

TEST(Options, NamesAreDistinctAndFound) {
  std::set<std::string_view> names;
  for (const Option& option : Options()) {
    EXPECT_TRUE(names.insert(option.name).second) << option.name;
    EXPECT_EQ(FindOption(option.name), &option);
    EXPECT_EQ(option.state != OptionState::kWorks, !option.note.empty()) << option.name << " gives no reason";
    EXPECT_EQ(option.group != OptionGroup::kRemoved, !option.help.empty()) << option.name;
    EXPECT_EQ(option.group == OptionGroup::kTenon, option.name.starts_with("tenon-")) << option.name;
  }
  for (const SectionKey& key : SectionKeys()) {
    EXPECT_TRUE(key.option.empty() || FindOption(key.option) != nullptr) << key.section << ": " << key.key;
  }
  for (const Option& option : Options()) {
    if (option.group != OptionGroup::kTenon) continue;
    EXPECT_NE(std::find_if(SectionKeys().begin(), SectionKeys().end(),
                           [&](const SectionKey& k) { return k.section == "tenon" && k.option == option.name; }),
              SectionKeys().end())
        << option.name << " is not in the tenon section";
  }
}

TEST(Options, DefaultsParseAndEqualTheStructs) {
  const Config plain, defaults = DefaultConfig();
  for (const Option& option : Options()) {
    if (option.group == OptionGroup::kRemoved) continue;
    Config scratch;
    EXPECT_TRUE(SetFromText(option, option.default_text, scratch).ok()) << option.name;
    // URLs and the JSON text have no initializer in the struct.
    if (option.type == OptionType::kUrls || option.name == "log-rotation-config-json") continue;
    EXPECT_EQ(TextOf(option, plain), TextOf(option, defaults)) << option.name;
  }
}

// What 3.7.3 registers, from its sources: a flag of etcd that we forget would stop somebody's start script.
TEST(Options, KnowEveryFlagOfEtcd) {
  const char* const etcd[] = {"data-dir",
                              "wal-dir",
                              "listen-peer-urls",
                              "listen-client-urls",
                              "listen-client-http-urls",
                              "listen-metrics-urls",
                              "max-snapshots",
                              "max-wals",
                              "name",
                              "snapshot-count",
                              "heartbeat-interval",
                              "election-timeout",
                              "initial-election-tick-advance",
                              "quota-backend-bytes",
                              "backend-bbolt-freelist-type",
                              "backend-batch-interval",
                              "backend-batch-limit",
                              "max-txn-ops",
                              "max-request-bytes",
                              "grpc-keepalive-min-time",
                              "grpc-keepalive-interval",
                              "grpc-keepalive-timeout",
                              "socket-reuse-port",
                              "socket-reuse-address",
                              "max-concurrent-streams",
                              "raft-read-timeout",
                              "raft-write-timeout",
                              "initial-advertise-peer-urls",
                              "advertise-client-urls",
                              "discovery-endpoints",
                              "discovery-token",
                              "discovery-dial-timeout",
                              "discovery-request-timeout",
                              "discovery-keepalive-time",
                              "discovery-keepalive-timeout",
                              "discovery-insecure-transport",
                              "discovery-insecure-skip-tls-verify",
                              "discovery-cert",
                              "discovery-key",
                              "discovery-cacert",
                              "discovery-user",
                              "discovery-password",
                              "discovery-srv",
                              "discovery-srv-name",
                              "initial-cluster",
                              "initial-cluster-token",
                              "strict-reconfig-check",
                              "pre-vote",
                              "cert-file",
                              "key-file",
                              "client-cert-file",
                              "client-key-file",
                              "client-cert-auth",
                              "client-crl-file",
                              "client-cert-allowed-hostname",
                              "trusted-ca-file",
                              "auto-tls",
                              "peer-cert-file",
                              "peer-key-file",
                              "peer-client-cert-file",
                              "peer-client-key-file",
                              "peer-client-cert-auth",
                              "peer-trusted-ca-file",
                              "peer-auto-tls",
                              "self-signed-cert-validity",
                              "peer-crl-file",
                              "peer-cert-allowed-cn",
                              "peer-cert-allowed-hostname",
                              "cipher-suites",
                              "peer-skip-client-san-verification",
                              "tls-min-version",
                              "tls-max-version",
                              "cors",
                              "host-whitelist",
                              "logger",
                              "log-outputs",
                              "log-level",
                              "log-format",
                              "enable-log-rotation",
                              "log-rotation-config-json",
                              "auto-compaction-retention",
                              "auto-compaction-mode",
                              "enable-pprof",
                              "metrics",
                              "enable-distributed-tracing",
                              "distributed-tracing-address",
                              "distributed-tracing-service-name",
                              "distributed-tracing-instance-id",
                              "distributed-tracing-sampling-rate",
                              "auth-token",
                              "bcrypt-cost",
                              "auth-token-ttl",
                              "enable-grpc-gateway",
                              "corrupt-check-time",
                              "compact-hash-check-time",
                              "compaction-batch-limit",
                              "compaction-sleep-interval",
                              "watch-progress-notify-interval",
                              "downgrade-check-time",
                              "warning-apply-duration",
                              "warning-unary-request-duration",
                              "memory-mlock",
                              "bootstrap-defrag-threshold-megabytes",
                              "max-learners",
                              "unsafe-no-fsync",
                              "force-new-cluster",
                              "feature-gates",
                              "discovery-fallback",
                              "v2-deprecation",
                              "cluster-active-size",
                              "cluster-remove-delay",
                              "cluster-sync-interval",
                              "config",
                              "force",
                              "max-result-buffer",
                              "max-retry-attempts",
                              "peer-heartbeat-interval",
                              "peer-election-timeout",
                              "retry-interval",
                              "snapshot",
                              "v",
                              "vv",
                              "test.coverprofile",
                              "test.outputdir"};
  for (const char* name : etcd) EXPECT_NE(FindOption(name), nullptr) << name;
}

TEST(Options, ByTheirVariable) {
  EXPECT_EQ(EnvName("snapshot-count"), "ETCD_SNAPSHOT_COUNT");
  EXPECT_EQ(EnvName("tenon-record-cache"), "ETCD_TENON_RECORD_CACHE");
}

// annotated.yaml is written by hand for people; this keeps it true.
TEST(Configs, AnnotatedHasEveryOptionAtItsDefault) {
  const std::string text = ReadConfig("annotated.yaml");
  std::vector<Problem> problems;
  const ConfigNode root = ParseYaml(text, "annotated.yaml", problems);
  ASSERT_TRUE(problems.empty()) << problems[0].ToString();
  const Config defaults = DefaultConfig();
  size_t entries = 0;
  for (const Option& option : Options()) {
    if (option.group == OptionGroup::kRemoved) continue;
    if (option.state == OptionState::kDead) {
      EXPECT_NE(text.find(fmt::format("\n# {}: ", option.name)), text.npos) << option.name << " has no comment";
      continue;
    }
    const bool ours = option.group == OptionGroup::kTenon;
    const ConfigNode* node = ours ? root.Find("tenon")->Find(option.name.substr(6)) : root.Find(option.name);
    ASSERT_NE(node, nullptr) << option.name;
    Config config;
    EXPECT_TRUE(SetFromNode(option, *node, config).ok()) << option.name;
    EXPECT_EQ(TextOf(option, config), TextOf(option, defaults)) << option.name;
    EXPECT_EQ(CommentAbove(text, option.name).find("[refused]") != std::string::npos,
              option.state == OptionState::kRefused)
        << option.name;
    entries++;
  }
  EXPECT_EQ(root.children.size() + root.Find("tenon")->children.size(), entries + 2) << "an entry that is no option";
  const LoadOutcome outcome = LoadFile(text);
  EXPECT_EQ(Verdict(outcome), "OK");
  EXPECT_EQ(Warnings(outcome), "");
  EXPECT_EQ(ToYaml(Get(outcome)), ToYaml(Get(LoadFlags({}))));
}

TEST(Configs, MemoryIsSingleWithAnotherEngine) {
  const LoadOutcome single = LoadFile(ReadConfig("single.yaml")), memory = LoadFile(ReadConfig("memory.yaml"));
  ASSERT_EQ(Verdict(single), "OK");
  ASSERT_EQ(Verdict(memory), "OK");
  Config a = Get(single), b = Get(memory);
  EXPECT_EQ(a.modules.storage.use, "wiredtiger");
  EXPECT_EQ(b.modules.storage.use, "memory");
  // A directory belongs to one engine: trying both must not end in a refusal.
  EXPECT_EQ(a.data_dir, "./tenon-data");
  EXPECT_EQ(b.data_dir, "./tenon-memory");
  EXPECT_EQ(a.listen_client_urls[0].Address(), "127.0.0.1:2379");
  b.modules.storage.use = a.modules.storage.use;
  b.data_dir = a.data_dir;
  EXPECT_EQ(ToYaml(a), ToYaml(b));
}

}  // namespace
}  // namespace tenon
