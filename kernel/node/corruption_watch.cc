#include "kernel/node/corruption_watch.h"

#include <algorithm>

#include "kernel/base/log.h"
#include "kernel/base/mutant.h"

namespace tenon::node {

StateComparison::Verdict StateComparison::Judge() const {
  if (2 * (1 + agree.size()) > members) return Verdict::kMostAgree;
  std::map<std::pair<Index, uint64_t>, size_t> same;
  for (const auto& [id, places] : differ) {
    for (const auto& place : places) {
      if (2 * ++same[place] > members) return Verdict::kLeaderIsOdd;
    }
  }
  return Verdict::kNobodyKnows;
}

void CorruptionWatch::Start() {
  p_.executor.PostAfter(kLookNs, [this] { Look(); });
}

std::string CorruptionWatch::Answer() const {
  tenonpb::StateHashResponse response;
  if (p_.healing()) return {};
  if (const auto mark = p_.applier.state_hash().Newest(p_.applier.applied())) {
    response.set_index(mark->index.value);
    response.set_hash(mark->hash);
  }
  const auto now = p_.applier.state_hash().Now();
  response.set_applied_index(now.index.value);
  response.set_applied_hash(now.hash);
  return response.SerializeAsString();
}

void CorruptionWatch::Look() {
  if (stopped_) return;
  Start();
  const MemberId self = p_.membership.self();
  if (p_.node.state().leader != self || p_.healing()) return alarmed_.clear();
  const std::vector<cluster::Member> members = p_.membership.List();
  for (const cluster::Member& m : members) {
    HasAlarm(m.id) ? void(alarmed_.emplace(m.id, p_.applier.applied())) : void(alarmed_.erase(m.id));
  }
  auto round = std::make_shared<Round>(Round{members.size() - 1, {members.size(), {}, {}}});
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
    const auto compare = [&](Index index, uint64_t hash, std::optional<uint64_t> ours) {
      if (Planted(Mutant::kStatesNotCompared)) ours = hash;
      if (index.value == 0 || !ours) return;
      if (*ours != hash) {
        round->found.agree.erase(from);
        round->found.differ[from].emplace(index, hash);
      } else if (!round->found.differ.contains(from)) {
        round->found.agree[from] = index;
      }
    };
    const apply::StateHash& state = p_.applier.state_hash();
    compare(Index(response.index()), response.hash(), state.At(Index(response.index())));
    const apply::StateHash::Mark now = state.Now();
    if (now.index == Index(response.applied_index())) compare(now.index, response.applied_hash(), now.hash);
  }
  if (--round->waiting == 0 && !stopped_) Judge(round->found);
}

void CorruptionWatch::Judge(const StateComparison& found) {
  const StateComparison::Verdict verdict = found.Judge();
  const MemberId self = p_.membership.self();
  if (verdict == StateComparison::Verdict::kLeaderIsOdd) {
    SetAlarm(self, true, found.differ.begin()->second.begin()->first);
    return p_.heal("most members agree on another one");
  }
  for (const auto& [id, places] : found.differ) {
    const Index at = places.begin()->first;
    SetAlarm(id, true, at);
    if (verdict == StateComparison::Verdict::kMostAgree) {
      p_.peers.Call(id, {}, "Heal", {}, kLookNs, [](const Status&, std::string) {});
    } else {
      SetAlarm(self, true, at);
    }
  }
  if (verdict != StateComparison::Verdict::kMostAgree || Planted(Mutant::kCorruptStays)) return;
  // An alarm goes when its member was found to agree behind the place where it was raised.
  Index newest;
  for (const auto& [id, index] : found.agree) {
    newest = std::max(newest, index);
    if (alarmed_.contains(id) && alarmed_[id] <= index) SetAlarm(id, false, index);
  }
  if (alarmed_.contains(self) && alarmed_[self] <= newest) SetAlarm(self, false, newest);
}

bool CorruptionWatch::HasAlarm(MemberId member) const {
  const std::vector<etcdserverpb::AlarmMember> alarms = p_.alarms.List(etcdserverpb::CORRUPT);
  return std::any_of(alarms.begin(), alarms.end(), [&](const auto& alarm) { return alarm.memberid() == member; });
}

void CorruptionWatch::SetAlarm(MemberId member, bool up, Index at) {
  if (HasAlarm(member) == up) return;
  if (up) {
    LOG_ERROR("found a member whose state differs: raising the alarm CORRUPT",
              LogField::Hex("corrupted-member", member), {"index", at});
  } else {
    LOG_INFO("a member's state agrees with that of most again: taking the alarm CORRUPT back",
             LogField::Hex("member", member), {"index", at});
  }
  etcdserverpb::AlarmRequest request;
  request.set_action(up ? etcdserverpb::AlarmRequest::ACTIVATE : etcdserverpb::AlarmRequest::DEACTIVATE);
  request.set_memberid(member);
  request.set_alarm(etcdserverpb::CORRUPT);
  p_.node.Propose(apply::MakeProposal(p_.ids.Next(), apply::Field::kAlarm, request));
}

}  // namespace tenon::node
