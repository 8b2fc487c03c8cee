// Cluster: MemberList, MemberAdd, MemberRemove, MemberUpdate, MemberPromote.
// Source: etcd server/etcdserver/server.go (AddMember ... mayPromoteMember), api/v3rpc/member.go.
#include <algorithm>

#include "kernel/api/server.h"
#include "kernel/base/errors.h"
#include "kernel/config/options.h"

namespace tenon::api {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

// Who was heard of for so long counts as healthy.
constexpr uint64_t kHealthNs = 5'000'000'000;
// A learner that has so much of the leader's log may vote.
constexpr double kReadyShare = 0.9;

template <class Response>
void AnswerMembers(Server& server, Responder& respond, Response r) {
  server.FillCluster(r.mutable_header());
  for (const cluster::Member& m : server.membership.List()) *r.add_members() = cluster::ToProto(m);
  respond.Ok(r);
}

void HandleMemberList(Server& server, std::string_view bytes, Responder respond) {
  MemberListRequest request;
  if (!Parse(bytes, request, respond)) return;
  if (!request.linearizable()) return AnswerMembers(server, respond, MemberListResponse());
  server.node.ReadBarrier([&server, respond = std::move(respond)](const Status& status) mutable {
    if (!status.ok()) return respond.Error(status);
    AnswerMembers(server, respond, MemberListResponse());
  });
}

// ---- may it be? (--strict-reconfig-check) ----

size_t HeardOfFor(const Server& server, const std::vector<cluster::Member>& members, uint64_t ns) {
  const uint64_t now = server.clock.MonoNs();
  return static_cast<size_t>(std::count_if(members.begin(), members.end(), [&](const cluster::Member& m) {
    if (m.id == server.membership.self()) return true;
    const uint64_t since = server.peers->ActiveSinceNs(m.id);
    return since != 0 && since + ns <= now;
  }));
}

Status MayAdd(const Server& server, const cluster::Member& member) {
  if (!server.strict_reconfig) return Ok();
  if (!member.learner && !server.membership.IsReadyToAddVoter()) return errors::NotEnoughStartedMembers();
  const std::vector<cluster::Member> voters = server.membership.Voters();
  return HeardOfFor(server, voters, kHealthNs) < voters.size() ? errors::Unhealthy() : Ok();
}

Status MayRemove(const Server& server, MemberId id) {
  if (!server.strict_reconfig) return Ok();
  const std::optional<cluster::Member> member = server.membership.Find(id);
  if (member && member->learner) return Ok();
  if (!server.membership.IsReadyToRemove(id)) return errors::NotEnoughStartedMembers();
  // Who is down is no part of the quorum that works.
  if (id != server.membership.self() && server.peers->ActiveSinceNs(id) == 0) return Ok();
  const std::vector<cluster::Member> voters = server.membership.Voters();
  const size_t left = HeardOfFor(server, voters, kHealthNs) - 1;
  return left < 1 + (voters.size() - 1) / 2 ? errors::Unhealthy() : Ok();
}

// ---- changes ----

// Without a peer module nobody could ever be reached.
bool HasPeers(const Server& server, Responder& respond) {
  if (server.peers != nullptr) return true;
  respond.Error(absl::UnimplementedError(
      "etcdserverpb.Cluster: no peer module is configured: add \"peer: { use: h2 }\" under modules"));
  return false;
}

template <class Response>
void Change(Server& server, cluster::MemberChange change, Responder respond, Response response) {
  server.change_members(std::move(change), [&server, respond = std::move(respond),
                                            response = std::move(response)](const Status& status) mutable {
    if (!status.ok()) return respond.Error(status);
    AnswerMembers(server, respond, std::move(response));
  });
}

bool AreUrls(const google::protobuf::RepeatedPtrField<std::string>& urls) {
  return !urls.empty() &&
         std::all_of(urls.begin(), urls.end(), [](const std::string& text) { return ParseUrl(text).ok(); });
}

void HandleMemberAdd(Server& server, std::string_view bytes, Responder respond) {
  MemberAddRequest request;
  if (!ParseText(bytes, request, respond)) return;
  if (!AreUrls(request.peerurls())) return respond.Error(errors::BadPeerUrls());
  cluster::Member member;
  member.peer_urls.assign(request.peerurls().begin(), request.peerurls().end());
  std::sort(member.peer_urls.begin(), member.peer_urls.end());
  member.learner = request.islearner();
  // As in etcd the time goes into the id: the same addresses may be added again after they were removed.
  member.id = cluster::ComputeMemberId(member.peer_urls, std::to_string(server.clock.WallNs()));
  cluster::MemberChange change;
  change.type = member.learner ? raft::ConfChangeType::kAddLearnerNode : raft::ConfChangeType::kAddNode;
  change.member = member;
  if (const Status fits = server.membership.Validate(change); !fits.ok()) return respond.Error(fits);
  if (!HasPeers(server, respond)) return;
  if (const Status may = MayAdd(server, member); !may.ok()) return respond.Error(may);
  MemberAddResponse response;
  *response.mutable_member() = cluster::ToProto(member);
  Change(server, std::move(change), std::move(respond), std::move(response));
}

void HandleMemberRemove(Server& server, std::string_view bytes, Responder respond) {
  MemberRemoveRequest request;
  if (!Parse(bytes, request, respond)) return;
  cluster::MemberChange change;
  change.type = raft::ConfChangeType::kRemoveNode;
  change.member.id = request.id();
  if (const Status fits = server.membership.Validate(change); !fits.ok()) return respond.Error(fits);
  if (!HasPeers(server, respond)) return;
  if (const Status may = MayRemove(server, request.id()); !may.ok()) return respond.Error(may);
  Change(server, std::move(change), std::move(respond), MemberRemoveResponse());
}

void HandleMemberUpdate(Server& server, std::string_view bytes, Responder respond) {
  MemberUpdateRequest request;
  if (!ParseText(bytes, request, respond)) return;
  cluster::MemberChange change;
  change.type = raft::ConfChangeType::kUpdateNode;
  change.member.id = request.id();
  change.member.peer_urls.assign(request.peerurls().begin(), request.peerurls().end());
  if (const Status fits = server.membership.Validate(change); !fits.ok()) return respond.Error(fits);
  if (!AreUrls(request.peerurls())) return respond.Error(errors::BadPeerUrls());
  Change(server, std::move(change), std::move(respond), MemberUpdateResponse());
}

// Only the leader knows how much of its log the learner has.
void PromoteAsLeader(Server& server, MemberId id, absl::AnyInvocable<void(Status)> done) {
  server.node.ReachOf(id, [&server, id, done = std::move(done)](Result<node::Node::Reach> reach) mutable {
    if (!reach.ok()) return done(reach.status());
    if (!reach->learner) return done(errors::NotLearner());
    if (static_cast<double>(reach->match.value) < kReadyShare * static_cast<double>(reach->leader_match.value)) {
      return done(errors::LearnerNotReady());
    }
    if (server.strict_reconfig && !server.membership.IsReadyToPromote(id)) {
      return done(errors::NotEnoughStartedMembers());
    }
    cluster::MemberChange change;
    change.member.id = id;
    change.promote = true;
    server.change_members(std::move(change), std::move(done));
  });
}

void HandleMemberPromote(Server& server, std::string_view bytes, Responder respond) {
  MemberPromoteRequest request;
  if (!Parse(bytes, request, respond)) return;
  PromoteAsLeader(server, request.id(), [&server, request, respond = std::move(respond)](const Status& status) mutable {
    if (status.ok()) return AnswerMembers(server, respond, MemberPromoteResponse());
    if (status != errors::NotLeader()) return respond.Error(status);
    AskLeader(server, "Promote", request.SerializeAsString(),
              [respond = std::move(respond)](const Status& status, std::string answer) mutable {
                if (!status.ok()) return respond.Error(status);
                BufsBuilder out;
                out.Append(answer);
                respond.Ok(out.Take());
              });
  });
}

void AnswerPromote(Server& server, const std::string& bytes, PeerHandler::Done done) {
  MemberPromoteRequest request;
  if (!request.ParseFromString(bytes)) return done(absl::InvalidArgumentError("not a MemberPromoteRequest"), {});
  PromoteAsLeader(server, request.id(), [&server, done = std::move(done)](Status status) mutable {
    MemberPromoteResponse response;
    server.FillCluster(response.mutable_header());
    for (const cluster::Member& m : server.membership.List()) *response.add_members() = cluster::ToProto(m);
    done(std::move(status), response.SerializeAsString());
  });
}

}  // namespace

void RegisterCluster(Dispatcher& d, Server& server) {
  const auto add = [&](const char* method, void (*handler)(Server&, std::string_view, Responder)) {
    d.AddUnary(fmt::format("/etcdserverpb.Cluster/{}", method),
               [&server, handler](std::string_view request, Responder respond) {
                 handler(server, request, std::move(respond));
               });
  };
  add("MemberList", HandleMemberList);
  add("MemberAdd", HandleMemberAdd);
  add("MemberRemove", HandleMemberRemove);
  add("MemberUpdate", HandleMemberUpdate);
  add("MemberPromote", HandleMemberPromote);
  if (server.peer_desk == nullptr) return;
  server.peer_desk->Add("Promote", [&server](const PeerSender&, std::string request, PeerHandler::Done done) {
    AnswerPromote(server, request, std::move(done));
  });
}

}  // namespace tenon::api
