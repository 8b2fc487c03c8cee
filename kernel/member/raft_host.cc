#include "kernel/member/raft_host.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "kernel/base/errors.h"
#include "kernel/member/member.h"
#include "kernel/plugin/abi_status.h"
#include "kernel/plugin/host.h"

namespace tenon {
namespace {

RaftHost& Of(const tenon_host* host) { return *static_cast<RaftHost*>(plugin::Host::From(host).context()); }

void Done(const tenon_done& done, const Status& status, Bufs answer) {
  if (status.ok()) return done.fn(done.ctx, TENON_OK, nullptr, answer.Release());
  tenon_error error = plugin::NewError();
  tenon_status code = plugin::ToAbi(status, &error);
  if (status == errors::TooManyRequests()) code = error.code = TENON_EXHAUSTED;  // on the wire it has another number
  done.fn(done.ctx, code, &error, tenon_bufs{});
}

int RoleOf(raft::Role role) {
  switch (role) {
    case raft::Role::kLeader: return TENON_LEADER;
    case raft::Role::kFollower: return TENON_FOLLOWER;
    default: return TENON_CANDIDATE;
  }
}

// The operation that a field's bytes hold; nothing: they are not its message.
std::optional<apply::Operation> Decode(apply::Field field, std::string_view bytes) {
  const auto parse = [&](auto message) -> std::optional<apply::Operation> {
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
    return message;
  };
  switch (field) {
    case apply::Field::kLeaseRevoke: return parse(etcdserverpb::LeaseRevokeRequest());
    case apply::Field::kLeaseCheckpoint: return parse(etcdserverpb::LeaseCheckpointRequest());
    default: return std::nullopt;
  }
}

}  // namespace

void RaftHost::State(tenon_raft_state* out) const {
  const uint32_t size = out->size;
  tenon_raft_state state{};
  state.size = size;
  if (member_ != nullptr) {
    const node::Node::State now = member_->node().state();
    state.role = static_cast<uint32_t>(RoleOf(now.role));
    state.cluster_id = member_->membership().cluster_id();
    state.member_id = member_->membership().self();
    state.leader_id = now.leader;
    state.term = now.term.value;
    state.commit_index = now.commit.value;
    state.applied_index = member_->applier().applied().value;
  }
  std::memcpy(out, &state, std::min<size_t>(size, sizeof state));
}

void RaftHost::Propose(uint32_t op, uint64_t term, Bufs payload, tenon_done done) {
  if (member_ == nullptr) return Done(done, errors::NoLeader(), {});
  const auto field = static_cast<apply::Field>(op);
  if (std::find(owned_.begin(), owned_.end(), field) == owned_.end()) {
    return Done(done, absl::PermissionDeniedError(fmt::format("operation {} is not this module's", op)), {});
  }
  std::string scratch;
  const std::string_view bytes = payload.Flatten(scratch);
  std::optional<apply::Operation> operation = Decode(field, bytes);
  if (!operation) return Done(done, absl::InvalidArgumentError(fmt::format("operation {}: damaged payload", op)), {});
  member_->Propose(field, bytes, *std::move(operation), Term(term),
                   [done](const Status& status, Bufs answer) { Done(done, status, std::move(answer)); });
}

void RaftHost::ReadIndex(tenon_done done) {
  if (member_ == nullptr) return Done(done, errors::NoLeader(), {});
  member_->node().ReadBarrier([done](const Status& status) { Done(done, status, {}); });
}

const tenon_host_raft_v1 RaftHost::kTable = {
    sizeof(tenon_host_raft_v1),
    [](const tenon_host* host, tenon_raft_state* out) { Of(host).State(out); },
    [](const tenon_host* host, uint32_t op, uint64_t term, tenon_bufs payload, tenon_done done) {
      Of(host).Propose(op, term, Bufs(payload), done);
    },
    [](const tenon_host* host, tenon_done done) { Of(host).ReadIndex(done); },
};

}  // namespace tenon
