#include "kernel/first_start.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <optional>
#include <thread>

#include "fmt/ranges.h"
#include "kernel/base/log.h"
#include "kernel/cluster/founding.h"
#include "kernel/cluster/ids.h"
#include "kernel/cluster/version.h"
#include "kernel/member/replacement.h"
#include "kernel/wal/wal.h"
#include "proto/peer.pb.h"
#include "proto/rpc.pb.h"

namespace tenon {
namespace {

constexpr uint64_t kAskNs = 1'000'000'000;
constexpr auto kAskAgain = std::chrono::seconds(1);

struct Remote {
  std::string url;  // where it answered
  uint64_t cluster_id = 0;
  std::vector<cluster::Member> members;
};

template <class Response>
Result<Response> Ask(Peers& peers, const std::string& url, std::string_view method) {
  // Shared with the answer, which may come when nobody waits any more.
  auto answer = std::make_shared<std::promise<Result<std::string>>>();
  peers.Call(0, url, method, {}, kAskNs, [answer](const Status& status, std::string bytes) {
    answer->set_value(status.ok() ? Result<std::string>(std::move(bytes)) : Result<std::string>(status));
  });
  ASSIGN_OR_RETURN(const std::string bytes, answer->get_future().get());
  Response response;
  if (!response.ParseFromString(bytes)) return absl::DataLossError(fmt::format("{} is no member of Tenon's", url));
  return response;
}

Result<Remote> AskMembers(Peers& peers, const std::string& url) {
  ASSIGN_OR_RETURN(const auto response, Ask<etcdserverpb::MemberListResponse>(peers, url, "Members"));
  Remote remote{url, response.header().cluster_id(), {}};
  for (const etcdserverpb::Member& m : response.members()) remote.members.push_back(cluster::FromProto(m));
  return remote;
}

// The first that answers and knows of any member.
std::optional<Remote> AskAt(Peers& peers, const std::vector<std::string>& urls) {
  for (const std::string& url : urls) {
    Result<Remote> remote = AskMembers(peers, url);
    if (remote.ok() && !remote->members.empty()) return *std::move(remote);
    LOG_INFO("cannot get the cluster from a peer", {"peer-url", url},
             {"error", remote.ok() ? Status(StatusCode::kUnavailable, "it has not started yet") : remote.status()});
  }
  return std::nullopt;
}

std::optional<Remote> AskOthers(const Config& config, Peers& peers) {
  std::vector<std::string> urls;
  for (const Config::InitialMember& m : config.initial_members) {
    if (m.name != config.name) urls.insert(urls.end(), m.peer_urls.begin(), m.peer_urls.end());
  }
  return AskAt(peers, urls);
}

Status NobodyAnswers() {
  return absl::UnavailableError(
      "cannot fetch cluster info from peer urls: could not retrieve cluster information from "
      "the given URLs");
}

std::vector<std::string> Sorted(std::vector<std::string> urls) {
  std::sort(urls.begin(), urls.end());
  return urls;
}

// Source: etcd isCompatibleWithCluster.
Status CheckCompatible(Peers& peers, const std::string& url) {
  ASSIGN_OR_RETURN(const auto response, Ask<tenonpb::VersionResponse>(peers, url, "Version"));
  const std::optional<Version> version = ParseVersion(response.cluster());
  if (version && *version >= cluster::kLeastVersion && *version <= OwnVersion()) return Ok();
  return absl::FailedPreconditionError(
      fmt::format("incompatible with current running cluster: its version is {}, this server's {}",
                  version ? ToString(*version) : "not decided", ToString(OwnVersion())));
}

// For the operator to copy. `members`: as one of them told; none: nobody answered. `id` 0: not known.
std::string ReplaceCommand(const Config& config, const std::vector<cluster::Member>& members, MemberId id) {
  std::vector<std::string> endpoints;
  for (const cluster::Member& m : members) {
    if (m.id != id && m.name != config.name) {
      endpoints.insert(endpoints.end(), m.client_urls.begin(), m.client_urls.end());
    }
  }
  return fmt::format("tenonutl member replace --endpoints {} --data-dir {}{} {}",
                     endpoints.empty() ? "CLIENT-URLS-OF-THE-OTHERS" : fmt::format("{}", fmt::join(endpoints, ",")),
                     config.data_dir, config.wal_dir.empty() ? "" : fmt::format(" --wal-dir {}", config.wal_dir),
                     id == 0 ? fmt::format("--name {}", config.name) : fmt::format("--id {:x}", id));
}

// Who lost its log has lost its votes too, and would give them twice: it never comes back under its id.
Status AlreadyBootstrapped(const Config& config, const Remote& remote, MemberId id) {
  return absl::FailedPreconditionError(
      fmt::format("member {:x} has already been bootstrapped: its log is lost or elsewhere, and its votes with it, so "
                  "that it never votes again. Replace it by a new member: {}",
                  id, ReplaceCommand(config, remote.members, id)));
}

// The same, if something of the log is there.
Status LogIsLost(const Config& config, Disk& disk, Peers& peers, const Status& why) {
  std::vector<cluster::Member> members;
  if (std::optional<Remote> remote = AskOthers(config, peers)) members = std::move(remote->members);
  const auto self = std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.name == config.name; });
  // Not by itself, then, but shorter than what was applied.
  const bool reads = wal::Wal::Read(disk, DataDir::WalOf(config.data_dir, config.wal_dir)).ok();
  return Status(why.code(),
                ToAbsl(fmt::format("{}. Of several members this one never votes or acknowledges again: replace it by a "
                                   "new member: {}{}. The only one is restored from a backup",
                                   Message(why), ReplaceCommand(config, members, self == members.end() ? 0 : self->id),
                                   reads ? " --log-is-damaged" : "")));
}

Result<Member::Join> JoinExisting(const Config& config, Peers& peers) {
  const std::optional<Remote> remote = AskOthers(config, peers);
  if (!remote) return NobodyAnswers();
  RETURN_IF_ERROR(CheckCompatible(peers, remote->url));
  if (remote->members.size() != config.initial_members.size()) {
    return absl::FailedPreconditionError(fmt::format(
        "error validating peerURLs: member count is unequal: the cluster has {} members, initial-cluster names {}",
        remote->members.size(), config.initial_members.size()));
  }
  Member::Join join{remote->cluster_id, 0, remote->members};
  for (const Config::InitialMember& m : config.initial_members) {
    const auto same = std::find_if(remote->members.begin(), remote->members.end(), [&](const cluster::Member& other) {
      return Sorted(other.peer_urls) == Sorted(m.peer_urls);
    });
    if (same == remote->members.end()) {
      return absl::FailedPreconditionError(
          fmt::format("error validating peerURLs: unmatched member while checking PeerURLs: the cluster has none at "
                      "{}; add it with "
                      "etcdctl member add first",
                      fmt::join(m.peer_urls, ",")));
    }
    if (m.name != config.name) continue;
    if (!same->client_urls.empty()) return AlreadyBootstrapped(config, *remote, same->id);
    join.self = same->id;
  }
  return join;
}

// As the member that `tenonutl member replace` had added in this one's place; `ran`: it has begun to.
Result<Member::Join> JoinInstead(const Config& config, Peers& peers, const Replacement& replacement, bool ran) {
  Member::Join join{replacement.cluster_id, replacement.member, {}};
  std::optional<Remote> remote = AskAt(peers, replacement.others);
  if (replacement.member == 0) {
    return absl::FailedPreconditionError(
        fmt::format("member {:x} is being replaced, and that is not finished: run this again: {}", replacement.former,
                    ReplaceCommand(config, remote ? remote->members : Remote().members, replacement.former)));
  }
  if (ran) {
    if (remote) join.members = std::move(remote->members);  // its log may not know them yet
    return join;
  }
  if (!remote) return NobodyAnswers();
  RETURN_IF_ERROR(CheckCompatible(peers, remote->url));
  const auto self = std::find_if(remote->members.begin(), remote->members.end(),
                                 [&](const cluster::Member& m) { return m.id == replacement.member; });
  if (remote->cluster_id != replacement.cluster_id || self == remote->members.end()) {
    return absl::FailedPreconditionError(fmt::format(
        "member {:x}, which was to replace {:x} here, is none of cluster {:x}: run this again: {}", replacement.member,
        replacement.former, remote->cluster_id, ReplaceCommand(config, remote->members, replacement.former)));
  }
  if (!self->client_urls.empty()) return AlreadyBootstrapped(config, *remote, self->id);
  join.members = std::move(remote->members);
  return join;
}

// Who lost its disk must not come back as if it had never voted.
Status CheckNotBootstrapped(const Config& config, Peers& peers, const std::vector<cluster::Founder>& founders) {
  const std::optional<Remote> remote = AskOthers(config, peers);
  if (!remote) return Ok();  // we are among the first
  const std::vector<cluster::Member> founding = cluster::FoundingMembers(founders, config.initial_cluster_token);
  std::vector<MemberId> ids;
  for (const cluster::Member& m : founding) ids.push_back(m.id);
  const bool same_cluster = remote->cluster_id == cluster::ComputeClusterId(ids);
  for (const cluster::Member& self : founding) {
    if (self.name != config.name) continue;
    for (const cluster::Member& m : remote->members) {
      // Under another id: it replaced the founder.
      if (m.id != self.id && Sorted(m.peer_urls) != self.peer_urls) continue;
      if (!m.client_urls.empty()) return AlreadyBootstrapped(config, *remote, m.id);
      if (m.id == self.id || !same_cluster) continue;
      return absl::FailedPreconditionError(
          fmt::format("the cluster knows the member here as {:x}, which is none of its founders: start it with "
                      "--initial-cluster-state=existing",
                      m.id));
    }
  }
  return Ok();
}

}  // namespace

Status PrepareWithoutState(const Config& config, Disk& disk, Peers& peers, const Status& why,
                           const std::function<bool()>& interrupted, Member::Options& options) {
  if (Member::IsOfLog(why)) return LogIsLost(config, disk, peers, why);
  const Result<bool> log = Member::LogOutlivesState(disk, options);
  if (absl::IsDataLoss(log.status())) return LogIsLost(config, disk, peers, log.status());
  if (!log.ok() || !*log) return why;
  if (config.initial_members.size() < 2) {
    return absl::DataLossError(fmt::format(
        "{}; the log is whole: with the other members in initial-cluster the state would be fetched from them",
        Message(why)));
  }
  LOG_ERROR("the state on disk is of no use, but the log is whole: asking the other members for theirs",
            {"error", why});
  for (;;) {
    if (std::optional<Remote> remote = AskOthers(config, peers)) {
      options.state_lost = std::move(remote->members);
      return Ok();
    }
    if (interrupted && interrupted()) return absl::CancelledError("stopped before another member answered");
    std::this_thread::sleep_for(kAskAgain);
  }
}

Status PrepareFirstStart(const Config& config, Disk& disk, Peers* peers, Member::Options& options) {
  for (const Config::InitialMember& m : config.initial_members) options.founders.push_back({m.name, m.peer_urls});
  ASSIGN_OR_RETURN(const std::optional<Replacement> replacement, Replacement::Read(disk, options.data_dir));
  const Result<bool> ran = wal::Wal::Began(disk, DataDir::WalOf(options.data_dir, options.wal_dir));
  if (absl::IsDataLoss(ran.status()) && peers != nullptr) return LogIsLost(config, disk, *peers, ran.status());
  RETURN_IF_ERROR(ran);
  if (peers == nullptr) return Ok();
  if (replacement) {
    ASSIGN_OR_RETURN(options.join, JoinInstead(config, *peers, *replacement, *ran));
    return Ok();
  }
  if (*ran) return Ok();
  if (config.initial_cluster_state == "existing") {
    ASSIGN_OR_RETURN(options.join, JoinExisting(config, *peers));
    return Ok();
  }
  if (config.initial_members.size() == 1) return Ok();
  return CheckNotBootstrapped(config, *peers, options.founders);
}

}  // namespace tenon
