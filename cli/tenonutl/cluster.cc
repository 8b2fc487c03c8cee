#include "cli/tenonutl/cluster.h"

#include <algorithm>

#include "cli/plugin_check/client.h"
#include "kernel/base/errors.h"
#include "proto/rpc.pb.h"

namespace tenon::utl {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

// "HOST:PORT" or "unix:PATH" of an endpoint as etcdctl takes them. This is where TLS comes in.
Result<std::string> TargetOf(std::string_view endpoint) {
  for (const std::string_view scheme : {"https://", "unixs:"}) {
    if (!endpoint.starts_with(scheme)) continue;
    return absl::InvalidArgumentError(fmt::format("{}: this version of Tenon speaks no TLS", endpoint));
  }
  if (endpoint.starts_with("unix:")) return std::string(endpoint);
  if (endpoint.starts_with("http://")) endpoint.remove_prefix(7);
  const size_t colon = endpoint.rfind(':');
  const std::string_view port = colon == endpoint.npos ? "" : endpoint.substr(colon + 1);
  if (colon == 0 || port.empty() || endpoint.find('/') != endpoint.npos ||
      !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return absl::InvalidArgumentError(fmt::format("\"{}\" is no endpoint: write http://HOST:PORT", endpoint));
  }
  return std::string(endpoint);
}

struct Answer {
  Status status;
  std::string bytes;
  bool connected = false;  // else nothing was done for sure
};

Answer Call(const std::string& endpoint, std::string_view method, const std::string& request,
            std::chrono::milliseconds patience) {
  const Result<std::string> target = TargetOf(endpoint);
  if (!target.ok()) return {target.status(), {}, false};
  plugin_check::Client client(*target, {.connect_limit = patience});
  if (!client.connected()) return {absl::UnavailableError(fmt::format("{}: cannot connect", endpoint)), {}, false};
  plugin_check::Call& call = client.Unary(method, request, {{"grpc-timeout", fmt::format("{}m", patience.count())}});
  if (!client.Until([&] { return call.closed; }, patience)) {
    return {absl::UnavailableError(fmt::format("{}: no answer", endpoint)), {}, true};
  }
  if (call.status < 0) {
    return {absl::UnavailableError(fmt::format("{}: answers, but not as a server of etcd's API", endpoint)), {}, true};
  }
  if (call.status > 0) return {Status(static_cast<StatusCode>(call.status), ToAbsl(call.text)), {}, true};
  if (call.messages.size() != 1) return {absl::InternalError(fmt::format("{}: no message", endpoint)), {}, true};
  return {Ok(), std::move(call.messages.front()), true};
}

bool IsPassing(const Status& status) { return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status); }

}  // namespace

const cluster::Member* Cluster::View::Find(MemberId id) const {
  const auto at = std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.id == id; });
  return at == members.end() ? nullptr : &*at;
}

Status RemoteCluster::Check(const std::vector<std::string>& endpoints) {
  for (const std::string& endpoint : endpoints) RETURN_IF_ERROR(TargetOf(endpoint));
  return Ok();
}

Result<std::string> RemoteCluster::Ask(std::string_view method, const std::string& request, bool changes) {
  Status first;
  for (size_t i = 0; i < endpoints_.size(); i++, at_ = (at_ + 1) % endpoints_.size()) {
    Answer answer = Call(endpoints_[at_], method, request, patience_);
    if (answer.status.ok()) return std::move(answer.bytes);
    const bool next = answer.status == errors::NotSupportedForLearner() || !answer.connected ||
                      (!changes && IsPassing(answer.status));
    if (!next) return answer.status;
    if (first.ok() || !IsPassing(first)) first = answer.status;
  }
  return first;
}

Result<Cluster::View> RemoteCluster::Members() {
  MemberListRequest request;
  request.set_linearizable(true);
  ASSIGN_OR_RETURN(const std::string bytes,
                   Ask("/etcdserverpb.Cluster/MemberList", request.SerializeAsString(), /*changes=*/false));
  MemberListResponse response;
  if (!response.ParseFromString(bytes)) return absl::InternalError("MemberList: not a MemberListResponse");
  View view{response.header().cluster_id(), {}};
  for (const Member& member : response.members()) view.members.push_back(cluster::FromProto(member));
  return view;
}

Status RemoteCluster::Remove(MemberId id) {
  MemberRemoveRequest request;
  request.set_id(id);
  return Ask("/etcdserverpb.Cluster/MemberRemove", request.SerializeAsString(), /*changes=*/true).status();
}

Status RemoteCluster::AddLearner(const std::vector<std::string>& peer_urls) {
  MemberAddRequest request;
  for (const std::string& url : peer_urls) request.add_peerurls(url);
  request.set_islearner(true);
  return Ask("/etcdserverpb.Cluster/MemberAdd", request.SerializeAsString(), /*changes=*/true).status();
}

Status RemoteCluster::Promote(MemberId id) {
  MemberPromoteRequest request;
  request.set_id(id);
  return Ask("/etcdserverpb.Cluster/MemberPromote", request.SerializeAsString(), /*changes=*/true).status();
}

Result<MemberId> RemoteCluster::WhoServes(const std::vector<std::string>& client_urls) {
  Status first = absl::UnavailableError("it has no client URLs");
  for (size_t i = 0; i < client_urls.size(); i++) {
    const Answer answer = Call(client_urls[i], "/etcdserverpb.Maintenance/Status", {}, patience_);
    StatusResponse response;
    if (answer.status.ok() && response.ParseFromString(answer.bytes)) {
      return response.leader() == 0 ? 0 : response.header().member_id();
    }
    if (i == 0) first = answer.status;
  }
  return first;
}

}  // namespace tenon::utl
