// One connection to another member, as a gRPC channel of its own: a stream of messages, and calls.
#pragma once
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/base/status.h"
#include "plugins/transport-grpc/peer_loop.h"

namespace tenon::transport_grpc {

class PeerRpc;

// A channel over a socket of ours connects once and has no policy: when to dial again, and whom, PeerLink decides.
//
// Loop's thread. Deletes itself when it is broken and gRPC has given everything back.
class PeerSession {
 public:
  using Metadata = std::vector<std::pair<std::string_view, std::string>>;

  class Owner {
   public:
    virtual void Alive() = 0;                    // the first answer came
    virtual void StreamTaken() = 0;              // the other side reads our messages
    virtual void Writable() = 0;                 // after the stream began, and after each Write
    virtual void Ended(const Status& said) = 0;  // the stream, with the other side's word
    virtual void RoundTrip(uint64_t ns) = 0;
    virtual void Gone(const std::string& why) = 0;  // the last one; never from inside

   protected:
    ~Owner() = default;
  };

  // Owns the socket, which may still be connecting.
  PeerSession(PeerLoop& loop, Owner* owner, int fd, const std::string& authority, Metadata metadata);

  void OpenStream();
  // After Writable. more: another follows at once.
  void Write(const grpc::ByteBuffer& message, bool more);
  void WritesDone();  // likewise, and the last
  // `then` once, later, unless the call is forgotten or the session broken before.
  const std::shared_ptr<Lent>& lent() { return loop_.lent(); }
  using Then = std::function<void(const Status&, grpc::ByteBuffer&)>;
  std::shared_ptr<PeerRpc> Call(const std::string& path, grpc::ByteBuffer request, uint64_t deadline_ns, Then then);

  // Here and now. The owner hears Gone, and nothing else; later, so that it may come from inside anything.
  void Break(std::string why);
  void Abandon();  // the owner hears nothing at all

 private:
  friend class PeerRpc;
  class Step final : public PeerLoop::Operation {
   public:
    Step(PeerSession& session, void (PeerSession::*then)(bool))
        : PeerLoop::Operation(session.loop_), session_(session), then_(then) {}
    void* Begin() {
      ++session_.pending_;
      return PeerLoop::Operation::Begin();
    }

   private:
    void Ended(bool ok) override { session_.StepEnded(then_, ok); }
    PeerSession& session_;
    void (PeerSession::*const then_)(bool);
  };

  ~PeerSession();
  void StepEnded(void (PeerSession::*then)(bool), bool ok);
  void Started(bool ok);
  void HeadersCame(bool ok);
  void ReadEnded(bool ok);
  void Written(bool ok);
  void Closed(bool) {}  // the stream's end follows
  void Finished(bool ok);
  void Describe(grpc::ClientContext* context) const;
  bool live() const { return owner_ != nullptr && !broken_; }
  void Ping();
  void PingEnded(const Status& answered);
  void CancelAll();
  void DeleteIfDone();

  PeerLoop& loop_;
  Owner* owner_;  // null: it does not care any more
  bool broken_ = false;
  const Metadata metadata_;
  std::shared_ptr<grpc::Channel> channel_;
  std::vector<std::shared_ptr<PeerRpc>> rpcs_;  // under way
  size_t pending_ = 0;                          // operations that gRPC has, and the last word to the owner

  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  grpc::ByteBuffer incoming_;
  grpc::Status end_;
  Step started_{*this, &PeerSession::Started}, headers_{*this, &PeerSession::HeadersCame},
      read_{*this, &PeerSession::ReadEnded}, write_{*this, &PeerSession::Written}, close_{*this, &PeerSession::Closed},
      finish_{*this, &PeerSession::Finished};

  transport::Timer ping_;
  const uint64_t begun_ns_;
  uint64_t asked_ns_ = 0;          // 0: no ping is out
  uint64_t writing_since_ns_ = 0;  // 0: gRPC has no message of ours
  bool heard_ = false, taken_ = false;
};

// A call as gRPC carries it. Who asked may keep it longer than the session does.
class PeerRpc final : public PeerLoop::Operation {
 public:
  // Its answer is of no interest any more, and the other side need not work on it. Also when it ended long ago.
  void Forget();

 private:
  friend class PeerSession;
  PeerRpc(PeerSession& session, const std::string& path, const grpc::ByteBuffer& request, uint64_t deadline_ns,
          PeerSession::Then then);
  void Ended(bool ok) override;

  PeerSession& session_;
  PeerSession::Then then_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader_;
  grpc::ByteBuffer answer_;
  grpc::Status status_;
};

}  // namespace tenon::transport_grpc
