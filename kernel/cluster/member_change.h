// A change of the members as an entry of the log carries it: raftpb.ConfChange, whose context is the member in JSON.
// Source: etcd server/etcdserver/api/membership (Member, ConfigChangeContext).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/base/status.h"
#include "kernel/raft/conf_change.h"
#include "proto/rpc.pb.h"

namespace tenon::cluster {

struct Member {
  MemberId id = 0;
  std::string name;  // empty: it never started
  std::vector<std::string> peer_urls, client_urls;
  bool learner = false;
};

// JSON with etcd's keys, as a row of the table members holds it.
std::string ToJson(const Member& member);
Result<Member> FromJson(std::string_view json);  // InvalidArgument

etcdserverpb::Member ToProto(const Member& member);
Member FromProto(const etcdserverpb::Member& member);

// The row confState of the table meta.
std::string ToJson(const raft::ConfState& conf);
Result<raft::ConfState> ConfStateFromJson(std::string_view json);  // DataLoss

struct MemberChange {
  uint64_t request_id = 0;
  raft::ConfChangeType type = raft::ConfChangeType::kAddNode;
  Member member;         // kRemoveNode: the id alone
  bool promote = false;  // kAddNode: of a learner that is there already

  raft::ConfChange ForRaft() const { return raft::ConfChange::Single(type, member.id); }
};

std::string Encode(const MemberChange& change);
Result<MemberChange> DecodeMemberChange(std::string_view bytes);  // DataLoss

}  // namespace tenon::cluster
