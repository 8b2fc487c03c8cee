// HTTP/2 as a client, on one connection: nghttp2's session and our requests on it.
#pragma once
#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "plugins/transport-h2/connection.h"
#include "plugins/transport-h2/replies.h"

namespace tenon::transport_h2 {

// A gRPC request of ours, and how it ended. All on the loop's thread, most of it inside callbacks of nghttp2.
class ClientStream {
 public:
  // More of the request, or its end (EOF in *flags). NGHTTP2_ERR_DEFERRED: ClientSession::Resume tells when there is.
  virtual ssize_t NextData(size_t room, uint32_t* flags) = 0;
  virtual void SendData(size_t n, Output* output) = 0;
  virtual void HeadersSent() {}
  virtual void Accepted() {}  // the answer began, and its end did not come with it
  virtual void Data(const uint8_t*, size_t) {}
  virtual void Closed() = 0;  // the last one, except if the connection or we cut it off: then none

 protected:
  ~ClientStream() = default;
  // What the server said, or what it means that it said nothing. Unavailable, if it did not look at the request.
  Status Outcome() const;

 private:
  friend class ClientSession;
  void Header(std::string_view name, std::string_view value);

  int32_t stream_id_ = 0;
  int http_status_ = 0, grpc_status_ = -1;  // -1: none came
  uint32_t http2_error_ = 0;
  std::string grpc_message_;
};

class ClientSession final : public Protocol {
 public:
  class Owner {
   public:
    virtual void Greeted() = 0;  // the server's settings came
    virtual void RoundTrip(uint64_t ns) = 0;
    virtual void Drain() = 0;  // the loop ends: no new requests, Close when those there are ended
    // The connection is gone, and the session and its streams with it. Not inside a callback of nghttp2.
    virtual void Gone(const std::string& why) = 0;

   protected:
    ~Owner() = default;
  };
  // What is spoken on a connection that we opened; it belongs to it.
  static ClientSession* On(Connection& connection, Owner* owner, uint64_t patience_ns);
  ~ClientSession() override;

  // `stream` lives until Closed, Cancel or Gone. False: the session takes no more requests.
  bool Open(ClientStream* stream, const Fields& headers);
  void Resume(ClientStream* stream);
  void Cancel(ClientStream* stream);
  void Answered() { connection_.Greeted(); }  // patience is not needed any more
  // When what is to be said has been said. Inside callbacks too.
  void Close(std::string why);
  // Now, and without a word to the owner. Not inside callbacks.
  void Abandon();
  Connection& connection() { return connection_; }

  // ---- Protocol
  Then Receive(const uint8_t* bytes, size_t n) override;
  Then EndOfInput() override { return Then::kClose; }
  Then Fill(Output* output) override;
  bool WantsInput() const override { return true; }
  void Drain() override {
    if (owner_ != nullptr) owner_->Drain();
  }
  void Abort() override;

 private:
  struct Callbacks;
  friend struct Callbacks;
  ClientSession(Connection& connection, Owner* owner);
  Loop& loop() { return connection_.loop(); }
  void OnPingTime();

  Connection& connection_;
  Owner* owner_;  // null: it does not care any more
  nghttp2_session* session_ = nullptr;
  Output* output_ = nullptr;  // during Fill
  bool paused_ = false;       // Fill stopped although there is more
  std::string why_;           // it ended, as far as we know
  Timer ping_;
};

}  // namespace tenon::transport_h2
