// The other members of the cluster, as this one reaches them and is reached by them.
//
// In production a module of kind peer carries this over HTTP/2 (include/tenon/abi/peer.h), in the simulator a seeded
// network. Messages may be lost, repeated and reordered: raft copes. Calls have one answer or none. A member's state is
// fetched by calls, piece by piece, so there is no third kind of traffic.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/base/bufs.h"
#include "kernel/base/ids.h"
#include "kernel/base/status.h"

namespace tenon {

struct PeerMessage {
  MemberId to = 0;
  bool urgent = false;  // heartbeats, votes, answers: never queue behind entries
  uint32_t type = 0;    // raftpb.MessageType, for metrics
  Bufs bytes;           // a raftpb.Message
};

// Who sent something, as it said of itself.
struct PeerSender {
  uint64_t cluster_id = 0;
  MemberId member_id = 0;  // 0: it is joining and has no id yet
};

// What a member answers to the others.
class PeerHandler {
 public:
  virtual ~PeerHandler() = default;
  // A raft message. ResourceExhausted: dropped, we are full. FailedPrecondition: another cluster's. NotFound: from a
  // member that was removed. The sender is told of the latter two. Never blocks. [any]
  virtual Status Deliver(const PeerSender& from, std::string_view message) = 0;
  // A request; `done` is called once, on any thread. [any]
  using Done = absl::AnyInvocable<void(Status, std::string answer)>;
  virtual void Call(const PeerSender& from, std::string_view method, std::string request, Done done) = 0;
  // Something for `id` was lost for sure, or its connection broke. [any]
  virtual void Unreachable(MemberId id) = 0;
};

class Peers {
 public:
  virtual ~Peers() = default;
  // Who answers; null: nobody any more, and no call of the handler is under way when this returns. [main]
  virtual void Serve(PeerHandler* handler) = 0;
  // Addresses of a member, to be tried in turn; none: it is gone, and so is what waits for it. [any]
  virtual void Set(MemberId id, const std::vector<std::string>& urls) = 0;
  // Each for its `to`, in order among those of equal urgency. Queues or drops, never blocks. [any]
  virtual void Send(std::vector<PeerMessage> messages) = 0;
  // Asks a member by its id, or with to == 0 whoever listens at `url`. `done` comes once, on any thread, never from
  // inside: the answer or the other side's status. Unavailable: not sent. DeadlineExceeded: it may have run. [any]
  using Done = absl::AnyInvocable<void(Status, std::string answer)>;
  virtual void Call(MemberId to, std::string_view url, std::string_view method, std::string request,
                    uint64_t timeout_ns, Done done) = 0;
  // Since when (Clock::MonoNs) the member is reachable without a break; 0: it is not. [any]
  virtual uint64_t ActiveSinceNs(MemberId id) = 0;
};

}  // namespace tenon
