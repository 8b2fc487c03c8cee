#include "kernel/api/server.h"

#include "kernel/base/coding.h"
#include "kernel/base/errors.h"

namespace tenon::api {

void Server::Fill(etcdserverpb::ResponseHeader* header) const {
  const apply::ResponseHeader now = Header();
  header->set_cluster_id(now.cluster_id);
  header->set_member_id(now.member_id);
  header->set_revision(now.revision);
  header->set_raft_term(now.raft_term);
}

void Server::FillCluster(etcdserverpb::ResponseHeader* header) const {
  Fill(header);
  header->clear_revision();
}

bool IsWellFormed(std::string_view bytes) {
  while (!bytes.empty()) {
    uint64_t tag, n = 0;
    if (!TakeVarint(bytes, tag) || tag >> 3 == 0) return false;
    switch (tag & 7) {
      case 0:
        if (!TakeVarint(bytes, n)) return false;
        n = 0;
        break;
      case 1: n = 8; break;
      case 2:
        if (!TakeVarint(bytes, n)) return false;
        break;
      case 5: n = 4; break;
      default: return false;
    }
    if (n > bytes.size()) return false;
    bytes.remove_prefix(n);
  }
  return true;
}

void Server::Propose(apply::Field field, std::string_view bytes, apply::Operation operation, Responder respond) const {
  auto proposal = apply::MakeProposal(ids.Next(), field, bytes, std::move(operation),
                                      [respond = std::move(respond)](const Status& status, Bufs answer) mutable {
                                        respond(status, std::move(answer));
                                      });
  if (proposal->bytes.size() > limits.max_request_bytes) return proposal->Complete(errors::RequestTooLarge(), {});
  node.Propose(std::move(proposal));
}

void RegisterAbsent(Dispatcher& dispatcher, const Server& server) {
  const auto absent = [&](std::string_view service, std::string_view module) {
    dispatcher.AddAbsent(service, fmt::format("{}: no {} module is configured", service, module));
  };
  if (server.leases == nullptr) absent("etcdserverpb.Lease", "lease");
  absent("etcdserverpb.Auth", "auth");
  absent("v3lockpb.Lock", "concurrency");
  absent("v3electionpb.Election", "concurrency");
}

}  // namespace tenon::api
