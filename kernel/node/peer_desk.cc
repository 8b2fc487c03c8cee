#include "kernel/node/peer_desk.h"

namespace tenon::node {

void PeerDesk::Add(std::string name, Method method) {
  MutexLock lock(&mutex_);
  methods_[std::move(name)] = std::move(method);
}

Status PeerDesk::Check(const PeerSender& from) const {
  if (from.member_id != 0 && from.cluster_id != membership_.cluster_id()) {
    return absl::FailedPreconditionError(
        fmt::format("this is cluster {:x}, not {:x}", membership_.cluster_id(), from.cluster_id));
  }
  if (from.member_id == membership_.self()) {
    return absl::FailedPreconditionError(fmt::format("{:x} is this member's own id", from.member_id));
  }
  if (membership_.IsRemoved(from.member_id)) {
    return absl::NotFoundError(
        fmt::format("member {:x} has been permanently removed from the cluster", from.member_id));
  }
  return Ok();
}

Status PeerDesk::Deliver(const PeerSender& from, std::string_view message) {
  RETURN_IF_ERROR(Check(from));
  return node_.Deliver(from, message);
}

void PeerDesk::Call(const PeerSender& from, std::string_view name, std::string request, Done done) {
  if (Status status = Check(from); !status.ok()) return done(std::move(status), {});
  Method method;
  {
    MutexLock lock(&mutex_);
    if (const auto it = methods_.find(name); it != methods_.end()) method = it->second;
  }
  if (method == nullptr) return done(absl::UnimplementedError(fmt::format("tenonpb.Peer/{}: not here", name)), {});
  method(from, std::move(request), std::move(done));
}

}  // namespace tenon::node
