// A connection to another member: what goes over it is nghttp2's.
#pragma once
#include <string>

#include "plugins/transport-common/peer_link.h"
#include "plugins/transport-h2/client_session.h"
#include "plugins/transport-h2/loop.h"

namespace tenon::transport_h2 {

class PeerLink final : public transport::PeerLink, private ClientSession::Owner, private ClientStream {
 public:
  PeerLink(transport::PeerClient& client, uint64_t id, bool urgent, Loop& loop)
      : transport::PeerLink(client, id, urgent), loop_(loop) {}

 private:
  // transport::PeerLink
  void Begin(int fd) override;
  void Answered() override { session_->Answered(); }
  void Queue(tenon_bufs message) override;
  void DropQueue() override;
  void Resume() override;
  void Transmit(transport::PeerCall* call) override;
  void Finish(std::string why) override { session_->Close(std::move(why)); }
  void Abandon() override { std::exchange(session_, nullptr)->Abandon(); }
  Fields Headers(std::string_view path, uint64_t deadline_ns) const;

  // ClientSession::Owner
  void Greeted() override;
  void RoundTrip(uint64_t ns) override { transport::PeerLink::RoundTrip(ns); }
  void Drain() override { transport::PeerLink::Drain(); }
  void Gone(const std::string& why) override;
  // ClientStream: of messages
  ssize_t NextData(size_t room, uint32_t* flags) override;
  void SendData(size_t n, Output* output) override;
  void Accepted() override { Ready(); }
  void Closed() override { StreamEnded(Outcome()); }

  Loop& loop_;
  ClientSession* session_ = nullptr;
  bool deferred_ = false;  // nghttp2 waits to be told of messages
  ReplyQueue queue_;
};

}  // namespace tenon::transport_h2
