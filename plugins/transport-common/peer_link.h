// One of the connections to a member: dials again and again, sends what is queued, carries calls. Loop's thread.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "plugins/transport-common/dial.h"
#include "plugins/transport-common/listener.h"
#include "plugins/transport-common/peer_client.h"
#include "plugins/transport-common/peer_log.h"
#include "plugins/transport-common/timers.h"

namespace tenon::transport {

// A member has two of them, so that heartbeats never wait behind entries. A link without a member's id serves one call
// to whoever listens at an address, and is gone with it.
//
// What it cannot send soon it loses, and says so: while it is waiting to dial again, or when its queue is full.
//
// When to connect and what to give up is decided here; how to speak on a connection, by the transport that derives from
// it.
class PeerLink : public std::enable_shared_from_this<PeerLink> {
 public:
  virtual ~PeerLink() = default;  // after Close, or the end of the loop

  // Dials, unless it is connected to one of these.
  void SetAddresses(std::vector<Address> addresses);
  // Takes the message.
  void Send(tenon_bufs message);
  void Call(PeerCall* call);
  // The only call of a link without a member.
  void CallAt(const Address& address, PeerCall* call);
  // Sends what is queued, waits for its calls, and ends.
  void Drain();
  // Ends here and now. Not inside a callback of the transport's library.
  void Close(const char* why);

  // ---- for PeerCall
  PeerLoop& loop() const { return client_.loop(); }
  void CallEnded(PeerCall* call);

 protected:
  PeerLink(PeerClient& client, uint64_t id, bool urgent);

  // ---- what the transport does
  // Speaks on a socket that connects, or has. A member's link opens the stream of messages. Then Ready, or Broke.
  virtual void Begin(int fd) = 0;
  virtual void Answered() {}  // Ready: patience is not needed any more
  virtual void Queue(tenon_bufs message) = 0;
  virtual void DropQueue() = 0;
  // There is more in the queue, or the last: with draining_ its end is the stream's.
  virtual void Resume() = 0;
  virtual void Transmit(PeerCall* call) = 0;
  // When what is to be said has been said; then Broke. Inside callbacks too.
  virtual void Finish(std::string why) = 0;
  // Now, and without a word to us.
  virtual void Abandon() = 0;

  // ---- what the transport tells
  // A member's link: the other side took our stream of messages. Else: it answers.
  void Ready();
  void RoundTrip(uint64_t ns) { client_.CountRoundTrip(id_, ns); }
  // The stream of messages ended, which it never does by itself.
  void StreamEnded(const Status& said);
  // The connection is gone. Not inside a callback of the transport's library.
  void Broke(const std::string& why);

  // What the request of a call or of the stream says of us.
  std::vector<std::pair<std::string_view, std::string>> Metadata() const;
  std::string Authority() const;

  PeerClient& client_;
  const uint64_t id_;  // 0: one call's
  bool draining_ = false;
  bool stream_open_ = false;
  size_t queued_ = 0, queued_bytes_ = 0;  // of the transport's queue, with 5 bytes a message; it counts down

 private:
  enum class State : uint8_t {
    kIdle,        // nowhere to go, or over
    kWaiting,     // to dial again
    kConnecting,  // and until the other side took our stream of messages
    kReady
  };

  void Dial();
  void Resolved(const Result<std::vector<Endpoint>>& endpoints);
  void Failed(const std::string& why);
  void DropAll(const std::string& why);
  void EndIfDrained();
  const Address& address() const { return addresses_[attempt_ % addresses_.size()]; }
  std::string Where() const;

  const bool urgent_;
  State state_ = State::kIdle;
  bool connected_ = false;  // from Begin to Broke or Abandon
  std::vector<Address> addresses_;
  size_t attempt_ = 0;  // counts the failed ones; says which address is next
  uint64_t dials_ = 0;
  uint64_t backoff_ns_;
  Timer redial_;
  std::vector<PeerCall*> calls_;
  PeerLog news_, trouble_;
};

}  // namespace tenon::transport
