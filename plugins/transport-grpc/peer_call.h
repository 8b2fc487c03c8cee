// A call to another member, as a unary one of gRPC's.
#pragma once
#include <string>

#include "plugins/transport-common/peer_call.h"
#include "plugins/transport-grpc/peer_session.h"

namespace tenon::transport_grpc {

class PeerCall final : public transport::PeerCall {
 public:
  PeerCall(std::string method, tenon_bufs request, uint64_t deadline_ns, tenon_done done);

  void Send(PeerSession* session);

 private:
  ~PeerCall() override;
  void Cancel() override {}  // the destructor does, which follows
  void Answered(PeerSession* session, const Status& status, grpc::ByteBuffer& answer);

  tenon_bufs request_;
  std::shared_ptr<PeerRpc> rpc_;  // null: not sent, or answered
};

}  // namespace tenon::transport_grpc
