// One request to another member and its one answer. Loop's thread.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "plugins/transport-h2/client_session.h"
#include "plugins/transport-h2/message.h"
#include "plugins/transport-h2/wire.h"
#include "tenon/abi/base.h"

namespace tenon::transport_h2 {

class PeerLink;

// Deletes itself when it has called `done`.
class PeerCall final : public ClientStream {
 public:
  // deadline_ns: of Loop::NowNs; UINT64_MAX: none. [any]
  PeerCall(std::string method, tenon_bufs request, uint64_t deadline_ns, tenon_done done);

  const std::string& method() const { return method_; }
  uint64_t deadline_ns() const { return deadline_ns_; }

  // It waits for the link, and from now on ends by itself at the deadline.
  void BelongTo(PeerLink* link);
  void Send(ClientSession* session, const Fields& headers);
  // The link's connection is gone, or did not come: `why` not.
  void Lost(const Status& why);
  void Fail(const Status& status) { End(status, nullptr); }

 private:
  ~PeerCall();
  ssize_t NextData(size_t room, uint32_t* flags) override;
  void SendData(size_t n, Output* output) override { output->Take(request_, n); }
  void HeadersSent() override { sent_ = true; }
  void Data(const uint8_t* bytes, size_t n) override;
  void Closed() override;
  void Expire();
  void CutOff(const Status& why);
  void End(const Status& status, MessagePtr answer);

  const std::string method_;
  const uint64_t deadline_ns_;
  const tenon_done done_;
  PeerLink* link_ = nullptr;
  ClientSession* session_ = nullptr;  // null: not sent, or the stream closed
  Reply* request_;
  bool sent_ = false;
  Timer deadline_;

  uint8_t prefix_[kPrefixBytes];
  size_t prefix_n_ = 0, message_n_ = 0;
  MessagePtr message_;
};

}  // namespace tenon::transport_h2
