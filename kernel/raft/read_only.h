// Reads that wait until a quorum confirmed that we still lead (thesis 6.4).
//
// Requests are numbered from 1 in the order in which they came; a heartbeat carries the number of the newest request,
// its answer confirms that one and all before it. The numbers begin anew with each leadership and never repeat in it,
// and an answer from another term does not get here: a delayed answer cannot confirm a later read (raft#397).
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "kernel/raft/types.h"

namespace tenon::raft {

struct ReadRequest {
  MemberId from = 0;     // who asked, perhaps ourselves
  uint64_t context = 0;  // the asker's name for it
  Index index;           // our commit index when it came
};

class ReadOnly {
 public:
  void Add(const ReadRequest& request) { waiting_.push_back(request); }
  // `from` answered a heartbeat that carried `round`.
  void Ack(MemberId from, uint64_t round);
  // Takes out the requests that a quorum has confirmed, oldest first.
  std::vector<ReadRequest> Advance(const ConfState& conf);
  // What a heartbeat must carry; 0 when nobody waits.
  uint64_t round() const { return waiting_.empty() ? 0 : confirmed_ + waiting_.size(); }

 private:
  std::deque<ReadRequest> waiting_;
  uint64_t confirmed_ = 0;  // requests that are done
  std::map<MemberId, uint64_t> acks_;
};

}  // namespace tenon::raft
