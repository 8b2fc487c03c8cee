// The module: an instance of tenon.draft.peer/1. Others reach us through the transport's own server, which has
// tenonpb.Peer behind it instead of the kernel's API; we reach them through PeerClient on the same loop.
#pragma once
#include <memory>

#include "plugins/transport-common/peer_client.h"
#include "plugins/transport-common/peer_service.h"
#include "plugins/transport-h2/transport.h"
#include "tenon/abi/peer.h"

namespace tenon::transport_h2 {

extern const tenon_peer_v1 kPeerTable;

// [main], except what PeerClient says of its own.
class PeerModule {
 public:
  static constexpr const char* kName = "peer-h2";
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
  // The server's loop, as PeerClient sees it.
  class Thread final : public transport::PeerLoop {
   public:
    explicit Thread(Transport& server) : server_(server) {}
    void Run(std::function<void()> work) override { loop().Run(std::move(work)); }
    transport::PeerCall* NewCall(std::string method, tenon_bufs request, uint64_t deadline_ns,
                                 tenon_done done) override;
    std::shared_ptr<transport::PeerLink> NewLink(transport::PeerClient& client, uint64_t id, bool urgent) override;
    transport::Timers& timers() override { return loop().timers(); }
    uint64_t now_ns() const override { return loop().now_ns(); }
    bool draining() const override { return loop().draining(); }
    void ExchangeBegan() override { loop().ExchangeBegan(); }
    void ExchangeEnded() override { loop().ExchangeEnded(); }

   private:
    Loop& loop() const { return server_.loop(); }
    Transport& server_;
  };

  const transport::PeerMetrics metrics_;
  transport::PeerService service_;
  transport::PeerClient client_;  // outlives the loop
  Transport server_;
  Thread thread_{server_};
  bool started_ = false, draining_ = false;
};

}  // namespace tenon::transport_h2
