// A connection to another member: what goes over it is gRPC's.
#pragma once
#include <deque>
#include <string>

#include "plugins/transport-common/peer_link.h"
#include "plugins/transport-grpc/peer_loop.h"
#include "plugins/transport-grpc/peer_session.h"

namespace tenon::transport_grpc {

class PeerLink final : public transport::PeerLink, private PeerSession::Owner {
 public:
  PeerLink(transport::PeerClient& client, uint64_t id, bool urgent, PeerLoop& loop)
      : transport::PeerLink(client, id, urgent), loop_(loop) {}

 private:
  // transport::PeerLink
  void Begin(int fd) override;
  void Queue(tenon_bufs message) override { queue_.push_back(message); }
  void DropQueue() override;
  void Resume() override;
  void Transmit(transport::PeerCall* call) override;
  void Finish(std::string why) override { session_->Break(std::move(why)); }
  void Abandon() override;

  // PeerSession::Owner
  void Alive() override;
  void StreamTaken() override { Ready(); }
  void Writable() override;
  void Ended(const Status& said) override { StreamEnded(said); }
  void RoundTrip(uint64_t ns) override { transport::PeerLink::RoundTrip(ns); }
  void Gone(const std::string& why) override;

  PeerLoop& loop_;
  PeerSession* session_ = nullptr;
  std::deque<tenon_bufs> queue_;
  bool writable_ = false;
  size_t writing_bytes_ = 0;  // of the message that gRPC has; 0: none
};

}  // namespace tenon::transport_grpc
