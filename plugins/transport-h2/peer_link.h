// One of the connections to a member: dials again and again, sends what is queued, carries calls. Loop's thread.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plugins/transport-common/listener.h"
#include "plugins/transport-common/peer_log.h"
#include "plugins/transport-h2/client_session.h"
#include "plugins/transport-h2/dial.h"

namespace tenon::transport_h2 {

class PeerCall;
class PeerClient;

// A member has two of them, so that heartbeats never wait behind entries. A link without a member's id serves one call
// to whoever listens at an address, and is gone with it.
//
// What it cannot send soon it loses, and says so: while it is waiting to dial again, or when its queue is full.
class PeerLink final : public std::enable_shared_from_this<PeerLink>,
                       private ClientSession::Owner,
                       private ClientStream {
 public:
  PeerLink(PeerClient& client, uint64_t id, bool urgent);
  ~PeerLink() = default;  // after Close, or the end of the loop

  // Dials, unless it is connected to one of these.
  void SetAddresses(std::vector<transport::Address> addresses);
  // Takes a hold of the framed message.
  void Send(Reply* message);
  void Call(PeerCall* call);
  // The only call of a link without a member.
  void CallAt(const transport::Address& address, PeerCall* call);
  // Sends what is queued, waits for its calls, and ends.
  void Drain() override;
  // Ends here and now. Not inside a callback of nghttp2.
  void Close(const char* why);

  // ---- for PeerCall
  Loop& loop();
  void CallEnded(PeerCall* call);

 private:
  enum class State : uint8_t {
    kIdle,        // nowhere to go, or over
    kWaiting,     // to dial again
    kConnecting,  // and until the other side took our stream of messages
    kReady
  };

  void Dial();
  void Send(PeerCall* call);
  void Resolved(const Result<std::vector<Endpoint>>& endpoints);
  void Ready();
  void Failed(const std::string& why);
  void DropAll(const std::string& why);
  void EndIfDrained();
  Fields Headers(std::string_view path, uint64_t deadline_ns) const;
  const transport::Address& address() const { return addresses_[attempt_ % addresses_.size()]; }
  std::string Where() const;

  // ClientSession::Owner
  void Greeted() override;
  void RoundTrip(uint64_t ns) override;
  void Gone(const std::string& why) override;
  // ClientStream: of messages
  ssize_t NextData(size_t room, uint32_t* flags) override;
  void SendData(size_t n, Output* output) override;
  void Accepted() override { Ready(); }
  void Closed() override;

  PeerClient& client_;
  const uint64_t id_;  // 0: one call's
  const bool urgent_;
  State state_ = State::kIdle;
  bool draining_ = false;
  bool deferred_ = false;  // nghttp2 waits to be told of messages
  bool stream_open_ = false;
  std::vector<transport::Address> addresses_;
  size_t attempt_ = 0;  // counts the failed ones; says which address is next
  uint64_t dials_ = 0;
  uint64_t backoff_ns_;
  Timer redial_;
  ClientSession* session_ = nullptr;
  std::vector<PeerCall*> calls_;

  ReplyQueue queue_;
  size_t queued_ = 0, queued_bytes_ = 0;
  transport::PeerLog news_, trouble_;
};

}  // namespace tenon::transport_h2
