// Config: everything the server is told before it starts, from flags, ETCD_* variables or one YAML file.
//
// Each field is one row of the table in options.cc, which drives flags, variables, YAML keys, --help and the docs.
// Names, defaults and texts are etcd 3.7.3's. [plain data]
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernel/config/node.h"

namespace tenon {

// http://127.0.0.1:2379 or unix:///run/tenon.sock.
struct Url {
  std::string scheme;  // http https unix unixs
  std::string host;    // without brackets; empty for unix
  uint16_t port = 0;   // 0 for unix
  std::string path;    // unix: the socket's path
  std::string text;    // as written, spaces around it removed

  bool IsUnix() const { return scheme == "unix" || scheme == "unixs"; }
  bool IsSecure() const { return scheme == "https" || scheme == "unixs"; }
  // "127.0.0.1:2379", "[::1]:2379" or the socket's path.
  std::string Address() const;
  friend bool operator==(const Url&, const Url&) = default;
};

// One module to load. `config` is a map, empty if the file has none; its schema is the plugin's business.
struct ModuleSpec {
  std::string kind;    // storage transport lease quota compactor authn authz peer service observer
  std::string use;     // plugin name ("wiredtiger": storage-wiredtiger.so) or, with a slash, the path of a .so
  std::string module;  // which module of that kind, if the plugin has several; empty: the only one, or named as `use`
  std::string sha256;  // 64 lower-case hex digits that the file must have, or empty
  ConfigNode config;
  std::string where;  // file:line:column of `use`; "default" if no file names it

  bool IsPath() const { return use.find('/') != std::string::npos; }
};

// At most one of each singular kind; an empty vector or `use` means that the kind is absent.
struct Modules {
  bool from_file = false;  // false: the default set
  ModuleSpec storage;
  std::vector<ModuleSpec> transports;
  ModuleSpec lease, quota, compactor, authz, peer;
  std::vector<ModuleSpec> authn, services, observers;

  // Every module that is present, storage first.
  std::vector<const ModuleSpec*> All() const;
  bool Has(std::string_view kind) const;
};

struct Config {
  // Member
  std::string name = "default";
  std::string data_dir;  // after loading: never empty ("default.etcd")
  std::string wal_dir;   // empty: DATA_DIR/member/wal
  uint64_t snapshot_count = 10000;
  uint64_t snapshot_catchup_entries = 5000;
  uint64_t max_snapshots = 5, max_wals = 5;
  uint64_t heartbeat_interval_ms = 100, election_timeout_ms = 1000;
  bool initial_election_tick_advance = true;
  std::vector<Url> listen_peer_urls, listen_client_urls, listen_client_http_urls;
  bool memory_mlock = false;
  int64_t quota_backend_bytes = 0;  // as written: 0 is etcd's 2 GiB, negative is no quota; see QuotaBytes
  std::string backend_bbolt_freelist_type;
  int64_t backend_batch_interval_ns = 0;
  int64_t backend_batch_limit = 0;
  uint64_t max_txn_ops = 128;
  uint64_t max_request_bytes = 1572864;
  uint64_t max_concurrent_streams = 4294967295;
  int64_t grpc_keepalive_min_time_ns = 5'000'000'000;
  int64_t grpc_keepalive_interval_ns = 7'200'000'000'000;
  int64_t grpc_keepalive_timeout_ns = 20'000'000'000;
  bool socket_reuse_port = false, socket_reuse_address = false;
  bool enable_grpc_gateway = true;
  int64_t raft_read_timeout_ns = 5'000'000'000, raft_write_timeout_ns = 5'000'000'000;
  std::string feature_gates;                 // as written
  std::map<std::string, bool> feature_gate;  // every known gate with its effective value

  // Clustering
  std::vector<Url> initial_advertise_peer_urls, advertise_client_urls;
  std::string initial_cluster;  // after loading: never empty
  struct InitialMember {
    std::string name;
    std::vector<std::string> peer_urls;
  };
  std::vector<InitialMember> initial_members;  // what initial_cluster says; this member is among them
  std::string initial_cluster_state = "new";
  std::string initial_cluster_token = "etcd-cluster";
  std::string discovery, discovery_token;
  std::vector<std::string> discovery_endpoints;
  int64_t discovery_dial_timeout_ns = 2'000'000'000, discovery_request_timeout_ns = 5'000'000'000;
  int64_t discovery_keepalive_time_ns = 2'000'000'000, discovery_keepalive_timeout_ns = 6'000'000'000;
  bool discovery_insecure_transport = true, discovery_insecure_skip_tls_verify = false;
  std::string discovery_cert, discovery_key, discovery_cacert, discovery_user, discovery_password;
  std::string discovery_fallback = "exit", discovery_proxy, discovery_srv, discovery_srv_name;
  bool strict_reconfig_check = true, pre_vote = true;
  std::string auto_compaction_retention = "0";
  std::string auto_compaction_mode = "periodic";
  std::string v2_deprecation = "write-only";

  // Security
  std::string cert_file, key_file, client_cert_file, client_key_file, client_crl_file, trusted_ca_file;
  bool client_cert_auth = false, auto_tls = false;
  std::vector<std::string> client_cert_allowed_hostname;
  std::string peer_cert_file, peer_key_file, peer_client_cert_file, peer_client_key_file, peer_crl_file;
  std::string peer_trusted_ca_file;
  bool peer_client_cert_auth = false, peer_auto_tls = false, peer_skip_client_san_verification = false;
  std::vector<std::string> peer_cert_allowed_cn, peer_cert_allowed_hostname, cipher_suites;
  uint64_t self_signed_cert_validity = 1;
  std::vector<std::string> cors = {"*"}, host_whitelist = {"*"};
  std::string tls_min_version = "TLS1.2", tls_max_version;

  // Auth
  std::string auth_token = "simple";
  uint64_t bcrypt_cost = 10;
  uint64_t auth_token_ttl_s = 300;

  // Profiling and monitoring
  bool enable_pprof = false;
  std::string metrics = "basic";
  std::vector<Url> listen_metrics_urls;

  // Logging
  std::string logger = "zap";
  std::vector<std::string> log_outputs = {"default"};
  std::string log_level = "info";
  std::string log_format = "json";
  bool enable_log_rotation = false;
  std::string log_rotation_config_json;
  int64_t warning_unary_request_duration_ns = 300'000'000;

  // Distributed tracing
  bool enable_distributed_tracing = false;
  std::string distributed_tracing_address = "localhost:4317";
  std::string distributed_tracing_service_name = "etcd";
  std::string distributed_tracing_instance_id;
  int64_t distributed_tracing_sampling_rate = 0;

  // Features
  int64_t corrupt_check_time_ns = 0;
  int64_t compact_hash_check_time_ns = 60'000'000'000;
  int64_t compaction_batch_limit = 1000;
  int64_t compaction_sleep_interval_ns = 10'000'000;
  int64_t watch_progress_notify_interval_ns = 600'000'000'000;
  int64_t warning_apply_duration_ns = 100'000'000;
  uint64_t bootstrap_defrag_threshold_megabytes = 0;
  int64_t max_learners = 1;
  int64_t downgrade_check_time_ns = 5'000'000'000;

  // Unsafe
  bool force_new_cluster = false;
  bool unsafe_no_fsync = false;

  // Tenon's own: flags --tenon-..., in the file under `tenon:` without that prefix
  std::string tenon_plugin_dir;  // empty: ../lib/tenon/plugins beside the executable
  uint64_t tenon_record_cache_bytes = 32u << 20;
  int64_t tenon_persist_interval_ns = 5'000'000'000;
  uint64_t tenon_persist_bytes = 64u << 20;
  int64_t tenon_read_view_timeout_ns = 60'000'000'000;
  uint64_t tenon_disk_free_watermark_bytes = 256u << 20;
  uint64_t tenon_state_fetch_bytes_per_s = 64u << 20;  // 0: no limit

  Modules modules;
  std::string config_file;  // the file that was read, or empty
};

// A usable configuration. `warnings` are to be logged once the log stands.
struct Loaded {
  Config config;
  std::vector<std::string> warnings;
};
// --check-config: the kernel may check the modules' sections too, then prints "configuration OK" and Summary(config).
struct CheckOnly {
  Config config;
  std::vector<std::string> warnings;
};
// --help, --version, --print-config: print to standard output and exit with 0.
struct PrintText {
  std::string text;
};
// Print each problem on standard error and exit: 2 for a bad command line, as etcd, else 1.
struct Problems {
  std::vector<Problem> list;  // sorted by position
  std::vector<std::string> warnings;
  int exit_code = 1;

  std::string ToString() const;  // one line each
};

using LoadOutcome = std::variant<Loaded, CheckOnly, PrintText, Problems>;

// Reads a whole file; the status of a failure is shown to the operator.
using FileReader = std::function<Result<std::string>(const std::string& path)>;

// Turns a command line (without argv[0]) and an environment ("KEY=VALUE" each) into a configuration.
// Reads nothing but the configuration file, through `read_file`. [pure, any thread]
LoadOutcome Load(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                 const FileReader& read_file);

// Load with this process's environment and files.
LoadOutcome LoadFromProcess(int argc, char** argv);

// Bytes at which puts are refused: 2 GiB for 0, nullopt (no limit) for negative values.
std::optional<uint64_t> QuotaBytes(const Config& config);
// auto-compaction-retention as a number: nanoseconds of history if periodic, revisions if revision; 0: off.
// InvalidArgument has etcd's text.
Result<int64_t> AutoCompactionRetention(const Config& config);

// The effective configuration as a file that Load reads back to the same Config.
std::string ToYaml(const Config& config);
// A few lines for --check-config and the start of the log.
std::string Summary(const Config& config);
std::string HelpText();
// The five lines of --version.
std::string VersionText();
inline constexpr std::string_view kTenonVersion = "0.1.0";
std::string_view GitSha();

}  // namespace tenon
