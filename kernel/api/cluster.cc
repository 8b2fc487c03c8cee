// Cluster: MemberList; the changes of membership come with clusters of several members.
#include <algorithm>

#include "kernel/api/server.h"
#include "kernel/base/errors.h"
#include "kernel/config/options.h"

namespace tenon::api {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

void AnswerMembers(Server& server, Responder respond) {
  MemberListResponse r;
  server.FillCluster(r.mutable_header());
  for (const cluster::Member& m : server.membership.List()) {
    Member& out = *r.add_members();
    out.set_id(m.id);
    out.set_name(m.name);
    for (const std::string& url : m.peer_urls) out.add_peerurls(url);
    for (const std::string& url : m.client_urls) out.add_clienturls(url);
    out.set_islearner(m.learner);
  }
  respond.Ok(r);
}

void HandleMemberList(Server& server, std::string_view bytes, Responder respond) {
  MemberListRequest request;
  if (!Parse(bytes, request, respond)) return;
  if (!request.linearizable()) return AnswerMembers(server, std::move(respond));
  server.node.ReadBarrier([&server, respond = std::move(respond)](const Status& status) mutable {
    if (!status.ok()) return respond.Error(status);
    AnswerMembers(server, std::move(respond));
  });
}

// ---- changes: what can be refused is refused with etcd's words; a change itself needs a cluster of several ----

bool Knows(const Server& server, MemberId id) {
  const std::vector<cluster::Member> members = server.membership.List();
  return std::any_of(members.begin(), members.end(), [&](const cluster::Member& m) { return m.id == id; });
}

void NotBuilt(std::string_view method, Responder& respond) {
  respond.Error(absl::UnimplementedError(
      fmt::format("etcdserverpb.Cluster/{}: this version of Tenon runs clusters of one member", method)));
}

bool AreUrls(const google::protobuf::RepeatedPtrField<std::string>& urls) {
  return !urls.empty() &&
         std::all_of(urls.begin(), urls.end(), [](const std::string& text) { return ParseUrl(text).ok(); });
}

void HandleMemberAdd(Server& server, std::string_view bytes, Responder respond) {
  MemberAddRequest request;
  if (!ParseText(bytes, request, respond)) return;
  if (!AreUrls(request.peerurls())) return respond.Error(errors::BadPeerUrls());
  for (const cluster::Member& m : server.membership.List()) {
    for (const std::string& url : m.peer_urls) {
      const auto& asked = request.peerurls();
      if (std::find(asked.begin(), asked.end(), url) != asked.end()) return respond.Error(errors::PeerUrlExists());
    }
  }
  NotBuilt("MemberAdd", respond);
}

void HandleMemberRemove(Server& server, std::string_view bytes, Responder respond) {
  MemberRemoveRequest request;
  if (!Parse(bytes, request, respond)) return;
  if (!Knows(server, request.id())) return respond.Error(errors::MemberNotFound());
  NotBuilt("MemberRemove", respond);
}

void HandleMemberUpdate(Server& server, std::string_view bytes, Responder respond) {
  MemberUpdateRequest request;
  if (!ParseText(bytes, request, respond)) return;
  if (!Knows(server, request.id())) return respond.Error(errors::MemberNotFound());
  NotBuilt("MemberUpdate", respond);
}

void HandleMemberPromote(Server& server, std::string_view bytes, Responder respond) {
  MemberPromoteRequest request;
  if (!Parse(bytes, request, respond)) return;
  respond.Error(Knows(server, request.id()) ? errors::NotLearner() : errors::MemberNotFound());
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
}

}  // namespace tenon::api
