#include "kernel/first_start.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <optional>
#include <thread>

#include "kernel/base/log.h"
#include "kernel/cluster/founding.h"
#include "kernel/cluster/version.h"
#include "kernel/wal/wal.h"
#include "proto/peer.pb.h"
#include "proto/rpc.pb.h"

namespace tenon {
namespace {

constexpr uint64_t kAskNs = 1'000'000'000;
constexpr auto kAskAgain = std::chrono::seconds(1);

struct Remote {
  std::string url;  // where it answered
  uint64_t cluster_id;
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

// The first of the others that answers and knows of any member.
std::optional<Remote> AskOthers(const Config& config, Peers& peers) {
  for (const Config::InitialMember& m : config.initial_members) {
    if (m.name == config.name) continue;
    for (const std::string& url : m.peer_urls) {
      Result<Remote> remote = AskMembers(peers, url);
      if (remote.ok() && !remote->members.empty()) return *std::move(remote);
      LOG_INFO("cannot get the cluster from a peer", {"peer-url", url},
               {"error", remote.ok() ? Status(StatusCode::kUnavailable, "it has not started yet") : remote.status()});
    }
  }
  return std::nullopt;
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

// Who lost its log has lost its votes too, and would give them twice: it never comes back under its id.
Status AlreadyBootstrapped(MemberId id) {
  return absl::FailedPreconditionError(
      fmt::format("member {:x} has already been bootstrapped: its data directory is lost or elsewhere; remove the "
                  "member, add it again, and start it with --initial-cluster-state=existing",
                  id));
}

Result<Member::Join> JoinExisting(const Config& config, Peers& peers) {
  const std::optional<Remote> remote = AskOthers(config, peers);
  if (!remote) {
    return absl::UnavailableError(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from "
        "the given URLs");
  }
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
    if (!same->client_urls.empty()) return AlreadyBootstrapped(same->id);
    join.self = same->id;
  }
  return join;
}

// Who lost its disk must not come back as if it had never voted.
Status CheckNotBootstrapped(const Config& config, Peers& peers, const std::vector<cluster::Founder>& founders) {
  const std::optional<Remote> remote = AskOthers(config, peers);
  if (!remote) return Ok();  // we are among the first
  for (const cluster::Member& self : cluster::FoundingMembers(founders, config.initial_cluster_token)) {
    if (self.name != config.name) continue;
    for (const cluster::Member& m : remote->members) {
      if (m.id != self.id || m.client_urls.empty()) continue;
      return AlreadyBootstrapped(self.id);
    }
  }
  return Ok();
}

}  // namespace

Status PrepareWithoutState(const Config& config, Disk& disk, Peers& peers, const Status& why,
                           const std::function<bool()>& interrupted, Member::Options& options) {
  const Result<bool> log = Member::LogOutlivesState(disk, options);
  if (!log.ok() || !*log) return why;  // what is wrong with the log, if anything, is what it says
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
  const std::string wal = options.wal_dir.empty() ? options.data_dir + "/member/wal" : options.wal_dir;
  ASSIGN_OR_RETURN(const bool ran, wal::Wal::Began(disk, wal));
  if (ran || peers == nullptr) return Ok();
  if (config.initial_cluster_state == "existing") {
    ASSIGN_OR_RETURN(options.join, JoinExisting(config, *peers));
    return Ok();
  }
  if (config.initial_members.size() == 1) return Ok();
  return CheckNotBootstrapped(config, *peers, options.founders);
}

}  // namespace tenon
