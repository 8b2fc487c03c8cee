// A call to another member, as a stream of nghttp2's.
#pragma once
#include <string>

#include "plugins/transport-common/peer_call.h"
#include "plugins/transport-h2/client_session.h"
#include "plugins/transport-h2/message.h"
#include "plugins/transport-h2/wire.h"

namespace tenon::transport_h2 {

class PeerCall final : public transport::PeerCall, public ClientStream {
 public:
  PeerCall(std::string method, tenon_bufs request, uint64_t deadline_ns, tenon_done done);

  void Send(ClientSession* session, const Fields& headers);

 private:
  ~PeerCall() override;
  void Cancel() override;
  ssize_t NextData(size_t room, uint32_t* flags) override;
  void SendData(size_t n, Output* output) override { output->Take(request_, n); }
  void HeadersSent() override { sent_ = true; }
  void Data(const uint8_t* bytes, size_t n) override;
  void Closed() override;

  ClientSession* session_ = nullptr;  // null: not sent, or the stream closed
  Reply* request_;

  uint8_t prefix_[kPrefixBytes];
  size_t prefix_n_ = 0, message_n_ = 0;
  MessagePtr message_;
};

}  // namespace tenon::transport_h2
