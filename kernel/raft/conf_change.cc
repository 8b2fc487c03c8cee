#include "kernel/raft/conf_change.h"

#include <algorithm>

#include "fmt/format.h"
#include "kernel/base/check.h"

namespace tenon::raft {
namespace {

using Ids = std::vector<MemberId>;

bool Has(const Ids& ids, MemberId id) { return std::binary_search(ids.begin(), ids.end(), id); }
void Add(Ids& ids, MemberId id) {
  const auto it = std::lower_bound(ids.begin(), ids.end(), id);
  if (it == ids.end() || *it != id) ids.insert(it, id);
}
void Remove(Ids& ids, MemberId id) { std::erase(ids, id); }

void MakeVoter(ConfState& conf, MemberId id) {
  Remove(conf.learners, id);
  Remove(conf.learners_next, id);
  Add(conf.voters, id);
}

// A voter of the outgoing half stays a voter until the joint configuration is left: nobody is both.
void MakeLearner(ConfState& conf, MemberId id) {
  if (Has(conf.learners, id)) return;
  Remove(conf.voters, id);
  Add(Has(conf.voters_outgoing, id) ? conf.learners_next : conf.learners, id);
}

void RemoveMember(ConfState& conf, MemberId id) {
  Remove(conf.voters, id);
  Remove(conf.learners, id);
  Remove(conf.learners_next, id);
}

Status ApplyEach(ConfState& conf, const std::vector<ConfChangeSingle>& changes) {
  for (const ConfChangeSingle& change : changes) {
    if (change.node == 0) continue;
    switch (change.type) {
      case ConfChangeType::kAddNode: MakeVoter(conf, change.node); break;
      case ConfChangeType::kAddLearnerNode: MakeLearner(conf, change.node); break;
      case ConfChangeType::kRemoveNode: RemoveMember(conf, change.node); break;
      case ConfChangeType::kUpdateNode: break;
    }
  }
  if (conf.voters.empty()) return absl::FailedPreconditionError("removed all voters");
  return Ok();
}

Result<ConfState> EnterJoint(ConfState conf, const ConfChange& change) {
  if (IsJoint(conf)) return absl::FailedPreconditionError("config is already joint");
  if (conf.voters.empty()) return absl::FailedPreconditionError("can't make a zero-voter config joint");
  conf.voters_outgoing = conf.voters;
  RETURN_IF_ERROR(ApplyEach(conf, change.changes));
  conf.auto_leave = change.auto_leave();
  return conf;
}

Result<ConfState> LeaveJoint(ConfState conf) {
  if (!IsJoint(conf)) return absl::FailedPreconditionError("can't leave a non-joint config");
  for (MemberId id : conf.learners_next) Add(conf.learners, id);
  conf.learners_next.clear();
  conf.voters_outgoing.clear();
  conf.auto_leave = false;
  return conf;
}

Result<ConfState> Simple(ConfState conf, const ConfChange& change) {
  if (change.changes[0].node == 0) return conf;  // refused by the applier: nothing happens, in any configuration
  if (IsJoint(conf)) return absl::FailedPreconditionError("can't apply simple config change in joint config");
  const Ids before = conf.voters;
  RETURN_IF_ERROR(ApplyEach(conf, change.changes));
  Ids difference;
  std::set_symmetric_difference(before.begin(), before.end(), conf.voters.begin(), conf.voters.end(),
                                std::back_inserter(difference));
  if (difference.size() > 1)
    return absl::FailedPreconditionError("more than one voter changed without entering joint config");
  return conf;
}

void Sort(Ids& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

}  // namespace

Result<ConfState> Apply(const ConfState& conf, const ConfChange& change) {
  Result<ConfState> result = change.leaves_joint()   ? LeaveJoint(conf)
                             : change.enters_joint() ? EnterJoint(conf, change)
                                                     : Simple(conf, change);
  if (result.ok()) CHECK_MSG(Validate(*result).ok(), Validate(*result).ToString());
  return result;
}

ConfState Sorted(ConfState conf) {
  Sort(conf.voters);
  Sort(conf.learners);
  Sort(conf.voters_outgoing);
  Sort(conf.learners_next);
  return conf;
}

Status Validate(const ConfState& conf) {
  const auto wrong = [](MemberId id, std::string_view what) {
    return absl::InvalidArgumentError(fmt::format("{:x} {}", id, what));
  };
  for (MemberId id : conf.learners) {
    if (Has(conf.voters, id)) return wrong(id, "is a learner and an incoming voter");
    if (Has(conf.voters_outgoing, id)) return wrong(id, "is a learner and an outgoing voter");
  }
  for (MemberId id : conf.learners_next) {
    if (!Has(conf.voters_outgoing, id)) return wrong(id, "becomes a learner but was no voter");
    if (Has(conf.voters, id)) return wrong(id, "becomes a learner and is an incoming voter");
  }
  if (!IsJoint(conf) && conf.auto_leave) return absl::InvalidArgumentError("leaves a joint configuration that is none");
  return Ok();
}

bool IsVoter(const ConfState& conf, MemberId id) { return Has(conf.voters, id) || Has(conf.voters_outgoing, id); }
bool IsLearner(const ConfState& conf, MemberId id) { return Has(conf.learners, id); }
bool IsMember(const ConfState& conf, MemberId id) { return IsVoter(conf, id) || IsLearner(conf, id); }

std::vector<MemberId> Voters(const ConfState& conf) {
  Ids ids;
  std::set_union(conf.voters.begin(), conf.voters.end(), conf.voters_outgoing.begin(), conf.voters_outgoing.end(),
                 std::back_inserter(ids));
  return ids;
}

std::vector<MemberId> Members(const ConfState& conf) {
  Ids ids = Voters(conf);
  for (MemberId id : conf.learners) Add(ids, id);
  return ids;
}

}  // namespace tenon::raft
