#include "kernel/raft/read_only.h"

#include <algorithm>

#include "kernel/raft/quorum.h"

namespace tenon::raft {

void ReadOnly::Ack(MemberId from, uint64_t round) {
  uint64_t& acked = acks_[from];
  acked = std::max(acked, round);
}

std::vector<ReadRequest> ReadOnly::Advance(const ConfState& conf) {
  uint64_t confirmed = JointReached(conf, [&](MemberId id) {
    const auto it = acks_.find(id);
    return it == acks_.end() ? 0 : it->second;
  });
  confirmed = std::min(confirmed, confirmed_ + waiting_.size());
  std::vector<ReadRequest> out;
  for (; confirmed_ < confirmed; confirmed_++) {
    out.push_back(waiting_.front());
    waiting_.pop_front();
  }
  return out;
}

}  // namespace tenon::raft
