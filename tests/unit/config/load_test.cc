// Flags and variables: what etcd 3.7.3 takes, refuses and says, and where Tenon says more. Texts were compared with
// the real server's.
#include "tests/unit/config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tenon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kClient = "--advertise-client-urls=http://127.0.0.1:1";

// One command line: its exit code, and a part of what is said (empty: it is accepted).
struct Case {
  Words flags;
  int exit_code;
  std::string says;
};

TEST(Flags, WhatEtcdSaysOfThem) {
  const Case cases[] = {
      {{}, 0, ""},
      // Go's syntax.
      {{"-name", "x"}, 0, ""},
      {{"--name", "x"}, 0, ""},
      {{"--name=x"}, 0, ""},
      {{"-name=x"}, 0, ""},
      {{"--name", "a", "--name", "b"}, 0, ""},
      {{"--pre-vote"}, 0, ""},
      {{"--pre-vote=false"}, 0, ""},
      {{"--pre-vote=T"}, 0, ""},
      {{"--name=x", "--"}, 0, ""},
      {{"--pre-vote", "false"}, 1, "\"false\" is not a valid flag"},
      {{"--pre-vote=maybe"}, 2, "invalid boolean value \"maybe\" for -pre-vote: parse error"},
      {{"--version=maybe"}, 2, "invalid boolean value \"maybe\" for -version: parse error"},
      {{"extra"}, 1, "\"extra\" is not a valid flag"},
      {{"-"}, 1, "\"-\" is not a valid flag"},
      {{""}, 1, "\"\" is not a valid flag"},
      {{"--", "a"}, 1, "\"a\" is not a valid flag"},
      {{"---name"}, 2, "bad flag syntax: ---name"},
      {{"--=x"}, 2, "bad flag syntax: --=x"},
      {{"--name"}, 2, "flag needs an argument: -name"},
      // Unknown names.
      {{"--snapshot-cout", "5"}, 2, "unknown flag --snapshot-cout; did you mean --snapshot-count?"},
      {{"--experimental-compaction-batch-limit=5"}, 2, "did you mean --compaction-batch-limit? etcd 3.6"},
      {{"--utter-nonsense-of-mine"}, 2, "unknown flag --utter-nonsense-of-mine; tenond --help lists every flag"},
      {{"--config-fil", "x"}, 2, "did you mean --config-file?"},
      // Values.
      {{"--heartbeat-interval=x"}, 2, "invalid value \"x\" for flag -heartbeat-interval: parse error"},
      {{"--heartbeat-interval=5s"}, 2, "parse error: write a whole number of milliseconds"},
      {{"--snapshot-count=-1"}, 2, "invalid value \"-1\" for flag -snapshot-count: parse error"},
      {{"--max-txn-ops=-5"}, 2, "invalid value \"-5\" for flag -max-txn-ops: parse error"},
      {{"--max-txn-ops="}, 2, "parse error"},
      {{"--max-concurrent-streams=99999999999"}, 2, "value out of range"},
      {{"--snapshot-count=99999999999999999999"}, 2, "value out of range"},
      {{"--grpc-keepalive-interval=5"}, 2, "invalid value \"5\" for flag -grpc-keepalive-interval"},
      {{"--grpc-keepalive-interval=1h30m"}, 0, ""},
      {{"--grpc-keepalive-interval=-5s"}, 1, "--grpc-keepalive-interval must not be negative (set to -5s)"},
      {{"--compaction-batch-limit=-1"}, 1, "--compaction-batch-limit must be >0 (set to -1)"},
      {{"--max-txn-ops=0"}, 1, "--max-txn-ops must be >0 (set to 0)"},
      {{"--max-request-bytes=0"}, 1, "--max-request-bytes must be >0 (set to 0)"},
      {{"--max-request-bytes=2MiB"}, 0, ""},
      {{"--max-request-bytes=1GiB"}, 1, "--max-request-bytes must be at most 66060288"},
      {{"--quota-backend-bytes=8GiB"}, 0, ""},
      {{"--quota-backend-bytes=-1"}, 0, ""},
      {{"--quota-backend-bytes=12x"}, 2, "is not a size"},
      {{"--tenon-record-cache=1GiB"}, 0, ""},
      {{"--tenon-record-cache=lots"}, 2, "invalid value \"lots\" for flag -tenon-record-cache"},
      {{"--tenon-persist-interval=0s"}, 1, "--tenon-persist-interval must be >0 (set to 0s)"},
      // Times.
      {{"--election-timeout=400"},
       1,
       "--election-timeout[400ms] should be at least as 5 times as --heartbeat-interval[100ms]"},
      {{"--heartbeat-interval=201"},
       1,
       "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[201ms]"},
      {{"--heartbeat-interval=200"}, 0, ""},
      {{"--election-timeout=50000"}, 0, ""},
      {{"--election-timeout=60000"}, 1, "--election-timeout[60000ms] is too long, and should be set less than 50000ms"},
      {{"--heartbeat-interval=0"}, 1, "--heartbeat-interval must be >0 (set to 0ms)"},
      {{"--election-timeout=0"}, 1, "--election-timeout must be >0 (set to 0ms)"},
      // A product of the two would wrap around here.
      {{"--heartbeat-interval=4611686018427387904"}, 1, "should be at least as 5 times"},
      {{"--compact-hash-check-time=0s"}, 1, "--compact-hash-check-time must be >0 (set to 0s)"},
      // URLs.
      {{"--listen-client-urls=http://127.0.0.1:1", kClient}, 0, ""},
      {{"--listen-client-urls=http://localhost:1", kClient}, 0, ""},
      {{"--listen-client-urls=http://[::1]:1", kClient}, 0, ""},
      {{"--listen-client-urls=http://0.0.0.0:0", kClient}, 0, ""},
      {{"--listen-client-urls=unix:///run/tenon.sock", kClient}, 0, ""},
      {{"--listen-client-urls= http://127.0.0.1:1 , http://127.0.0.2:1", kClient}, 0, ""},
      {{"--listen-client-urls=http://127.0.0.1:1"},
       1,
       "--advertise-client-urls is required when --listen-client-urls is set explicitly"},
      {{"--advertise-client-urls="},
       1,
       "--advertise-client-urls is required when --listen-client-urls is set explicitly"},
      {{"--listen-client-urls=http://example.com:1", kClient},
       1,
       "expected IP in URL for binding (http://example.com:1)"},
      {{"--listen-client-urls=http://:1", kClient}, 1, "expected IP in URL for binding (http://:1)"},
      {{"--listen-peer-urls=http://example.com:1"}, 1, "expected IP in URL for binding (http://example.com:1)"},
      {{"--listen-client-urls=127.0.0.1:1", kClient},
       2,
       "invalid value \"127.0.0.1:1\" for flag -listen-client-urls: parse \"127.0.0.1:1\": first path segment in URL "
       "cannot contain colon"},
      {{"--listen-client-urls=localhost:1", kClient}, 2, "URL scheme must be http, https, unix, or unixs: localhost:1"},
      {{"--listen-client-urls=ftp://1.1.1.1:1", kClient}, 2, "URL scheme must be http, https, unix, or unixs"},
      {{"--listen-client-urls=http://127.0.0.1:1/a", kClient}, 2, "URL must not contain a path: http://127.0.0.1:1/a"},
      {{"--listen-client-urls=http://127.0.0.1:1/", kClient}, 2, "URL must not contain a path: http://127.0.0.1:1/"},
      {{"--listen-client-urls=http://127.0.0.1", kClient},
       2,
       "URL address does not have the form \"host:port\": http://127.0.0.1"},
      {{"--listen-client-urls=http://::1:1", kClient}, 2, "URL address does not have the form \"host:port\""},
      {{"--listen-client-urls=http://127.0.0.1:x", kClient}, 2, "invalid port \":x\" after host"},
      {{"--listen-client-urls=http://127.0.0.1:65536", kClient}, 2, "invalid port \":65536\" after host"},
      {{"--listen-client-urls=http://127.0.0.1:1,", kClient}, 2, "URL scheme must be http, https, unix, or unixs: "},
      {{"--listen-client-urls=", kClient}, 1, "listen-client-urls: at least one URL is needed"},
      {{"--advertise-client-urls=http://:2"},
       1,
       "--advertise-client-urls \"http://:2\" must be in the format \"host:port\", \"unix:/path/to/socket\" or "
       "\"unixs:/path/to/socket\" (unexpected empty host (http://:2))"},
      {{"--initial-advertise-peer-urls=http://:2", "--name=x"},
       1,
       "--initial-advertise-peer-urls \"http://:2\" must be \"host:port\" (unexpected empty host (http://:2))"},
      // Words.
      {{"--auto-compaction-mode=foo"}, 1, "unknown auto-compaction-mode \"foo\""},
      {{"--auto-compaction-mode="}, 1, "undefined auto-compaction-mode"},
      {{"--auto-compaction-retention=x"}, 1, "error parsing CompactionRetention"},
      {{"--auto-compaction-retention=-5"}, 1, "error parsing CompactionRetention"},
      {{"--auto-compaction-retention=-5m"}, 1, "error parsing CompactionRetention"},
      {{"--auto-compaction-retention=5m"}, 0, ""},
      {{"--auto-compaction-mode=revision", "--auto-compaction-retention=5m"}, 1, "is not a number of revisions"},
      {{"--initial-cluster-state=foo"}, 1, "unexpected clusterState \"foo\""},
      {{"--log-level=foo"}, 1, "unrecognized level: \"foo\""},
      {{"--log-level=DEBUG"}, 0, ""},
      {{"--log-format=foo"}, 1, "unknown log format: foo, supported values json, console"},
      {{"--log-outputs=stderr,default"}, 1, "multi logoutput for \"default\" is not supported yet"},
      {{"--log-outputs=stderr,/tmp/x"}, 0, ""},
      {{"--logger=foo"}, 1, "unknown logger option \"foo\""},
      {{"--logger=capnslog"}, 1, "--logger=capnslog is removed in v3.5"},
      {{"--metrics=extensive"}, 0, ""},
      {{"--metrics=foo"}, 1, "unknown metrics \"foo\""},
      {{"--discovery-fallback=proxy"},
       1,
       "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\""},
      {{"--feature-gates=PriorityRequest=true"}, 0, ""},
      {{"--feature-gates=AllAlpha=true"}, 0, ""},
      {{"--feature-gates=Foo=true"},
       2,
       "invalid value \"Foo=true\" for flag -feature-gates: unrecognized feature gate: Foo"},
      {{"--feature-gates=PriorityRequest"}, 2, "missing bool value for PriorityRequest"},
      {{"--feature-gates=PriorityRequest=x"},
       2,
       "invalid value of PriorityRequest=x, err: strconv.ParseBool: parsing \"x\": invalid syntax"},
      {{"--feature-gates=LeaseCheckpointPersist=true"},
       1,
       "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint"},
      {{"--feature-gates=LeaseCheckpointPersist=true,LeaseCheckpoint=true"}, 0, ""},
      // The initial cluster.
      {{"--initial-cluster=default=http://127.0.0.1:2380"}, 0, ""},
      {{"--name=a", "--initial-advertise-peer-urls=http://10.0.0.1:2380"}, 0, ""},
      {{"--initial-cluster=a=http://localhost:2380"},
       1,
       "couldn't find local name \"default\" in the initial cluster configuration"},
      {{"--initial-cluster="}, 1, "couldn't find local name \"default\" in the initial cluster configuration"},
      {{"--name="}, 1, "couldn't find local name \"\" in the initial cluster configuration"},
      {{"--initial-cluster=default=foo"},
       1,
       "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: foo"},
      {{"--initial-advertise-peer-urls=http://1.1.1.1:1"},
       1,
       "--initial-cluster has default=http://localhost:2380 but missing from "
       "--initial-advertise-peer-urls=http://1.1.1.1:1"},
      {{"--initial-advertise-peer-urls=http://localhost:2380,http://1.1.1.1:1"},
       1,
       "--initial-advertise-peer-urls has http://1.1.1.1:1 but missing from "
       "--initial-cluster=default=http://localhost:2380"},
      {{"--initial-cluster=default=http://localhost:2380,default=http://localhost:2380"}, 1, "has duplicate url"},
      {{"--initial-cluster=default=http://localhost:2380,b=http://localhost:2381"}, 0, ""},
  };
  for (const Case& c : cases) {
    const LoadOutcome outcome = LoadFlags(c.flags);
    const std::string shown = c.flags.empty() ? "(none)" : c.flags.back();
    EXPECT_EQ(ExitCode(outcome), c.exit_code) << shown << "\n" << Verdict(outcome);
    if (c.says.empty()) {
      EXPECT_EQ(Verdict(outcome), "OK") << shown;
    } else {
      EXPECT_THAT(Verdict(outcome), HasSubstr(c.says)) << shown;
    }
  }
}

// What protects, or changes who is in the cluster, is never left out in silence.
TEST(Flags, WhatIsNotBuiltIsRefusedByName) {
  const Words refused = {"--cert-file=x",
                         "--key-file=x",
                         "--client-cert-auth",
                         "--client-cert-file=x",
                         "--client-key-file=x",
                         "--client-crl-file=x",
                         "--client-cert-allowed-hostname=x",
                         "--trusted-ca-file=x",
                         "--auto-tls",
                         "--peer-cert-file=x",
                         "--peer-key-file=x",
                         "--peer-client-cert-auth",
                         "--peer-client-cert-file=x",
                         "--peer-client-key-file=x",
                         "--peer-trusted-ca-file=x",
                         "--peer-cert-allowed-cn=x",
                         "--peer-cert-allowed-hostname=x",
                         "--peer-auto-tls",
                         "--peer-crl-file=x",
                         "--peer-skip-client-san-verification",
                         "--self-signed-cert-validity=2",
                         "--cipher-suites=x",
                         "--tls-min-version=TLS1.3",
                         "--tls-max-version=TLS1.2",
                         "--auth-token=jwt",
                         "--discovery=http://x:1",
                         "--discovery-token=x",
                         "--discovery-endpoints=x",
                         "--discovery-srv=x",
                         "--discovery-srv-name=x"};
  for (const std::string& flag : refused) {
    const std::string name = flag.substr(2, flag.find('=') - 2);
    const LoadOutcome outcome = LoadFlags({flag});
    EXPECT_EQ(ExitCode(outcome), 1) << flag;
    EXPECT_THAT(Verdict(outcome), HasSubstr(name + ": ")) << flag;
    EXPECT_THAT(Verdict(outcome), HasSubstr("not built yet in this version: refusing to start without it")) << flag;
  }
  for (const char* url : {"--listen-client-urls=https://127.0.0.1:1", "--listen-peer-urls=unixs://x",
                          "--advertise-client-urls=https://a:1", "--initial-advertise-peer-urls=https://a:1"}) {
    EXPECT_THAT(Verdict(LoadFlags({url})), HasSubstr("TLS is not built yet in this version")) << url;
  }
}

TEST(Flags, HttpAndMetricsHaveListenersOfTheirOwn) {
  const LoadOutcome outcome = LoadFlags({"--listen-client-http-urls=http://127.0.0.1:2381,unix:/tmp/h",
                                         "--listen-metrics-urls=http://127.0.0.1:2382", "--metrics=extensive",
                                         "--cors=http://a,http://b", "--host-whitelist=localhost"});
  ASSERT_EQ(Verdict(outcome), "OK");
  const Config c = Get(outcome);
  ASSERT_EQ(c.listen_client_http_urls.size(), 2u);
  EXPECT_EQ(c.listen_client_http_urls[0].Address(), "127.0.0.1:2381");
  ASSERT_EQ(c.listen_metrics_urls.size(), 1u);
  EXPECT_EQ(c.listen_metrics_urls[0].Address(), "127.0.0.1:2382");
  EXPECT_EQ(c.cors, (std::vector<std::string>{"http://a", "http://b"}));
  EXPECT_EQ(c.host_whitelist, (std::vector<std::string>{"localhost"}));

  const Config file =
      Get(LoadFile("listen-client-http-urls: http://127.0.0.1:1\nlisten-metrics-urls: "
                   "[http://127.0.0.1:2, http://127.0.0.1:3]\nmetrics: extensive\n"));
  EXPECT_EQ(file.listen_client_http_urls.size(), 1u);
  EXPECT_EQ(file.listen_metrics_urls.size(), 2u);
  EXPECT_EQ(file.metrics, "extensive");

  const Case refused[] = {
      {{"--listen-client-http-urls=http://example.com:1"}, 1, "expected IP in URL for binding (http://example.com:1)"},
      {{"--listen-metrics-urls=http://example.com:1"}, 1, "expected IP in URL for binding (http://example.com:1)"},
      {{"--listen-metrics-urls=https://127.0.0.1:1"}, 1, "TLS is not built yet in this version"},
      {{"--listen-client-http-urls=http://localhost:2379"},
       1,
       "cannot bind both --listen-client-urls and --listen-client-http-urls on the same url http://localhost:2379"},
  };
  for (const Case& c : refused) {
    EXPECT_EQ(ExitCode(LoadFlags(c.flags)), c.exit_code) << c.flags[0];
    EXPECT_THAT(Verdict(LoadFlags(c.flags)), HasSubstr(c.says)) << c.flags[0];
  }
}

// Names go into JSON and protobuf texts, which etcd's clients refuse to read otherwise.
TEST(Flags, ANameIsText) {
  EXPECT_EQ(Verdict(LoadFlags({"--name=\xc3\xa9t\xc3\xa9"})), "OK");
  EXPECT_EQ(ExitCode(LoadFlags({"--name=a\xff"})), 1);
  EXPECT_THAT(Verdict(LoadFlags({"--name=a\xff"})), HasSubstr("--name is not UTF-8 text: \"a\\ufffd\""));
}

TEST(Flags, TheDefaultOfWhatIsNotBuiltIsNoMistake) {
  EXPECT_EQ(Verdict(LoadFlags({"--client-cert-auth=false", "--cert-file=", "--cors=", "--host-whitelist=*",
                               "--tls-min-version=TLS1.2", "--auth-token=simple", "--initial-cluster-state=new",
                               "--discovery="})),
            "OK");
}

TEST(Flags, WhatIsDeadOrWithoutEffectOnlyWarns) {
  const std::pair<const char*, const char*> cases[] = {
      {"--backend-bbolt-freelist-type=map", "--backend-bbolt-freelist-type: backend-bbolt-freelist-type is no longer"},
      {"--logger=zap", "logger is no longer supported - ignoring"},
      {"--enable-pprof", "enable-pprof is no longer supported - ignoring"},
      {"--discovery-proxy=x", "discovery-proxy is no longer supported - ignoring"},
      {"--enable-v2", "enable-v2 is no longer supported - ignoring"},
      {"--cluster-active-size=3", "cluster-active-size is no longer supported - ignoring"},
      {"--vv", "vv is no longer supported - ignoring"},
      {"--max-snapshots=3", "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8."},
      {"--v2-deprecation=gone", "The default value is enforced, ignoring user input."},
      {"--memory-mlock", "memory-mlock is ignored"},
      {"--enable-distributed-tracing", "enable-distributed-tracing is ignored"},
      {"--raft-read-timeout=1s", "raft-read-timeout increased to minimum value: 5s"},
      {"--auth-token-ttl=5", "auth-token-ttl has no effect: no "},
      {"--feature-gates=PriorityRequest=true", "feature gate PriorityRequest=true has no effect"},
      {"--bcrypt-cost=100", "use default bcrypt cost instead of the invalid given cost"},
      {"--snapshot-count=0", "set snapshot count to default"},
      {"--max-request-bytes=20MiB", "exceeded recommended request limit"},
      {"--log-outputs=systemd/journal", "writing to stderr"},
  };
  for (const auto& [flag, warning] : cases) {
    const LoadOutcome outcome = LoadFlags({flag});
    EXPECT_EQ(Verdict(outcome), "OK") << flag;
    EXPECT_THAT(Warnings(outcome), HasSubstr(warning)) << flag;
  }
  EXPECT_EQ(Warnings(LoadFlags({"--memory-mlock=false", "--raft-read-timeout=5s"})), "");
}

TEST(Flags, EveryMistakeIsReported) {
  EXPECT_EQ(Verdict(LoadFlags({"--nam=x", "--pre-vote=x", "--max-txn-ops=x"})),
            "unknown flag --nam; did you mean --name?\n"
            "invalid boolean value \"x\" for -pre-vote: parse error: write true or false\n"
            "invalid value \"x\" for flag -max-txn-ops: parse error: write a whole number, 0 or more\n");
  EXPECT_EQ(Verdict(LoadFlags({"--max-txn-ops=0", "--cert-file=x", "--metrics=x"})),
            "cert-file: TLS is not built yet in this version: refusing to start without it\n"
            "--max-txn-ops must be >0 (set to 0)\n"
            "unknown metrics \"x\": basic or extensive\n");
}

TEST(Flags, SetTheirFields) {
  const Config c = Get(LoadFlags({"--name=x", "--max-request-bytes=2MiB", "--grpc-keepalive-interval=1m30s",
                                  "--listen-client-urls=http://127.0.0.2:2,http://127.0.0.1:1,http://127.0.0.2:2",
                                  "--advertise-client-urls=http://[::1]:7", "--log-level=WARN",
                                  "--feature-gates=FastLeaseKeepAlive=false", "--quota-backend-bytes=-1"}));
  EXPECT_EQ(c.name, "x");
  EXPECT_EQ(c.data_dir, "x.etcd");
  EXPECT_EQ(c.initial_cluster, "x=http://localhost:2380");
  EXPECT_EQ(c.max_request_bytes, 2u << 20);
  EXPECT_EQ(c.grpc_keepalive_interval_ns, 90'000'000'000);
  ASSERT_EQ(c.listen_client_urls.size(), 2u);
  EXPECT_EQ(c.listen_client_urls[0].Address(), "127.0.0.1:1");
  EXPECT_EQ(c.listen_client_urls[1].port, 2);
  EXPECT_EQ(c.advertise_client_urls[0].Address(), "[::1]:7");
  EXPECT_EQ(c.log_level, "warn");
  EXPECT_FALSE(c.feature_gate.at("FastLeaseKeepAlive"));
  EXPECT_EQ(QuotaBytes(c), std::nullopt);
}

TEST(Flags, QuotaAndRetentionAsNumbers) {
  Config c;
  EXPECT_EQ(QuotaBytes(c), 2ull << 30);
  c.quota_backend_bytes = 5;
  EXPECT_EQ(QuotaBytes(c), 5u);
  c.auto_compaction_retention = "2";
  EXPECT_EQ(*AutoCompactionRetention(c), 7'200'000'000'000);
  c.auto_compaction_retention = "90s";
  EXPECT_EQ(*AutoCompactionRetention(c), 90'000'000'000);
  c.auto_compaction_mode = "revision";
  c.auto_compaction_retention = "5000";
  EXPECT_EQ(*AutoCompactionRetention(c), 5000);
  c.auto_compaction_mode = "periodic";
  c.auto_compaction_retention = "9223372036854775807";
  EXPECT_FALSE(AutoCompactionRetention(c).ok());
}

TEST(Environment, SetsWhatNoFlagSets) {
  const LoadOutcome outcome = LoadFlags({"--max-txn-ops=5"}, {"ETCD_NAME=x", "PATH=/bin", "ETCDCTL_API=3",
                                                              "ETCD_TENON_RECORD_CACHE=1MiB", "ETCD_PRE_VOTE=false"});
  EXPECT_EQ(Verdict(outcome), "OK");
  EXPECT_EQ(Warnings(outcome), "");
  EXPECT_EQ(Get(outcome).name, "x");
  EXPECT_EQ(Get(outcome).max_txn_ops, 5u);
  EXPECT_FALSE(Get(outcome).pre_vote);
  EXPECT_EQ(Get(outcome).tenon_record_cache_bytes, 1u << 20);
}

TEST(Environment, TheSameSettingTwiceIsFatal) {
  const LoadOutcome outcome = LoadFlags({"--name=b"}, {"ETCD_NAME=a"});
  EXPECT_EQ(ExitCode(outcome), 1);
  EXPECT_EQ(Verdict(outcome),
            "conflicting environment variable is shadowed by corresponding command-line flag (either unset environment "
            "variable or disable flag)): ETCD_NAME\n");
  EXPECT_THAT(Verdict(LoadFlags({"--name=b"}, {"ETCD_NAME="})), HasSubstr("conflicting environment variable"));
}

TEST(Environment, MistakesNameTheVariable) {
  EXPECT_THAT(Verdict(LoadFlags({}, {"ETCD_HEARTBEAT_INTERVAL=a"})),
              HasSubstr("invalid value \"a\" for ETCD_HEARTBEAT_INTERVAL: parse error"));
  EXPECT_EQ(ExitCode(LoadFlags({}, {"ETCD_HEARTBEAT_INTERVAL=a"})), 1);
  EXPECT_THAT(Verdict(LoadFlags({}, {"ETCD_LOG_FORMAT=a"})), HasSubstr("unknown log format: a"));
}

TEST(Environment, UnknownNamesWarnAndTheirValuesStaySecret) {
  const LoadOutcome outcome = LoadFlags({}, {"ETCD_ROOT_PASSWORD=hunter2", "ETCD_NAME=", "ETCD_VERSION=1"});
  EXPECT_EQ(Verdict(outcome), "OK");
  EXPECT_EQ(Warnings(outcome),
            "unrecognized environment variable: ETCD_ROOT_PASSWORD\n"
            "unrecognized environment variable: ETCD_NAME\n"
            "cannot set special environment variable: ETCD_VERSION=1\n");
}

TEST(Environment, TheAdvertisedUrlMayComeFromIt) {
  EXPECT_EQ(Verdict(LoadFlags({"--listen-client-urls=http://127.0.0.1:1"}, {"ETCD_ADVERTISE_CLIENT_URLS=http://a:1"})),
            "OK");
  EXPECT_THAT(Verdict(LoadFlags({}, {"ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:1"})), HasSubstr("is required"));
}

TEST(Commands, VersionHasFiveLines) {
  const std::string text = Verdict(LoadFlags({"--version"}));
  EXPECT_THAT(text, ::testing::MatchesRegex("etcd Version: 3\\.7\\.3\nGit SHA: [^\n]+\nGo Version: none "
                                            "\\(C\\+\\+20, [a-z]+ [0-9]+\\.[0-9]+\\)\nGo OS/Arch: linux/[a-z0-9]+\n"
                                            "Tenon Version: [0-9.]+\n"));
  EXPECT_EQ(ExitCode(LoadFlags({"--version", "--nam"})), 2);
}

TEST(Commands, HelpNamesEveryOptionInItsGroup) {
  for (const char* flag : {"--help", "-h", "-help"}) {
    const std::string text = Verdict(LoadFlags({flag}));
    EXPECT_THAT(text, HasSubstr("--snapshot-count '10000'\n"));
    EXPECT_THAT(text, HasSubstr("\nClustering:\n"));
    EXPECT_THAT(text, HasSubstr("ETCD_A_B"));
    EXPECT_THAT(text, Not(HasSubstr("cluster-active-size")));
  }
}

TEST(Commands, CheckConfigSaysItAll) {
  const LoadOutcome good = LoadFlags({"--check-config", "--name=x"});
  ASSERT_TRUE(std::holds_alternative<CheckOnly>(good));
  EXPECT_THAT(Summary(std::get<CheckOnly>(good).config),
              HasSubstr("storage wiredtiger, transport h2, lease lease, quota quota, compactor compactor, "
                        "peer h2, service concurrency"));
  EXPECT_EQ(ExitCode(LoadFlags({"--check-config", "--metrics=x"})), 1);
  EXPECT_TRUE(std::holds_alternative<Loaded>(LoadFlags({"--check-config=false"})));
}

TEST(Commands, WhatPrintConfigPrintsReadsBackTheSame) {
  const Words flags = {"--name=a: b \"c\" #",           "--max-request-bytes=2MiB",    "--quota-backend-bytes=-1",
                       "--initial-cluster-token=null",  "--log-outputs=stderr,/tmp/x", "--pre-vote=false",
                       "--tenon-persist-interval=1m30s"};
  Words print = flags;
  print.push_back("--print-config");
  const std::string yaml = Verdict(LoadFlags(print));
  const LoadOutcome again = LoadFile(yaml);
  ASSERT_EQ(Verdict(again), "OK") << yaml;
  Config from_flags = Get(LoadFlags(flags)), from_file = Get(again);
  EXPECT_EQ(ToYaml(from_file), ToYaml(from_flags));
  EXPECT_EQ(from_file.name, "a: b \"c\" #");
  EXPECT_EQ(from_file.initial_cluster_token, "null");
}

TEST(Commands, ModulesSurvivePrintConfig) {
  const std::string text =
      "name: x\nmodules:\n  storage: {use: memory, module: mem, config: {cache: 64MiB, deep: {list: [1, true, "
      "\"true\"]}}}\n"
      "  transports: [{use: grpc}]\n  quota: {use: quota}\n  peer: {use: h2}\n  authn: [{use: ./a.so, sha256: " +
      std::string(64, 'a') + "}, {use: simple-token}]\n";
  const std::string printed = Verdict(LoadFile(text, {"--print-config"}));
  const LoadOutcome again = LoadFile(printed);
  ASSERT_EQ(Verdict(again), "OK") << printed;
  EXPECT_EQ(ToYaml(Get(again)), printed);
  const Config c = Get(again);
  EXPECT_EQ(c.modules.storage.config.ToJson(), R"({"cache":"64MiB","deep":{"list":[1,true,"true"]}})");
  EXPECT_EQ(c.modules.authn[0].sha256, std::string(64, 'a'));
  EXPECT_EQ(c.modules.storage.module, "mem");
  EXPECT_TRUE(c.modules.Has("quota"));
  EXPECT_TRUE(c.modules.Has("peer"));
  EXPECT_EQ(c.modules.All().size(), 9u);
}

}  // namespace
}  // namespace tenon
