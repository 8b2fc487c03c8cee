// The module: an instance of tenon.draft.peer/1. Others reach us through the transport's own server, which has
// tenonpb.Peer behind it instead of the kernel's API; we reach them through PeerClient on the same thread.
#pragma once
#include <memory>

#include "plugins/transport-common/peer_client.h"
#include "plugins/transport-common/peer_service.h"
#include "plugins/transport-grpc/peer_loop.h"
#include "plugins/transport-grpc/transport.h"
#include "tenon/abi/peer.h"

namespace tenon::transport_grpc {

extern const tenon_peer_v1 kPeerTable;

// [main], except what PeerClient says of its own.
class PeerModule {
 public:
  static constexpr const char* kName = "peer-grpc";
  PeerModule(const tenon_host* host, const tenon_host_peer_v1* peer);
  ~PeerModule() { Stop(); }

  Status Check(const tenon_listener* listeners, size_t n) const;
  Result<uint32_t> Listen(const tenon_listener& listener);
  tenon_slice BoundUrl(uint32_t id) const { return server_.BoundUrl(id); }
  Status Start();
  void Drain(int64_t grace_ns, tenon_done done);
  void Stop();
  transport::PeerClient& client() { return client_; }

 private:
  void DrainOurs(int64_t grace_ns);

  const transport::PeerMetrics metrics_;
  transport::PeerService service_;
  transport::PeerClient client_;  // outlives the loop
  PeerLoop loop_;                 // outlives the server's queue
  Transport server_;
  bool started_ = false;
};

}  // namespace tenon::transport_grpc
