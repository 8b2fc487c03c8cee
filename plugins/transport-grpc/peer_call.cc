#include "plugins/transport-grpc/peer_call.h"

#include <utility>

#include "plugins/transport-common/peer_wire.h"
#include "plugins/transport-grpc/bytes.h"

namespace tenon::transport_grpc {

PeerCall::PeerCall(std::string method, tenon_bufs request, uint64_t deadline_ns, tenon_done done)
    : transport::PeerCall(std::move(method), deadline_ns, done), request_(request) {}

PeerCall::~PeerCall() {
  if (rpc_ != nullptr) rpc_->Forget();
  TENON_RELEASE(request_);
}

void PeerCall::Send(PeerSession* session) {
  sent_ = true;
  rpc_ = session->Call(std::string(transport::kPeerService) + method(),
                       MakeMessage(std::exchange(request_, {}), session->lent()), deadline_ns(),
                       [this, session](const Status& status, grpc::ByteBuffer& answer) {
                         rpc_ = nullptr;
                         Answered(session, status, answer);
                       });
}

// gRPC says Unavailable when the connection broke, too: then the request may have been carried out, and the difference
// matters to who would send it again. If the connection still stands, it was the other side's word.
void PeerCall::Answered(PeerSession* session, const Status& status, grpc::ByteBuffer& answer) {
  if (!absl::IsUnavailable(status)) return End(status, status.ok() ? TakeMessage(answer) : tenon_bufs{});
  rpc_ = session->Call(std::string(transport::kPeerPing), MakeMessage({}, session->lent()), UINT64_MAX,
                       [this, said = status](const Status& alive, grpc::ByteBuffer&) {
                         rpc_ = nullptr;
                         absl::IsUnavailable(alive) ? Lost(said) : Fail(said);
                       });
}

}  // namespace tenon::transport_grpc
