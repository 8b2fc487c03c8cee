// Changes of the member set: what an entry of type kConfChange or kConfChangeV2 says, and what it makes of a ConfState.
//
// Pure functions over values. Every member applies the same changes in the same order, so a change that does not fit
// is a broken invariant for the applier; for a proposer it is an answer.
#pragma once
#include <vector>

#include "kernel/base/status.h"
#include "kernel/raft/types.h"

namespace tenon::raft {

enum class ConfChangeType : uint8_t { kAddNode = 0, kRemoveNode = 1, kUpdateNode = 2, kAddLearnerNode = 3 };

struct ConfChangeSingle {
  ConfChangeType type = ConfChangeType::kAddNode;
  MemberId node = 0;  // 0: the applier refused the change; nothing happens
};

// kAuto: a single change is simple, several go through a joint configuration that is left by itself.
enum class ConfChangeTransition : uint8_t { kAuto = 0, kJointImplicit = 1, kJointExplicit = 2 };

// raftpb's ConfChangeV2; a ConfChange is one with a single change and kAuto.
struct ConfChange {
  std::vector<ConfChangeSingle> changes;
  ConfChangeTransition transition = ConfChangeTransition::kAuto;

  static ConfChange Single(ConfChangeType type, MemberId node) { return {{{type, node}}}; }
  bool leaves_joint() const { return changes.empty() && transition == ConfChangeTransition::kAuto; }
  bool enters_joint() const { return transition != ConfChangeTransition::kAuto || changes.size() > 1; }
  bool auto_leave() const { return transition != ConfChangeTransition::kJointExplicit; }
};

// The configuration after `change`. FailedPrecondition with etcd's words if the change does not fit `conf`.
Result<ConfState> Apply(const ConfState& conf, const ConfChange& change);

// With every list sorted and free of duplicates, the form that Apply returns.
ConfState Sorted(ConfState conf);
// What must hold of every configuration, sorted; InvalidArgument says what does not.
Status Validate(const ConfState& conf);

bool IsVoter(const ConfState& conf, MemberId id);  // in either half
bool IsLearner(const ConfState& conf, MemberId id);
bool IsMember(const ConfState& conf, MemberId id);  // a voter or a learner
inline bool IsJoint(const ConfState& conf) { return !conf.voters_outgoing.empty(); }
// Everyone who takes part, sorted.
std::vector<MemberId> Members(const ConfState& conf);
std::vector<MemberId> Voters(const ConfState& conf);

}  // namespace tenon::raft
