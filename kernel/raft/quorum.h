// What a set of voters agrees on: a majority, or during a change of members a majority of both sets (thesis 4.3).
#pragma once
#include <algorithm>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/raft/types.h"

namespace tenon::raft {

enum class VoteResult { kPending, kWon, kLost };

// The result of a vote. `vote_of(id)` returns an optional<bool>: granted, refused, or no answer yet.
// An empty set of voters agrees to everything, so that the outgoing half of a simple configuration never stands in
// the way.
template <class VoteOf>
VoteResult MajorityVote(const std::vector<MemberId>& voters, VoteOf&& vote_of) {
  if (voters.empty()) return VoteResult::kWon;
  size_t granted = 0, missing = 0;
  for (MemberId id : voters) {
    const std::optional<bool> vote = vote_of(id);
    if (!vote)
      missing++;
    else if (*vote)
      granted++;
  }
  const size_t quorum = voters.size() / 2 + 1;
  if (granted >= quorum) return VoteResult::kWon;
  return granted + missing >= quorum ? VoteResult::kPending : VoteResult::kLost;
}

// Lost if either half lost, won if both won.
template <class VoteOf>
VoteResult JointVote(const ConfState& conf, VoteOf&& vote_of) {
  const VoteResult incoming = MajorityVote(conf.voters, vote_of);
  const VoteResult outgoing = MajorityVote(conf.voters_outgoing, vote_of);
  if (incoming == outgoing) return incoming;
  if (incoming == VoteResult::kLost || outgoing == VoteResult::kLost) return VoteResult::kLost;
  return VoteResult::kPending;
}

// The greatest number that a majority has reached; `reached(id)` returns 0 for a member that is not known.
// No voters: the greatest number there is.
template <class Reached>
uint64_t MajorityReached(const std::vector<MemberId>& voters, Reached&& reached) {
  if (voters.empty()) return UINT64_MAX;
  if (voters.size() == 1) return reached(voters[0]);
  uint64_t few[8];  // no allocation for the sizes that exist
  std::vector<uint64_t> many(voters.size() > 8 ? voters.size() : 0);
  uint64_t* numbers = many.empty() ? few : many.data();
  for (size_t i = 0; i < voters.size(); i++) numbers[i] = reached(voters[i]);
  const size_t position = voters.size() - (voters.size() / 2 + 1);
  std::nth_element(numbers, numbers + position, numbers + voters.size());
  return numbers[position];
}

template <class Reached>
uint64_t JointReached(const ConfState& conf, Reached&& reached) {
  return std::min(MajorityReached(conf.voters, reached), MajorityReached(conf.voters_outgoing, reached));
}

}  // namespace tenon::raft
