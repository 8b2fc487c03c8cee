// The configuration file: what it sets, and that every mistake is told with its place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/config/load.h"

namespace tenon {
namespace {

using ::testing::HasSubstr;

TEST(File, EmptyMeansDefaults) {
  const Config defaults = Get(LoadFlags({}));
  for (const char* text :
       {"", "\n", "# nothing\n", "---\n", "---\n...\n", "{}", "null", "\xef\xbb\xbf# with a mark\n"}) {
    const LoadOutcome outcome = LoadFile(text);
    EXPECT_EQ(Verdict(outcome), "OK") << text;
    EXPECT_EQ(ToYaml(Get(outcome)), ToYaml(defaults)) << text;
  }
}

TEST(File, SetsOptionsAsEtcdReadsThem) {
  const LoadOutcome outcome = LoadFile(R"(
name: 'a'
data-dir:            # nothing: the default
snapshot-count: 5
grpc-keepalive-interval: 5000000000
grpc-keepalive-timeout: 7s
heartbeat-interval: 50
pre-vote: no
strict-reconfig-check: False
quota-backend-bytes: 8589934592
max-request-bytes: 2MiB
log-outputs: [stderr, /tmp/x]
listen-client-urls: http://127.0.0.2:1, http://127.0.0.1:1
auto-compaction-retention: 1
feature-gates: FastLeaseKeepAlive=false
socket-options: { reuse-port: true }
peer-transport-security:
  cert-file: ""
  client-cert-auth: false
tenon:
  record-cache: 1MiB
  read-view-timeout: 2m
)");
  ASSERT_EQ(Verdict(outcome), "OK");
  const Config c = Get(outcome);
  EXPECT_EQ(c.name, "a");
  EXPECT_EQ(c.data_dir, "a.etcd");
  EXPECT_EQ(c.snapshot_count, 5u);
  EXPECT_EQ(c.grpc_keepalive_interval_ns, 5'000'000'000);
  EXPECT_EQ(c.grpc_keepalive_timeout_ns, 7'000'000'000);
  EXPECT_EQ(c.heartbeat_interval_ms, 50u);
  EXPECT_FALSE(c.pre_vote);
  EXPECT_FALSE(c.strict_reconfig_check);
  EXPECT_EQ(QuotaBytes(c), 8ull << 30);
  EXPECT_EQ(c.max_request_bytes, 2u << 20);
  EXPECT_EQ(c.log_outputs, (Words{"stderr", "/tmp/x"}));
  ASSERT_EQ(c.listen_client_urls.size(), 2u);
  EXPECT_EQ(c.listen_client_urls[0].text, "http://127.0.0.1:1");
  EXPECT_EQ(c.auto_compaction_retention, "1");
  EXPECT_FALSE(c.feature_gate.at("FastLeaseKeepAlive"));
  EXPECT_TRUE(c.socket_reuse_port);
  EXPECT_EQ(c.tenon_record_cache_bytes, 1u << 20);
  EXPECT_EQ(c.tenon_read_view_timeout_ns, 120'000'000'000);
  // In a file the advertised URL has its default, as in etcd.
  EXPECT_EQ(c.advertise_client_urls[0].text, "http://localhost:2379");
  EXPECT_EQ(c.config_file, "t.yaml");
}

TEST(File, TenonsOptionsMayStandAtTheTopToo) {
  EXPECT_EQ(Get(LoadFile("tenon-record-cache: 1MiB\n")).tenon_record_cache_bytes, 1u << 20);
  EXPECT_EQ(Verdict(LoadFile("tenon-record-cache: 1MiB\ntenon: {record-cache: 2MiB}\n")),
            "t.yaml:2:9: \"tenon-record-cache\" is given twice: first in line 1\n");
}

TEST(File, FlagsAndVariablesBesideItAreIgnoredWithOneWarning) {
  const LoadOutcome outcome = LoadFile("name: a\n", {"--name", "b", "--max-txn-ops=5"}, {"ETCD_NAME=c", "ETCD_X=d"});
  ASSERT_EQ(Verdict(outcome), "OK");
  EXPECT_EQ(Get(outcome).name, "a");
  EXPECT_EQ(Get(outcome).max_txn_ops, 128u);
  EXPECT_EQ(Warnings(outcome),
            "loaded server configuration from t.yaml, other configuration command line flags and environment variables "
            "are ignored: --name, --max-txn-ops, ETCD_NAME, ETCD_X\n");
  // Wrong flags are still wrong, as in etcd.
  EXPECT_EQ(ExitCode(LoadFile("", {"--nam=b"})), 2);
  EXPECT_EQ(ExitCode(LoadFile("", {"--pre-vote=b"})), 2);
}

TEST(File, MayBeNamedByItsVariable) {
  std::string asked;
  const LoadOutcome outcome =
      Load({}, {"ETCD_CONFIG_FILE=e.yaml"}, [&](const std::string& path) -> Result<std::string> {
        asked = path;
        return std::string("name: a\n");
      });
  EXPECT_EQ(asked, "e.yaml");
  EXPECT_EQ(Get(outcome).name, "a");
  EXPECT_EQ(Warnings(outcome), "");
}

TEST(File, ThatCannotBeReadIsNamed) {
  const LoadOutcome outcome = LoadFlags({"--config-file=x.yaml"});
  EXPECT_EQ(Verdict(outcome), "x.yaml: no file is read in this test\n");
  EXPECT_EQ(ExitCode(outcome), 1);
}

// One file, and all that is said about it.
struct Case {
  const char* text;
  const char* says;
};

TEST(File, MistakesHavePlaces) {
  const Case cases[] = {
      {"nam: a\n", "t.yaml:1:1: unknown key \"nam\"; did you mean \"name\"?\n"},
      {"name: a\n\n  \nsnapshot-cont: 5\n",
       "t.yaml:4:1: unknown key \"snapshot-cont\"; did you mean \"snapshot-count\"?\n"},
      {"utter-nonsense-of-mine: 1\n", "t.yaml:1:1: unknown key \"utter-nonsense-of-mine\"\n"},
      {"experimental: 1\n", "t.yaml:1:1: unknown key \"experimental\"\n"},
      {"name: [a]\n", "t.yaml:1:7: name: expected one value, found a list\n"},
      {"name: {a: b}\n", "t.yaml:1:7: name: expected one value, found a map\n"},
      {"pre-vote: maybe\n", "t.yaml:1:11: pre-vote: expected true or false, found \"maybe\"\n"},
      {"pre-vote: \"true\"\n", "t.yaml:1:11: pre-vote: expected true or false, found \"true\"\n"},
      {"snapshot-count: \"5\"\n", "t.yaml:1:17: snapshot-count: expected a whole number, found the text \"5\"\n"},
      {"snapshot-count: -5\n", "t.yaml:1:17: snapshot-count: \"-5\": parse error: write a whole number, 0 or more\n"},
      {"heartbeat-interval: 100ms\n",
       "t.yaml:1:21: heartbeat-interval: \"100ms\": parse error: write a whole number of milliseconds, no unit\n"},
      {"warning-apply-duration: soon\n",
       "t.yaml:1:25: warning-apply-duration: \"soon\" is not a duration: write a number with a unit, for example "
       "100ms, 5s "
       "or 1h30m\n"},
      {"quota-backend-bytes: much\n",
       "t.yaml:1:22: quota-backend-bytes: \"much\": \"much\" is not a size: write a number with a unit, for example "
       "512KiB, "
       "64MiB or 2GB\n"},
      {"name: a\nname: b\n", "t.yaml:2:1: \"name\" is given twice: first in line 1\n"},
      {"listen-client-urls: http://h:1\n", "t.yaml:1:21: expected IP in URL for binding (http://h:1)\n"},
      {"listen-client-urls: [http://127.0.0.1:1, {}]\n",
       "t.yaml:1:21: listen-client-urls: expected a list of texts, found a map in it\n"},
      {"election-timeout: 100\n",
       "t.yaml:1:19: --election-timeout[100ms] should be at least as 5 times as --heartbeat-interval[100ms]\n"},
      {"feature-gates: Foo=true\n", "t.yaml:1:16: feature-gates: \"Foo=true\": unrecognized feature gate: Foo\n"},
      {"initial-cluster: a=http://localhost:2380\n",
       "t.yaml:1:18: couldn't find local name \"default\" in the initial cluster configuration\n"},
      {"cert-file: /x\n",
       "t.yaml:1:12: cert-file: TLS is not built yet in this version: refusing to start without it\n"},
      {"client-transport-security:\n  cert-file: /x\n",
       "t.yaml:2:14: cert-file: TLS is not built yet in this version: refusing to start without it\n"},
      {"client-transport-security:\n  allowed-cn: [x]\n",
       "t.yaml:2:3: client-transport-security: allowed-cn is not built yet in this version: refusing to start without "
       "it\n"},
      {"peer-transport-security: {crt-file: x}\n",
       "t.yaml:1:27: peer-transport-security: unknown key \"crt-file\"; did you mean \"cert-file\"?\n"},
      {"peer-transport-security: x\n", "t.yaml:1:26: peer-transport-security: expected a map, found \"x\"\n"},
      {"discovery-config: {token: x}\n",
       "t.yaml:1:20: discovery-config: token is not built yet in this version: refusing to start without it\n"},
      {"tenon: {record-cach: 1}\n", "t.yaml:1:9: tenon: unknown key \"record-cach\"; did you mean \"record-cache\"?\n"},
      {"tenon: {record-cache: big}\n",
       "t.yaml:1:23: tenon: record-cache: \"big\": \"big\" is not a size: write a number with a unit, for example "
       "512KiB, "
       "64MiB or 2GB\n"},
      {"- a\n", "t.yaml:1:1: expected a map of settings, found a list\n"},
      {"hello\n", "t.yaml:1:1: expected a map of settings, found \"hello\"\n"},
      // Modules.
      {"modules: []\n", "t.yaml:1:10: modules: expected a map, found a list\n"},
      {"modules:\n  storag: {use: x}\n", "t.yaml:2:3: modules: unknown key \"storag\"; did you mean \"storage\"?\n"},
      {"modules:\n  storage: wiredtiger\n",
       "t.yaml:2:12: modules: storage: expected a map with use, module, sha256 and config, found \"wiredtiger\"\n"},
      {"modules:\n  storage: {}\n", "t.yaml:2:12: modules: storage: use is missing: it names the plugin\n"},
      {"modules:\n  storage: {uses: x}\n",
       "t.yaml:2:13: modules: storage: unknown key \"uses\"; did you mean \"use\"?\n"},
      {"modules:\n  storage: {use: memory, cache: 1}\n",
       "t.yaml:2:26: modules: storage: unknown key \"cache\"; a plugin's own settings go under \"config\"\n"},
      {"modules:\n  storage: {use: Big Engine}\n",
       "t.yaml:2:18: modules: storage: use: expected a plugin's name or the path of a .so with a slash, found \"Big "
       "Engine\"\n"},
      {"modules:\n  storage: {use: memory, sha256: abc}\n",
       "t.yaml:2:34: modules: storage: sha256: expected 64 hex digits, found \"abc\"\n"},
      {"modules:\n  storage: {use: memory, module: [a]}\n",
       "t.yaml:2:34: modules: storage: module: expected the name of a module in the plugin, found a list\n"},
      {"modules:\n  storage: {use: memory, config: x}\n",
       "t.yaml:2:34: modules: storage: config: expected a map, found \"x\"\n"},
      {"modules:\n  transports: {use: grpc}\n",
       "t.yaml:2:15: modules: transports: expected a list of modules, found a map\n"},
      {"modules:\n  transports: []\n", "t.yaml:2:15: modules: transports: at least one is needed to serve clients\n"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Verdict(LoadFile(c.text)), c.says) << c.text;
    EXPECT_EQ(ExitCode(LoadFile(c.text)), 1) << c.text;
  }
}

TEST(File, EveryMistakeIsReportedInItsOrder) {
  EXPECT_EQ(
      Verdict(LoadFile("modules:\n  storage: {use: A}\nmetrics: x\nname: a\nmax-txn-ops: 0\nnam: b\n")),
      "t.yaml:2:18: modules: storage: use: expected a plugin's name or the path of a .so with a slash, found \"A\"\n"
      "t.yaml:3:10: unknown metrics \"x\": basic or extensive\n"
      "t.yaml:5:14: --max-txn-ops must be >0 (set to 0)\n"
      "t.yaml:6:1: unknown key \"nam\"; did you mean \"name\"?\n");
}

TEST(File, ASyntaxErrorDoesNotHideWhatStandsBefore) {
  const std::string verdict = Verdict(LoadFile("nam: a\npre-vote: x\nlisten-client-urls: [a\nname: b\n"));
  EXPECT_THAT(verdict, HasSubstr("t.yaml:1:1: unknown key \"nam\""));
  EXPECT_THAT(verdict, HasSubstr("t.yaml:2:11: pre-vote: expected true or false"));
  EXPECT_THAT(verdict, HasSubstr("not valid YAML"));
}

TEST(File, ModulesHaveDefaults) {
  const Modules without = Get(LoadFile("")).modules;
  EXPECT_FALSE(without.from_file);
  EXPECT_EQ(without.storage.use, "wiredtiger");
  ASSERT_EQ(without.transports.size(), 1u);
  EXPECT_EQ(without.transports[0].use, "h2");
  EXPECT_EQ(without.transports[0].kind, "transport");
  EXPECT_EQ(without.All().size(), 7u);
  EXPECT_TRUE(without.Has("quota"));
  EXPECT_TRUE(without.Has("compactor"));
  EXPECT_TRUE(without.Has("lease"));

  const Modules some = Get(LoadFile("modules:\n  storage: {use: memory}\n  lease: {use: lease}\n")).modules;
  EXPECT_TRUE(some.from_file);
  EXPECT_EQ(some.storage.use, "memory");
  EXPECT_EQ(some.storage.where, "t.yaml:2:18");
  EXPECT_EQ(some.transports[0].use, "h2");
  EXPECT_TRUE(some.Has("lease"));
}

TEST(File, AModulesConfigKeepsItsPlaces) {
  const Config c = Get(LoadFile("modules:\n  authn:\n    - use: ./x.so\n      config:\n        issuer: me\n"));
  ASSERT_EQ(c.modules.authn.size(), 1u);
  EXPECT_TRUE(c.modules.authn[0].IsPath());
  const ConfigNode* issuer = c.modules.authn[0].config.Find("issuer");
  ASSERT_NE(issuer, nullptr);
  EXPECT_EQ(issuer->Where(), "t.yaml:5:17");
  EXPECT_EQ(issuer->KeyWhere(), "t.yaml:5:9");
}

TEST(File, AModuleWrittenAsNullIsAbsent) {
  const LoadOutcome outcome = LoadFile(
      "quota-backend-bytes: 1GiB\nauto-compaction-retention: 1\n"
      "modules: {lease: ~, quota: ~, compactor: null, peer: ~, storage: ~, services: []}\n");
  const Config c = Get(outcome);
  EXPECT_FALSE(c.modules.Has("quota"));
  EXPECT_FALSE(c.modules.Has("compactor"));
  EXPECT_FALSE(c.modules.Has("service"));
  EXPECT_FALSE(c.modules.Has("lease"));
  EXPECT_FALSE(c.modules.Has("peer"));
  EXPECT_EQ(c.modules.storage.use, "wiredtiger");
  EXPECT_THAT(Warnings(outcome), HasSubstr("quota-backend-bytes has no effect: no quota module is configured"));
  EXPECT_THAT(Warnings(outcome), HasSubstr("auto-compaction-retention has no effect: no compactor module"));
  const std::string printed = ToYaml(c);
  EXPECT_EQ(ToYaml(Get(LoadFile(printed))), printed);
}

TEST(File, AModuleThatIsThereTakesItsOptionSilently) {
  EXPECT_EQ(Warnings(LoadFile("quota-backend-bytes: 1GiB\nmodules: {quota: {use: quota}}\n")), "");
}

}  // namespace
}  // namespace tenon
