#include "kernel/cluster/member_change.h"

#include <nlohmann/json.hpp>

#include "proto/raft.pb.h"

namespace tenon::cluster {
namespace {

nlohmann::ordered_json JsonOf(const Member& m) {
  nlohmann::ordered_json json;
  json["id"] = m.id;
  json["peerURLs"] = m.peer_urls;
  if (m.learner) json["isLearner"] = true;
  if (!m.name.empty()) json["name"] = m.name;
  if (!m.client_urls.empty()) json["clientURLs"] = m.client_urls;
  return json;
}

// A name may be any bytes: what is no text is replaced, as in etcd.
std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<Member> MemberOf(const nlohmann::json& json) {
  Member m;
  try {
    m.id = json.at("id").get<uint64_t>();
    // Of a member that is promoted or updated not all is said, and Go writes no list as null.
    if (const auto urls = json.find("peerURLs"); urls != json.end() && !urls->is_null()) {
      m.peer_urls = urls->get<std::vector<std::string>>();
    }
    m.learner = json.value("isLearner", false);
    m.name = json.value("name", "");
    if (json.contains("clientURLs")) m.client_urls = json.at("clientURLs").get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception& e) {
    return absl::InvalidArgumentError(fmt::format("cluster: not a member's record: {}", e.what()));
  }
  return m;
}

}  // namespace

std::string ToJson(const Member& member) { return Dump(JsonOf(member)); }

Result<Member> FromJson(std::string_view text) {
  return MemberOf(nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false));
}

etcdserverpb::Member ToProto(const Member& member) {
  etcdserverpb::Member out;
  out.set_id(member.id);
  out.set_name(member.name);
  out.mutable_peerurls()->Assign(member.peer_urls.begin(), member.peer_urls.end());
  out.mutable_clienturls()->Assign(member.client_urls.begin(), member.client_urls.end());
  out.set_islearner(member.learner);
  return out;
}

Member FromProto(const etcdserverpb::Member& member) {
  return {member.id(), member.name(), {member.peerurls().begin(), member.peerurls().end()},
          {member.clienturls().begin(), member.clienturls().end()}, member.islearner()};
}

std::string ToJson(const raft::ConfState& conf) {
  nlohmann::ordered_json json;
  const auto add = [&](const char* key, const std::vector<MemberId>& ids) {
    if (!ids.empty()) json[key] = ids;
  };
  add("voters", conf.voters);
  add("learners", conf.learners);
  add("voters_outgoing", conf.voters_outgoing);
  add("learners_next", conf.learners_next);
  json["auto_leave"] = conf.auto_leave;
  return Dump(json);
}

Result<raft::ConfState> ConfStateFromJson(std::string_view text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  raft::ConfState conf;
  try {
    using Ids = std::vector<MemberId>;
    conf.voters = json.value("voters", Ids());
    conf.learners = json.value("learners", Ids());
    conf.voters_outgoing = json.value("voters_outgoing", Ids());
    conf.learners_next = json.value("learners_next", Ids());
    conf.auto_leave = json.value("auto_leave", false);
  } catch (const nlohmann::json::exception& e) {
    return absl::DataLossError(fmt::format("store: row confState of table meta: {}", e.what()));
  }
  return raft::Sorted(std::move(conf));
}

std::string Encode(const MemberChange& change) {
  raftpb::ConfChange out;
  out.set_id(change.request_id);
  out.set_type(static_cast<raftpb::ConfChangeType>(change.type));
  out.set_node_id(change.member.id);
  if (change.type != raft::ConfChangeType::kRemoveNode) {
    nlohmann::ordered_json context = JsonOf(change.member);
    if (change.promote) context["isPromote"] = true;
    out.set_context(Dump(context));
  }
  return out.SerializeAsString();
}

Result<MemberChange> DecodeMemberChange(std::string_view bytes) {
  raftpb::ConfChange in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("not a change of members");
  }
  MemberChange change;
  change.request_id = in.id();
  change.type = static_cast<raft::ConfChangeType>(in.type());
  if (change.type != raft::ConfChangeType::kRemoveNode) {
    const nlohmann::json context = nlohmann::json::parse(in.context(), nullptr, /*allow_exceptions=*/false);
    Result<Member> member = MemberOf(context);
    if (!member.ok()) return Status(StatusCode::kDataLoss, ToAbsl(Message(member.status())));
    change.member = *std::move(member);
    change.promote = context.value("isPromote", false);
  }
  change.member.id = in.node_id();
  return change;
}

}  // namespace tenon::cluster
