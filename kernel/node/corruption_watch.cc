#include "kernel/node/corruption_watch.h"

#include "kernel/base/log.h"
#include "proto/peer.pb.h"

namespace tenon::node {

void CorruptionWatch::Start() {
  p_.executor.PostAfter(kLookNs, [this] { Look(); });
}

std::string CorruptionWatch::Answer() const {
  tenonpb::StateHashResponse response;
  if (const auto mark = p_.applier.state_hash().Newest(p_.applier.applied())) {
    response.set_index(mark->index.value);
    response.set_hash(mark->hash);
  }
  return response.SerializeAsString();
}

void CorruptionWatch::Look() {
  if (stopped_) return;
  Start();
  const MemberId self = p_.membership.self();
  if (p_.node.state().leader != self) return;
  const std::vector<cluster::Member> members = p_.membership.List();
  auto round = std::make_shared<Round>(Round{members.size() - 1, members.size(), {}, 1});
  for (const cluster::Member& m : members) {
    if (m.id == self) continue;
    p_.peers.Call(
        m.id, {}, "StateHash", {}, kLookNs, [this, round, id = m.id](const Status& status, std::string answer) {
          p_.executor.Post([this, round, id, status, answer = std::move(answer)] { Take(round, id, status, answer); });
        });
  }
}

void CorruptionWatch::Take(const std::shared_ptr<Round>& round, MemberId from, const Status& status,
                           const std::string& answer) {
  tenonpb::StateHashResponse response;
  if (status.ok() && response.ParseFromString(answer)) {
    // What we have not applied yet, or long ago, is compared another time.
    if (const auto ours = p_.applier.state_hash().At(Index(response.index()))) {
      *ours == response.hash() ? void(round->agree++) : void(round->differ.emplace(from, response.index()));
    }
  }
  if (--round->waiting == 0 && !stopped_) Judge(*round);
}

void CorruptionWatch::Judge(const Round& round) {
  if (round.differ.empty()) return;
  const bool leader_is_odd = round.differ.size() > round.members / 2;
  if (leader_is_odd) return Raise(p_.membership.self(), round.differ.begin()->second);
  for (const auto& [id, index] : round.differ) Raise(id, index);
}

void CorruptionWatch::Raise(MemberId damaged, Index at) {
  for (const etcdserverpb::AlarmMember& alarm : p_.alarms.List(etcdserverpb::CORRUPT)) {
    if (alarm.memberid() == damaged) return;
  }
  LOG_ERROR("found a member whose state differs: raising the alarm CORRUPT", LogField::Hex("corrupted-member", damaged),
            {"index", at});
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  request.set_memberid(damaged);
  request.set_alarm(etcdserverpb::CORRUPT);
  apply::Request r{p_.ids.Next(), request};
  std::string entry = apply::EncodeEntry(r.id, apply::Field::kAlarm, request.SerializeAsString());
  p_.node.Propose(std::make_shared<const apply::Proposal>(std::move(entry), std::move(r), [](const Status&, Bufs) {}));
}

}  // namespace tenon::node
