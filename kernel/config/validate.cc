// Finish: what follows from several settings together, and what must hold. Texts are etcd's where etcd has one.
#include <arpa/inet.h>

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "kernel/base/units.h"
#include "kernel/base/utf8.h"
#include "kernel/config/sources.h"

namespace tenon {
namespace {

constexpr uint64_t kMaxElectionMs = 50000;
constexpr uint64_t kMaxRequestBytes = 63u << 20;          // engines take values of up to 64 MiB
constexpr uint64_t kRecommendedRequestBytes = 10u << 20;  // etcd's
constexpr int64_t kMinRaftTimeoutNs = 5'000'000'000;

bool IsIp(const std::string& host) {
  unsigned char address[16];
  return ::inet_pton(AF_INET, host.c_str(), address) == 1 || ::inet_pton(AF_INET6, host.c_str(), address) == 1;
}

std::string Join(const std::vector<Url>& urls) {
  std::vector<std::string> texts;
  for (const Url& url : urls) texts.push_back(url.text);
  return absl::StrJoin(texts, ",");
}

// Whether the text is another one than the default, so that not building it would be noticed.
bool Differs(const Option& option, const Config& config) {
  static const Config kDefault = DefaultConfig();
  return TextOf(option, config) != TextOf(option, kDefault);
}

// Options that are not built, by their row of the table.
void CheckStates(Draft& draft) {
  for (const Option& option : Options()) {
    const auto given = draft.given.find(option.name);
    if (given == draft.given.end()) continue;
    const bool differs = Differs(option, draft.config);
    const auto warn = [&](std::string text) {
      draft.warnings.push_back(fmt::format("{}: {}", given->second.where, std::move(text)));
    };
    switch (option.state) {
      case OptionState::kWorks:
        if (differs && !option.module.empty() && !draft.config.modules.Has(option.module)) {
          warn(fmt::format("{} has no effect: no {} module is configured", option.name, option.module));
        }
        break;
      case OptionState::kIgnored:
        if (differs) warn(fmt::format("{} is ignored: {}", option.name, option.note));
        break;
      case OptionState::kDead:
        warn(fmt::format("{} is no longer supported - ignoring: {}", option.name, option.note));
        break;
      case OptionState::kRefused:
        if (differs) {
          draft.Complain(option.name, fmt::format("{}: {}: refusing to start without it", option.name, option.note));
        }
        break;
    }
  }
}

void CheckUrls(Draft& draft) {
  const Config& c = draft.config;
  const auto check_scheme = [&](std::string_view option, const std::vector<Url>& urls) {
    for (const Url& url : urls) {
      if (!url.IsSecure()) continue;
      draft.Complain(option, fmt::format("{}: {}: TLS is not built yet in this version: refusing to start without it",
                                         option, url.text));
    }
  };
  const auto check_bind = [&](std::string_view option, const std::vector<Url>& urls) {
    check_scheme(option, urls);
    for (const Url& url : urls) {
      if (url.IsUnix() || url.host == "localhost" || IsIp(url.host)) continue;
      draft.Complain(option, fmt::format("expected IP in URL for binding ({})", url.text));
    }
  };
  const auto empty_host = [](const std::vector<Url>& urls) {
    return std::find_if(urls.begin(), urls.end(), [](const Url& u) { return !u.IsUnix() && u.host.empty(); });
  };

  check_bind("listen-peer-urls", c.listen_peer_urls);
  check_bind("listen-client-urls", c.listen_client_urls);
  check_bind("listen-client-http-urls", c.listen_client_http_urls);
  check_bind("listen-metrics-urls", c.listen_metrics_urls);
  for (const Url& url : c.listen_client_http_urls) {
    const auto same = [&](const Url& other) { return other.Address() == url.Address(); };
    if (std::none_of(c.listen_client_urls.begin(), c.listen_client_urls.end(), same)) continue;
    draft.Complain("listen-client-http-urls",
                   fmt::format("cannot bind both --listen-client-urls and --listen-client-http-urls on the same url {}",
                               url.text));
  }
  check_scheme("initial-advertise-peer-urls", c.initial_advertise_peer_urls);
  check_scheme("advertise-client-urls", c.advertise_client_urls);
  for (const std::string_view option : {"listen-peer-urls", "listen-client-urls", "initial-advertise-peer-urls"}) {
    if (TextOf(*FindOption(option), c).empty())
      draft.Complain(option, fmt::format("{}: at least one URL is needed", option));
  }
  if (const auto url = empty_host(c.initial_advertise_peer_urls); url != c.initial_advertise_peer_urls.end()) {
    draft.Complain(
        "initial-advertise-peer-urls",
        fmt::format("--initial-advertise-peer-urls \"{}\" must be \"host:port\" (unexpected empty host ({}))",
                    Join(c.initial_advertise_peer_urls), url->text));
  }
  if (const auto url = empty_host(c.advertise_client_urls); url != c.advertise_client_urls.end()) {
    draft.Complain("advertise-client-urls",
                   fmt::format("--advertise-client-urls \"{}\" must be in the format \"host:port\", "
                               "\"unix:/path/to/socket\" or \"unixs:/path/to/socket\" (unexpected empty host ({}))",
                               Join(c.advertise_client_urls), url->text));
  }
}

// etcd keeps the default in a file, but not on the command line; we do as it does.
void CheckAdvertisedClients(Draft& draft) {
  const bool missing =
      !draft.from_file && draft.IsGiven("listen-client-urls") && !draft.IsGiven("advertise-client-urls");
  if (missing || draft.config.advertise_client_urls.empty()) {
    draft.Complain(missing ? "listen-client-urls" : "advertise-client-urls",
                   "--advertise-client-urls is required when --listen-client-urls is set explicitly");
  }
}

void CheckTimes(Draft& draft) {
  Config& c = draft.config;
  const uint64_t beat = c.heartbeat_interval_ms, election = c.election_timeout_ms;
  const std::string_view blamed = draft.IsGiven("election-timeout") ? "election-timeout" : "heartbeat-interval";
  if (beat == 0) draft.Complain("heartbeat-interval", "--heartbeat-interval must be >0 (set to 0ms)");
  if (election == 0) draft.Complain("election-timeout", "--election-timeout must be >0 (set to 0ms)");
  if (beat > election / 5 && beat != 0 && election != 0) {
    draft.Complain(blamed, fmt::format("--election-timeout[{}ms] should be at least as 5 times as "
                                       "--heartbeat-interval[{}ms]",
                                       election, beat));
  } else if (election > kMaxElectionMs) {
    draft.Complain("election-timeout", fmt::format("--election-timeout[{}ms] is too long, and should be set less than "
                                                   "{}ms",
                                                   election, kMaxElectionMs));
  }
  for (const Option& option : Options()) {
    if (option.type != OptionType::kDuration) continue;
    const int64_t ns = c.*std::get<int64_t Config::*>(option.field);
    if (ns < 0) {
      draft.Complain(option.name,
                     fmt::format("--{} must not be negative (set to {})", option.name, FormatDurationNs(ns)));
    }
  }
  for (const std::string_view name : {"compact-hash-check-time", "tenon-persist-interval", "tenon-read-view-timeout"}) {
    if (c.*std::get<int64_t Config::*>(FindOption(name)->field) == 0) {
      draft.Complain(name, fmt::format("--{} must be >0 (set to 0s)", name));
    }
  }
  for (const std::string_view name : {"raft-read-timeout", "raft-write-timeout"}) {
    int64_t& ns = c.*std::get<int64_t Config::*>(FindOption(name)->field);
    if (ns >= kMinRaftTimeoutNs) continue;
    ns = kMinRaftTimeoutNs;
    draft.warnings.push_back(fmt::format("{} increased to minimum value: 5s", name));
  }
}

void CheckNumbers(Draft& draft) {
  Config& c = draft.config;
  for (const std::string_view name :
       {"max-txn-ops", "max-request-bytes", "max-concurrent-streams", "tenon-persist-bytes"}) {
    if (c.*std::get<uint64_t Config::*>(FindOption(name)->field) == 0) {
      draft.Complain(name, fmt::format("--{} must be >0 (set to 0)", name));
    }
  }
  if (c.compaction_batch_limit <= 0) {
    draft.Complain("compaction-batch-limit",
                   fmt::format("--compaction-batch-limit must be >0 (set to {})", c.compaction_batch_limit));
  }
  if (c.max_request_bytes > kMaxRequestBytes) {
    draft.Complain("max-request-bytes", fmt::format("--max-request-bytes must be at most {} (set to {}): engines take "
                                                    "values of up to 64 MiB",
                                                    kMaxRequestBytes, c.max_request_bytes));
  } else if (c.max_request_bytes > kRecommendedRequestBytes) {
    draft.warnings.push_back(fmt::format("exceeded recommended request limit: max-request-bytes {}, recommended {}",
                                         c.max_request_bytes, kRecommendedRequestBytes));
  }
  if (c.snapshot_count == 0) {
    c.snapshot_count = 10000;
    draft.warnings.push_back("set snapshot count to default: snapshot-count 0 means 10000");
  }
  if (c.bcrypt_cost < 4 || c.bcrypt_cost > 31) {
    draft.warnings.push_back(fmt::format(
        "use default bcrypt cost instead of the invalid given cost: bcrypt-cost {} is not in 4..31", c.bcrypt_cost));
    c.bcrypt_cost = 10;
  }
}

void CheckWords(Draft& draft) {
  Config& c = draft.config;
  if (!IsUtf8(c.name)) {
    // It goes into messages and JSON, which are UTF-8; etcd starts with such a name and then fails to announce it.
    draft.Complain("name", fmt::format("--name is not UTF-8 text: {}", ScalarNode(c.name).ToJson()));
    c.name = "default";
  }
  if (c.initial_cluster_state != "new" && c.initial_cluster_state != "existing") {
    draft.Complain("initial-cluster-state", fmt::format("unexpected clusterState \"{}\"", c.initial_cluster_state));
  }
  if (c.auto_compaction_mode.empty()) {
    draft.Complain("auto-compaction-mode", "undefined auto-compaction-mode");
  } else if (c.auto_compaction_mode != "periodic" && c.auto_compaction_mode != "revision") {
    draft.Complain("auto-compaction-mode", fmt::format("unknown auto-compaction-mode \"{}\"", c.auto_compaction_mode));
  } else if (const auto retention = AutoCompactionRetention(c); !retention.ok()) {
    draft.Complain("auto-compaction-retention", std::string(Message(retention.status())));
  }
  if (c.metrics != "basic" && c.metrics != "extensive") {
    draft.Complain("metrics", fmt::format("unknown metrics \"{}\": basic or extensive", c.metrics));
  }
  if (c.discovery_fallback == "proxy") {
    draft.Complain("discovery-fallback",
                   "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"");
  }
  if (!c.feature_gate.at("LeaseCheckpoint") && c.feature_gate.at("LeaseCheckpointPersist")) {
    draft.Complain("feature-gates",
                   "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint");
  }
  for (const auto& [gate, on] : c.feature_gate) {
    if (on != FeatureGates().at(gate)) {
      draft.warnings.push_back(fmt::format("feature gate {}={} has no effect in this version", gate, on));
    }
  }
}

void CheckLogging(Draft& draft) {
  Config& c = draft.config;
  if (c.logger == "capnslog") {
    draft.Complain("logger", "--logger=capnslog is removed in v3.5");
  } else if (c.logger != "zap") {
    draft.Complain("logger", fmt::format("unknown logger option \"{}\"", c.logger));
  }
  const std::string level = absl::AsciiStrToLower(c.log_level);
  static constexpr std::string_view kLevels[] = {"debug", "info", "warn", "error", "dpanic", "panic", "fatal"};
  if (std::find(std::begin(kLevels), std::end(kLevels), level) == std::end(kLevels)) {
    draft.Complain("log-level", fmt::format("unrecognized level: \"{}\"", c.log_level));
  }
  c.log_level = level;
  if (c.log_format != "json" && c.log_format != "console") {
    draft.Complain("log-format", fmt::format("unknown log format: {}, supported values json, console", c.log_format));
  }
  std::erase(c.log_outputs, "");
  for (std::string& output : c.log_outputs) {
    if (output != "systemd/journal") continue;
    output = "stderr";
    draft.warnings.push_back(
        "log-outputs: systemd/journal is not built yet: writing to stderr, which systemd collects");
  }
  if (c.log_outputs.empty()) c.log_outputs = {"default"};
  if (c.log_outputs.size() > 1 &&
      std::find(c.log_outputs.begin(), c.log_outputs.end(), "default") != c.log_outputs.end()) {
    draft.Complain("log-outputs", "multi logoutput for \"default\" is not supported yet");
  }
}

// "a=http://x:1,a=http://y:1,b=..." -> URLs per name.
Result<std::map<std::string, std::vector<Url>>> ParseInitialCluster(std::string_view text) {
  std::map<std::string, std::vector<Url>> members;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view pair = text.substr(0, comma);
    text = comma == text.npos ? "" : text.substr(comma + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    Result<Url> url = ParseUrl(equals == pair.npos ? "" : pair.substr(equals + 1));
    if (!url.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("error setting up initial cluster: ", url.status().message()));
    }
    members[std::string(pair.substr(0, equals))].push_back(*std::move(url));
  }
  return members;
}

// Equal once names are resolved. We resolve only localhost: another name may stand for any address.
bool SameAddress(const Url& a, const Url& b) {
  if (a.IsUnix() || b.IsUnix()) return a.text == b.text;
  const auto is_local = [](const std::string& host) {
    return host == "localhost" || host == "127.0.0.1" || host == "::1";
  };
  const bool same_host = a.host == b.host || (is_local(a.host) && is_local(b.host)) ||
                         (!IsIp(a.host) && a.host != "localhost") || (!IsIp(b.host) && b.host != "localhost");
  return a.scheme == b.scheme && a.port == b.port && same_host;
}

std::vector<Url> Missing(const std::vector<Url>& from, const std::vector<Url>& in) {
  std::vector<Url> missing;
  for (const Url& url : from) {
    if (std::none_of(in.begin(), in.end(), [&](const Url& other) { return SameAddress(url, other); }))
      missing.push_back(url);
  }
  return missing;
}

void CheckInitialCluster(Draft& draft) {
  Config& c = draft.config;
  if (c.data_dir.empty()) c.data_dir = c.name + ".etcd";
  const bool given = draft.IsGiven("initial-cluster") && (!draft.from_file || !c.initial_cluster.empty());
  if (!given) {
    // A member with a name of its own is its own cluster at the URLs it advertises; the default name stays at the
    // default address, so that etcd's complaint about a half-changed configuration comes too.
    const std::string name = c.name.empty() ? "default" : c.name;
    std::vector<std::string> pairs;
    if (c.name == "default" && draft.problems.empty()) {
      pairs = {"default=http://localhost:2380"};
    } else {
      for (const Url& url : c.initial_advertise_peer_urls) pairs.push_back(name + "=" + url.text);
    }
    c.initial_cluster = absl::StrJoin(pairs, ",");
  }
  if (c.initial_advertise_peer_urls.empty()) return;  // complained of before

  auto members = ParseInitialCluster(c.initial_cluster);
  if (!members.ok()) return draft.Complain("initial-cluster", std::string(Message(members.status())));
  std::vector<std::string> all;
  for (const auto& [name, urls] : *members) {
    for (const Url& url : urls) all.push_back(name + "=" + url.text);
  }
  const auto own = members->find(c.name);
  if (own == members->end()) {
    return draft.Complain("initial-cluster", fmt::format("couldn't find local name \"{}\" in the initial cluster "
                                                         "configuration",
                                                         c.name));
  }
  std::vector<std::string> urls;
  for (const auto& [name, member_urls] : *members) {
    Config::InitialMember& member = c.initial_members.emplace_back();
    member.name = name;
    for (const Url& url : member_urls) member.peer_urls.push_back(url.text);
    urls.insert(urls.end(), member.peer_urls.begin(), member.peer_urls.end());
  }
  if (c.modules.peer.use.empty() && (members->size() > 1 || c.initial_cluster_state == "existing")) {
    draft.Complain("initial-cluster",
                   fmt::format("initial-cluster names {} members, but no peer module is configured to "
                               "reach them: add \"peer: {{ use: h2 }}\" under modules",
                               members->size()));
  }
  std::sort(urls.begin(), urls.end());
  if (std::adjacent_find(urls.begin(), urls.end()) != urls.end()) {
    return draft.Complain("initial-cluster",
                          fmt::format("initial cluster {} has duplicate url", absl::StrJoin(all, ",")));
  }
  const std::string advertised = Join(c.initial_advertise_peer_urls);
  if (const auto missing = Missing(own->second, c.initial_advertise_peer_urls); !missing.empty()) {
    std::vector<std::string> pairs;
    for (const Url& url : missing) pairs.push_back(c.name + "=" + url.text);
    return draft.Complain("initial-cluster",
                          fmt::format("--initial-cluster has {} but missing from --initial-advertise-peer-urls={}",
                                      absl::StrJoin(pairs, ","), advertised));
  }
  if (const auto missing = Missing(c.initial_advertise_peer_urls, own->second); !missing.empty()) {
    draft.Complain("initial-advertise-peer-urls",
                   fmt::format("--initial-advertise-peer-urls has {} but missing from --initial-cluster={}",
                               Join(missing), absl::StrJoin(all, ",")));
  }
}

}  // namespace

void Finish(Draft& draft) {
  Config& c = draft.config;
  // An empty list allows all, as the star does.
  if (c.cors.empty()) c.cors = {"*"};
  if (c.host_whitelist.empty()) c.host_whitelist = {"*"};
  CheckStates(draft);
  // Half a file says nothing about what belongs together.
  if (draft.syntax_error) return;
  CheckUrls(draft);
  CheckAdvertisedClients(draft);
  CheckTimes(draft);
  CheckNumbers(draft);
  CheckWords(draft);
  CheckLogging(draft);
  CheckInitialCluster(draft);
  if (c.name == "default" && draft.problems.empty()) {
    draft.warnings.push_back(
        "it isn't recommended to use default name, please set a value for --name. Note that etcd might run into issue "
        "when multiple members have the same default name");
  }
}

std::optional<uint64_t> QuotaBytes(const Config& config) {
  if (config.quota_backend_bytes < 0) return std::nullopt;
  if (config.quota_backend_bytes == 0) return 2ull << 30;
  return static_cast<uint64_t>(config.quota_backend_bytes);
}

Result<int64_t> AutoCompactionRetention(const Config& config) {
  constexpr int64_t kHourNs = 3'600'000'000'000;
  int64_t number = 0;
  if (absl::SimpleAtoi(config.auto_compaction_retention, &number) && number >= 0) {
    if (config.auto_compaction_mode == "revision") return number;
    if (number <= INT64_MAX / kHourNs) return number * kHourNs;
  }
  const auto bad = [&](std::string_view why) {
    return absl::InvalidArgumentError(ToAbsl(fmt::format("error parsing CompactionRetention: {}", why)));
  };
  if (config.auto_compaction_mode == "revision") {
    return bad(fmt::format("\"{}\" is not a number of revisions", config.auto_compaction_retention));
  }
  const Result<int64_t> ns = ParseDurationNs(config.auto_compaction_retention);
  if (!ns.ok()) return bad(Message(ns.status()));
  if (*ns < 0) return bad("it is negative");
  return *ns;
}

}  // namespace tenon
