// HTTP/2 on one connection: nghttp2's session, the policy around it, and the calls on it.
#pragma once
#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>

#include "plugins/transport-h2/connection.h"

namespace tenon::transport_h2 {

class Call;

// So many tokens at once, and so many more each second.
class TokenBucket {
 public:
  TokenBucket(uint32_t burst, uint32_t per_second) : burst_(burst), per_second_(per_second), tokens_(burst) {}
  bool Take(uint64_t now_ns);

 private:
  const uint32_t burst_, per_second_;
  double tokens_;
  uint64_t filled_ns_ = 0;
};

class Http2 final : public Protocol {
 public:
  explicit Http2(Connection& connection);
  ~Http2() override;

  Then Receive(const uint8_t* bytes, size_t n) override;
  Then EndOfInput() override { return Then::kClose; }
  Then Fill(Output* output) override;
  bool WantsInput() const override;
  void Drain() override;
  void Abort() override;

  // ---- for Call
  Connection& connection() { return connection_; }
  Loop& loop() { return connection_.loop(); }
  nghttp2_session* session() { return session_; }
  static nghttp2_data_source_read_callback ReadBody();  // with the Call as its source
  void MarkDirty() { connection_.MarkDirty(); }
  // Memory that clients can make us keep is counted per connection. False: it has enough.
  bool Charge(size_t bytes);
  void Refund(size_t bytes) { charged_ -= bytes; }
  void Unlink(Call* call);
  // A call whose stream is gone, but which the host still works on.
  void OrphanBegan() { ++orphans_; }
  void OrphanEnded();

 private:
  struct Callbacks;
  friend struct Callbacks;

  void OnPing();
  void OnIdleFrame();
  void OnKeepalive();
  void Punish(const char* why);  // GOAWAY ENHANCE_YOUR_CALM
  void FinalGoaway();

  Connection& connection_;
  nghttp2_session* session_ = nullptr;
  Output* output_ = nullptr;  // during Fill
  Call* calls_ = nullptr;     // with an open stream or at the host; linked
  size_t streams_ = 0;        // open
  size_t orphans_ = 0;
  size_t charged_ = 0;
  bool paused_ = false;  // Fill stopped although there is more
  bool punished_ = false;
  bool draining_ = false;

  // grpc-go's enforcement: a client may ping seldom, or after we sent it something.
  int ping_strikes_ = 0;
  bool sent_since_ping_ = false;
  uint64_t last_ping_ns_ = 0;

  TokenBucket resets_;  // streams that we had to reset because of what the client sent
  TokenBucket idle_frames_;

  bool ping_outstanding_ = false;
  uint64_t pinged_ns_ = 0;
  Timer keepalive_, goaway_;
};

}  // namespace tenon::transport_h2
