// tenon.host.raft/1: how a module that owns operations proposes them.
//
//   RaftHost raft({Field::kLeaseRevoke});   host.set_context(&raft);   host.Provide(TENON_HOST_RAFT,
//   &RaftHost::kTable); raft.Attach(member);   // before the module starts
#pragma once
#include <vector>

#include "kernel/apply/request.h"
#include "kernel/base/bufs.h"
#include "tenon/abi/host.h"

namespace tenon {

class Member;

class RaftHost {
 public:
  // `owned`: the operations that are routed to this module; it may propose no others.
  explicit RaftHost(std::vector<apply::Field> owned) : owned_(std::move(owned)) {}
  // The member outlives what the module may call. Before the module's start. [main]
  void Attach(Member& member) { member_ = &member; }

  // For Host::Provide; the host's context must be a RaftHost.
  static const tenon_host_raft_v1 kTable;

 private:
  void State(tenon_raft_state* out) const;
  void Propose(uint32_t op, uint64_t term, Bufs payload, tenon_done done);
  void ReadIndex(tenon_done done);

  const std::vector<apply::Field> owned_;
  Member* member_ = nullptr;
};

}  // namespace tenon
