#include "kernel/config/options.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace tenon {
namespace {

using enum OptionType;
using enum OptionState;
using G = OptionGroup;
using C = Config;

// Why whole families are not there yet.
constexpr std::string_view kNoTls = "TLS is not built yet in this version";
constexpr std::string_view kNoPeers = "this version runs one member";
constexpr std::string_view kNoDiscovery = "discovery is not built yet in this version";
constexpr std::string_view kNoTracing = "tracing is not built yet in this version";
constexpr std::string_view kNoBolt = "Tenon's engines have no such setting";
constexpr std::string_view kGone = "it was removed from etcd";

constexpr Option kOptions[] = {
    // Member
    {"name", kString, G::kMember, kWorks, &C::name, "default", "Human-readable name of this member."},
    {"data-dir", kString, G::kMember, kWorks, &C::data_dir, "", "Directory of the data; empty: NAME.etcd."},
    {"wal-dir", kString, G::kMember, kWorks, &C::wal_dir, "",
     "Directory of the write-ahead log; empty: member/wal in the data directory."},
    {"snapshot-count", kUint, G::kMember, kIgnored, &C::snapshot_count, "10000",
     "Committed entries after which the raft log is compacted.",
     "the engine is persisted by time and log size instead (--tenon-persist-interval)"},
    {"snapshot-catchup-entries", kUint, G::kMember, kWorks, &C::snapshot_catchup_entries, "5000",
     "Entries of the raft log kept in memory for a slow follower."},
    {"heartbeat-interval", kMillis, G::kMember, kWorks, &C::heartbeat_interval_ms, "100",
     "Milliseconds between heartbeats."},
    {"election-timeout", kMillis, G::kMember, kWorks, &C::election_timeout_ms, "1000",
     "Milliseconds without a leader before an election; at least 5 heartbeats, at most 50000."},
    {"initial-election-tick-advance", kBool, G::kMember, kIgnored, &C::initial_election_tick_advance, "true",
     "Skip most of the first election timeout at start.", "a sole voter elects itself at once"},
    {"listen-peer-urls", kUrls, G::kMember, kWorks, &C::listen_peer_urls, "http://localhost:2380",
     "Where to listen for other members."},
    {"listen-client-urls", kUrls, G::kMember, kWorks, &C::listen_client_urls, "http://localhost:2379",
     "Where to listen for clients: http://IP:PORT or unix:/path."},
    {"listen-client-http-urls", kUrls, G::kMember, kWorks, &C::listen_client_http_urls, "",
     "Where to listen for clients' plain HTTP only; listen-client-urls then serve gRPC only."},
    {"max-snapshots", kUint, G::kMember, kDead, &C::max_snapshots, "5", "Snapshot files to keep.",
     "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8."},
    {"max-wals", kUint, G::kMember, kDead, &C::max_wals, "5", "Log segments to keep (0: all).",
     "Tenon keeps the segments that recovery may need, and no others"},
    {"memory-mlock", kBool, G::kMember, kIgnored, &C::memory_mlock, "false", "Keep the server's memory out of swap.",
     "it is not built yet in this version"},
    {"quota-backend-bytes", kQuota, G::kMember, kWorks, &C::quota_backend_bytes, "0",
     "Size of the store at which writes are refused; 0: 2 GiB, negative: no limit. Needs the quota module.", "",
     "quota"},
    {"backend-bbolt-freelist-type", kString, G::kMember, kDead, &C::backend_bbolt_freelist_type, "",
     "Free list of etcd's storage engine.", kNoBolt},
    {"backend-batch-interval", kDuration, G::kMember, kDead, &C::backend_batch_interval_ns, "0s",
     "Time between commits of etcd's storage engine.", kNoBolt},
    {"backend-batch-limit", kInt, G::kMember, kDead, &C::backend_batch_limit, "0",
     "Operations between commits of etcd's storage engine.", kNoBolt},
    {"max-txn-ops", kUint, G::kMember, kWorks, &C::max_txn_ops, "128", "Operations that one transaction may hold."},
    {"max-request-bytes", kBytes, G::kMember, kWorks, &C::max_request_bytes, "1572864",
     "Largest client request that is accepted."},
    {"max-concurrent-streams", kUint32, G::kMember, kWorks, &C::max_concurrent_streams, "4294967295",
     "Streams that one connection may have open."},
    {"grpc-keepalive-min-time", kDuration, G::kMember, kWorks, &C::grpc_keepalive_min_time_ns, "5s",
     "A client that pings more often is disconnected."},
    {"grpc-keepalive-interval", kDuration, G::kMember, kWorks, &C::grpc_keepalive_interval_ns, "2h",
     "Time between pings to a quiet client; 0: none."},
    {"grpc-keepalive-timeout", kDuration, G::kMember, kWorks, &C::grpc_keepalive_timeout_ns, "20s",
     "Time a client has to answer such a ping."},
    {"socket-reuse-port", kBool, G::kMember, kIgnored, &C::socket_reuse_port, "false", "Set SO_REUSEPORT on listeners.",
     "a second server on the address is refused"},
    {"socket-reuse-address", kBool, G::kMember, kIgnored, &C::socket_reuse_address, "false",
     "Set SO_REUSEADDR on listeners.", "listeners set SO_REUSEADDR anyway"},
    {"enable-grpc-gateway", kBool, G::kMember, kIgnored, &C::enable_grpc_gateway, "true",
     "Serve the JSON gateway, where the transport can.", "the JSON gateway is not built yet in this version"},
    {"raft-read-timeout", kDuration, G::kMember, kIgnored, &C::raft_read_timeout_ns, "5s",
     "Read timeout of connections between members; at least 5s.", kNoPeers},
    {"raft-write-timeout", kDuration, G::kMember, kIgnored, &C::raft_write_timeout_ns, "5s",
     "Write timeout of connections between members; at least 5s.", kNoPeers},
    {"feature-gates", kGates, G::kMember, kWorks, &C::feature_gates, "",
     "etcd's feature gates, as Name=true,Name=false."},

    // Clustering
    {"initial-advertise-peer-urls", kUrls, G::kClustering, kWorks, &C::initial_advertise_peer_urls,
     "http://localhost:2380", "This member's peer URLs, as the others reach them."},
    {"initial-cluster", kString, G::kClustering, kWorks, &C::initial_cluster, "",
     "Members of a new cluster as NAME=URL,...; empty: this member alone."},
    {"initial-cluster-state", kString, G::kClustering, kWorks, &C::initial_cluster_state, "new",
     "new, or existing to join a cluster that has this member on its list."},
    {"initial-cluster-token", kString, G::kClustering, kWorks, &C::initial_cluster_token, "etcd-cluster",
     "Text that goes into the cluster's id."},
    {"advertise-client-urls", kUrls, G::kClustering, kWorks, &C::advertise_client_urls, "http://localhost:2379",
     "This member's client URLs, as clients reach them."},
    {"discovery", kString, G::kClustering, kRefused, &C::discovery, "", "URL of the v2 discovery service.",
     kNoDiscovery},
    {"discovery-token", kString, G::kClustering, kRefused, &C::discovery_token, "", "v3 discovery: token.",
     kNoDiscovery},
    {"discovery-endpoints", kStrings, G::kClustering, kRefused, &C::discovery_endpoints, "", "v3 discovery: endpoints.",
     kNoDiscovery},
    {"discovery-dial-timeout", kDuration, G::kClustering, kRefused, &C::discovery_dial_timeout_ns, "2s",
     "v3 discovery: time to connect.", kNoDiscovery},
    {"discovery-request-timeout", kDuration, G::kClustering, kRefused, &C::discovery_request_timeout_ns, "5s",
     "v3 discovery: time of a request.", kNoDiscovery},
    {"discovery-keepalive-time", kDuration, G::kClustering, kRefused, &C::discovery_keepalive_time_ns, "2s",
     "v3 discovery: time between pings.", kNoDiscovery},
    {"discovery-keepalive-timeout", kDuration, G::kClustering, kRefused, &C::discovery_keepalive_timeout_ns, "6s",
     "v3 discovery: time to answer a ping.", kNoDiscovery},
    {"discovery-insecure-transport", kBool, G::kClustering, kRefused, &C::discovery_insecure_transport, "true",
     "v3 discovery: connect without TLS.", kNoDiscovery},
    {"discovery-insecure-skip-tls-verify", kBool, G::kClustering, kRefused, &C::discovery_insecure_skip_tls_verify,
     "false", "v3 discovery: do not verify certificates.", kNoDiscovery},
    {"discovery-cert", kString, G::kClustering, kRefused, &C::discovery_cert, "", "v3 discovery: certificate file.",
     kNoDiscovery},
    {"discovery-key", kString, G::kClustering, kRefused, &C::discovery_key, "", "v3 discovery: key file.",
     kNoDiscovery},
    {"discovery-cacert", kString, G::kClustering, kRefused, &C::discovery_cacert, "", "v3 discovery: CA file.",
     kNoDiscovery},
    {"discovery-user", kString, G::kClustering, kRefused, &C::discovery_user, "", "v3 discovery: user.", kNoDiscovery},
    {"discovery-password", kString, G::kClustering, kRefused, &C::discovery_password, "", "v3 discovery: password.",
     kNoDiscovery},
    {"discovery-srv", kString, G::kClustering, kRefused, &C::discovery_srv, "", "DNS domain that lists the members.",
     kNoDiscovery},
    {"discovery-srv-name", kString, G::kClustering, kRefused, &C::discovery_srv_name, "",
     "Suffix of the DNS service name.", kNoDiscovery},
    {"discovery-fallback", kString, G::kClustering, kDead, &C::discovery_fallback, "exit",
     "What to do when discovery fails.", "exit is the only behaviour"},
    {"discovery-proxy", kString, G::kClustering, kDead, &C::discovery_proxy, "", "HTTP proxy of v2 discovery.", kGone},
    {"strict-reconfig-check", kBool, G::kClustering, kWorks, &C::strict_reconfig_check, "true",
     "Refuse membership changes that would lose the quorum."},
    {"pre-vote", kBool, G::kClustering, kWorks, &C::pre_vote, "true",
     "Ask before an election, so that a member that comes back disturbs nobody."},
    {"auto-compaction-retention", kString, G::kClustering, kWorks, &C::auto_compaction_retention, "0",
     "History to keep: hours or a duration (periodic), revisions (revision); 0: no automatic compaction. Needs the "
     "compactor module.",
     "", "compactor"},
    {"auto-compaction-mode", kString, G::kClustering, kWorks, &C::auto_compaction_mode, "periodic",
     "periodic or revision. Needs the compactor module.", "", "compactor"},
    {"v2-deprecation", kString, G::kClustering, kDead, &C::v2_deprecation, "write-only", "Phase of the v2 store's end.",
     "--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, ignoring user "
     "input."},

    // Security
    {"cert-file", kString, G::kSecurity, kRefused, &C::cert_file, "", "Certificate for clients.", kNoTls},
    {"key-file", kString, G::kSecurity, kRefused, &C::key_file, "", "Key of that certificate.", kNoTls},
    {"client-cert-auth", kBool, G::kSecurity, kRefused, &C::client_cert_auth, "false", "Ask clients for a certificate.",
     kNoTls},
    {"client-cert-file", kString, G::kSecurity, kRefused, &C::client_cert_file, "",
     "Certificate of the server's own client.", kNoTls},
    {"client-key-file", kString, G::kSecurity, kRefused, &C::client_key_file, "", "Key of the server's own client.",
     kNoTls},
    {"client-crl-file", kString, G::kSecurity, kRefused, &C::client_crl_file, "", "Revoked client certificates.",
     kNoTls},
    {"client-cert-allowed-hostname", kStrings, G::kSecurity, kRefused, &C::client_cert_allowed_hostname, "",
     "Host names that client certificates may carry.", kNoTls},
    {"trusted-ca-file", kString, G::kSecurity, kRefused, &C::trusted_ca_file, "", "CA of the clients.", kNoTls},
    {"auto-tls", kBool, G::kSecurity, kRefused, &C::auto_tls, "false", "Serve clients with a generated certificate.",
     kNoTls},
    {"peer-cert-file", kString, G::kSecurity, kRefused, &C::peer_cert_file, "", "Certificate for members.", kNoTls},
    {"peer-key-file", kString, G::kSecurity, kRefused, &C::peer_key_file, "", "Key of that certificate.", kNoTls},
    {"peer-client-cert-auth", kBool, G::kSecurity, kRefused, &C::peer_client_cert_auth, "false",
     "Ask members for a certificate.", kNoTls},
    {"peer-client-cert-file", kString, G::kSecurity, kRefused, &C::peer_client_cert_file, "",
     "Certificate towards other members.", kNoTls},
    {"peer-client-key-file", kString, G::kSecurity, kRefused, &C::peer_client_key_file, "",
     "Key towards other members.", kNoTls},
    {"peer-trusted-ca-file", kString, G::kSecurity, kRefused, &C::peer_trusted_ca_file, "", "CA of the members.",
     kNoTls},
    {"peer-cert-allowed-cn", kStrings, G::kSecurity, kRefused, &C::peer_cert_allowed_cn, "",
     "Common names that members' certificates may carry.", kNoTls},
    {"peer-cert-allowed-hostname", kStrings, G::kSecurity, kRefused, &C::peer_cert_allowed_hostname, "",
     "Host names that members' certificates may carry.", kNoTls},
    {"peer-auto-tls", kBool, G::kSecurity, kRefused, &C::peer_auto_tls, "false",
     "Serve members with a generated certificate.", kNoTls},
    {"peer-crl-file", kString, G::kSecurity, kRefused, &C::peer_crl_file, "", "Revoked members' certificates.", kNoTls},
    {"peer-skip-client-san-verification", kBool, G::kSecurity, kRefused, &C::peer_skip_client_san_verification, "false",
     "Do not check host names in members' certificates.", kNoTls},
    {"self-signed-cert-validity", kUint, G::kSecurity, kRefused, &C::self_signed_cert_validity, "1",
     "Years that a generated certificate lives.", kNoTls},
    {"cipher-suites", kStrings, G::kSecurity, kRefused, &C::cipher_suites, "", "TLS cipher suites to allow.", kNoTls},
    {"tls-min-version", kString, G::kSecurity, kRefused, &C::tls_min_version, "TLS1.2", "TLS1.2 or TLS1.3.", kNoTls},
    {"tls-max-version", kString, G::kSecurity, kRefused, &C::tls_max_version, "", "TLS1.2, TLS1.3 or empty.", kNoTls},
    {"cors", kStrings, G::kSecurity, kWorks, &C::cors, "*", "Origins that browsers may call from; *: all."},
    {"host-whitelist", kStrings, G::kSecurity, kWorks, &C::host_whitelist, "*",
     "Host names that plain HTTP requests may ask for; *: all."},

    // Auth
    {"auth-token", kString, G::kAuth, kRefused, &C::auth_token, "simple", "simple, or jwt with its options.",
     "another token than simple is not built yet in this version"},
    {"bcrypt-cost", kUint, G::kAuth, kWorks, &C::bcrypt_cost, "10", "Cost of a password hash, 4 to 31.", "", "authz"},
    {"auth-token-ttl", kSeconds, G::kAuth, kWorks, &C::auth_token_ttl_s, "300", "Seconds that a token lives.", "",
     "authn"},

    // Profiling and monitoring
    {"enable-pprof", kBool, G::kProfiling, kDead, &C::enable_pprof, "false", "Serve Go's profiler.",
     "Tenon has no Go profiler"},
    {"metrics", kString, G::kProfiling, kWorks, &C::metrics, "basic", "basic, or extensive with histograms per call."},
    {"listen-metrics-urls", kUrls, G::kProfiling, kWorks, &C::listen_metrics_urls, "",
     "Where else to serve /metrics, /health, /livez and /readyz."},

    // Logging
    {"logger", kString, G::kLogging, kDead, &C::logger, "zap", "etcd's log library.", "zap is the only value"},
    {"log-outputs", kStrings, G::kLogging, kWorks, &C::log_outputs, "default",
     "default (standard error), stderr, stdout, or paths of files."},
    {"log-level", kString, G::kLogging, kWorks, &C::log_level, "info", "debug, info, warn, error, panic or fatal."},
    {"log-format", kString, G::kLogging, kWorks, &C::log_format, "json", "json or console."},
    {"enable-log-rotation", kBool, G::kLogging, kIgnored, &C::enable_log_rotation, "false", "Rotate the log file.",
     "log rotation is not built yet in this version; logrotate's copytruncate works"},
    {"log-rotation-config-json", kString, G::kLogging, kIgnored, &C::log_rotation_config_json,
     R"({"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false})", "How to rotate it.",
     "log rotation is not built yet in this version; logrotate's copytruncate works"},
    {"warning-unary-request-duration", kDuration, G::kLogging, kWorks, &C::warning_unary_request_duration_ns, "300ms",
     "A request that takes longer is logged."},

    // Distributed tracing
    {"enable-distributed-tracing", kBool, G::kTracing, kIgnored, &C::enable_distributed_tracing, "false",
     "Send traces to a collector.", kNoTracing},
    {"distributed-tracing-address", kString, G::kTracing, kIgnored, &C::distributed_tracing_address, "localhost:4317",
     "Address of the collector.", kNoTracing},
    {"distributed-tracing-service-name", kString, G::kTracing, kIgnored, &C::distributed_tracing_service_name, "etcd",
     "Service name in traces.", kNoTracing},
    {"distributed-tracing-instance-id", kString, G::kTracing, kIgnored, &C::distributed_tracing_instance_id, "",
     "Instance id in traces.", kNoTracing},
    {"distributed-tracing-sampling-rate", kInt, G::kTracing, kIgnored, &C::distributed_tracing_sampling_rate, "0",
     "Samples per million spans.", kNoTracing},

    // Features
    {"corrupt-check-time", kDuration, G::kFeatures, kIgnored, &C::corrupt_check_time_ns, "0s",
     "Time between comparisons of the members' data; 0: none.", kNoPeers},
    {"compact-hash-check-time", kDuration, G::kFeatures, kIgnored, &C::compact_hash_check_time_ns, "1m",
     "Time between comparisons of compaction hashes.", kNoPeers},
    {"compaction-batch-limit", kInt, G::kFeatures, kIgnored, &C::compaction_batch_limit, "1000",
     "Revisions that one step of a compaction deletes.", "compaction goes in slices of 1000 keys"},
    {"compaction-sleep-interval", kDuration, G::kFeatures, kIgnored, &C::compaction_sleep_interval_ns, "10ms",
     "Pause between such steps.", "compaction pauses 1 ms between slices that removed rows"},
    {"watch-progress-notify-interval", kDuration, G::kFeatures, kWorks, &C::watch_progress_notify_interval_ns, "10m",
     "Time between progress notifications of quiet watches; at least 100ms."},
    {"warning-apply-duration", kDuration, G::kFeatures, kWorks, &C::warning_apply_duration_ns, "100ms",
     "An apply that takes longer is logged."},
    {"bootstrap-defrag-threshold-megabytes", kUint, G::kFeatures, kDead, &C::bootstrap_defrag_threshold_megabytes, "0",
     "Free space at which etcd defragments at start.", "Tenon's engines reuse their free space while they serve"},
    {"max-learners", kInt, G::kFeatures, kIgnored, &C::max_learners, "1", "Learners that the cluster may have.",
     kNoPeers},
    {"downgrade-check-time", kDuration, G::kFeatures, kIgnored, &C::downgrade_check_time_ns, "5s",
     "Time between checks of a downgrade.", "Tenon refuses downgrades"},

    // Unsafe
    {"force-new-cluster", kBool, G::kUnsafe, kWorks, &C::force_new_cluster, "false",
     "Make a cluster of one out of this member's data: all other members are removed for ever. For when a quorum is "
     "lost for good; what only the others had is lost too."},
    {"unsafe-no-fsync", kBool, G::kUnsafe, kWorks, &C::unsafe_no_fsync, "false",
     "Do not wait for the disk. Power loss loses acknowledged data."},

    // Tenon
    {"tenon-plugin-dir", kString, G::kTenon, kWorks, &C::tenon_plugin_dir, "",
     "Directory of the plugins; empty: ../lib/tenon/plugins beside the executable."},
    {"tenon-record-cache", kBytes, G::kTenon, kWorks, &C::tenon_record_cache_bytes, "32MiB",
     "Memory for current values beside the key index; 0: none."},
    {"tenon-persist-interval", kDuration, G::kTenon, kWorks, &C::tenon_persist_interval_ns, "5s",
     "Longest time until the engine is asked to write its state to disk."},
    {"tenon-persist-bytes", kBytes, G::kTenon, kWorks, &C::tenon_persist_bytes, "64MiB",
     "Bytes of log after which it is asked earlier."},
    {"tenon-read-view-timeout", kDuration, G::kTenon, kWorks, &C::tenon_read_view_timeout_ns, "1m",
     "A read that holds old revisions longer ends with \"compacted\"."},
    {"tenon-disk-free-watermark", kBytes, G::kTenon, kWorks, &C::tenon_disk_free_watermark_bytes, "256MiB",
     "Free disk space below which writes are refused; 0: no check."},
    {"tenon-state-fetch-rate", kBytes, G::kTenon, kWorks, &C::tenon_state_fetch_bytes_per_s, "64MiB",
     "Bytes a second at which this member fetches the state of another one; 0: as fast as it comes."},

    // Removed from etcd, once accepted by it or still
    {"cluster-active-size", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"cluster-remove-delay", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"cluster-sync-interval", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"config", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"force", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"max-result-buffer", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"max-retry-attempts", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"peer-heartbeat-interval", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"peer-election-timeout", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"retry-interval", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"snapshot", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"v", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"vv", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"test.coverprofile", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"test.outputdir", kBool, G::kRemoved, kDead, {}, "", "", kGone},
    {"enable-v2", kBool, G::kRemoved, kDead, {}, "", "", kGone},
};

constexpr SectionKey kSectionKeys[] = {
    {"client-transport-security", "cert-file", "cert-file"},
    {"client-transport-security", "key-file", "key-file"},
    {"client-transport-security", "client-cert-file", "client-cert-file"},
    {"client-transport-security", "client-key-file", "client-key-file"},
    {"client-transport-security", "client-cert-auth", "client-cert-auth"},
    {"client-transport-security", "trusted-ca-file", "trusted-ca-file"},
    {"client-transport-security", "auto-tls", "auto-tls"},
    {"client-transport-security", "allowed-hostname", "client-cert-allowed-hostname"},
    {"peer-transport-security", "cert-file", "peer-cert-file"},
    {"peer-transport-security", "key-file", "peer-key-file"},
    {"peer-transport-security", "client-cert-file", "peer-client-cert-file"},
    {"peer-transport-security", "client-key-file", "peer-client-key-file"},
    {"peer-transport-security", "client-cert-auth", "peer-client-cert-auth"},
    {"peer-transport-security", "trusted-ca-file", "peer-trusted-ca-file"},
    {"peer-transport-security", "auto-tls", "peer-auto-tls"},
    {"peer-transport-security", "allowed-cn", "peer-cert-allowed-cn"},
    {"peer-transport-security", "allowed-hostname", "peer-cert-allowed-hostname"},
    {"peer-transport-security", "skip-client-san-verification", "peer-skip-client-san-verification"},
    {"socket-options", "reuse-port", "socket-reuse-port"},
    {"socket-options", "reuse-address", "socket-reuse-address"},
    {"client-transport-security", "allowed-cn", ""},
    {"client-transport-security", "skip-client-san-verification", ""},
    {"discovery-config", "", ""},
    {"tenon", "plugin-dir", "tenon-plugin-dir"},
    {"tenon", "record-cache", "tenon-record-cache"},
    {"tenon", "persist-interval", "tenon-persist-interval"},
    {"tenon", "persist-bytes", "tenon-persist-bytes"},
    {"tenon", "read-view-timeout", "tenon-read-view-timeout"},
    {"tenon", "disk-free-watermark", "tenon-disk-free-watermark"},
    {"tenon", "state-fetch-rate", "tenon-state-fetch-rate"},
};

}  // namespace

std::string_view GroupTitle(OptionGroup group) {
  switch (group) {
    case G::kMember: return "Member";
    case G::kClustering: return "Clustering";
    case G::kSecurity: return "Security";
    case G::kAuth: return "Auth";
    case G::kProfiling: return "Profiling and Monitoring";
    case G::kLogging: return "Logging";
    case G::kTracing: return "Distributed tracing";
    case G::kFeatures: return "Features";
    case G::kUnsafe: return "Unsafe feature";
    case G::kTenon: return "Tenon";
    case G::kRemoved: return "Removed";
  }
  return "";
}

std::span<const Option> Options() { return kOptions; }

const Option* FindOption(std::string_view name) {
  const auto at =
      std::find_if(std::begin(kOptions), std::end(kOptions), [&](const Option& o) { return o.name == name; });
  return at == std::end(kOptions) ? nullptr : at;
}

std::vector<std::string> OptionNames() {
  std::vector<std::string> names;
  for (const Option& option : kOptions) {
    if (option.group != G::kRemoved) names.emplace_back(option.name);
  }
  return names;
}

std::string EnvName(std::string_view option) {
  std::string name = "ETCD_" + absl::AsciiStrToUpper(ToAbsl(option));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::span<const SectionKey> SectionKeys() { return kSectionKeys; }

std::string YamlName(const Option& option) {
  if (option.group == G::kTenon) return fmt::format("tenon: {}", option.name.substr(std::string_view("tenon-").size()));
  return std::string(option.name);
}

Config DefaultConfig() {
  Config config;
  for (const Option& option : kOptions) {
    // The table is ours: a default that does not parse is caught by the unit test of this function.
    if (option.group != G::kRemoved) SetFromText(option, option.default_text, config).IgnoreError();
  }
  config.feature_gate = FeatureGates();
  return config;
}

}  // namespace tenon
