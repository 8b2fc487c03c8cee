#include "kernel/node/version_watch.h"

#include "kernel/base/log.h"
#include "kernel/cluster/version.h"
#include "proto/peer.pb.h"

namespace tenon::node {

std::string VersionWatch::Answer() const {
  tenonpb::VersionResponse response;
  response.set_server(ToString(p_.membership.server_version()));
  if (const std::optional<Version> cluster = p_.membership.version()) response.set_cluster(ToString(*cluster));
  return response.SerializeAsString();
}

void VersionWatch::Start() {
  if (stopped_) return;
  p_.executor.PostAfter(kLookNs, [this] { Start(); });
  const MemberId self = p_.membership.self();
  if (p_.node.state().leader != self) return;
  auto round = std::make_shared<Round>(Round{0, {p_.membership.server_version()}});
  for (const cluster::Member& m : p_.membership.List()) {
    if (m.id == self) continue;
    round->waiting++;
    const size_t slot = round->members.size();
    round->members.emplace_back();
    p_.peers->Call(m.id, {}, "Version", {}, kAnswerNs, [this, round, slot](const Status& status, std::string answer) {
      p_.executor.Post([this, round, slot, ok = status.ok(), answer = std::move(answer)] {
        tenonpb::VersionResponse response;
        if (ok && response.ParseFromString(answer)) round->members[slot] = ParseVersion(response.server());
        if (--round->waiting == 0) Decide(*round);
      });
    });
  }
  if (round->waiting == 0) Decide(*round);
}

void VersionWatch::Decide(const Round& round) {
  const std::optional<Version> version = cluster::DecideVersion(p_.membership.version(), round.members);
  if (stopped_ || !version) return;
  LOG_INFO("raising the version of the cluster: all members have it", {"to", ToString(*version)});
  membershippb::ClusterVersionSetRequest request;
  request.set_ver(ToString(*version));
  // Lost with its leader, it is proposed again at the next look.
  p_.node.Propose(apply::MakeProposal(p_.ids.Next(), apply::Field::kClusterVersionSet, request));
}

}  // namespace tenon::node
