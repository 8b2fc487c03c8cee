#include "plugins/transport-grpc/peer_link.h"

#include <utility>

#include "plugins/transport-common/peer_wire.h"
#include "plugins/transport-grpc/peer_call.h"

namespace tenon::transport_grpc {
namespace {

constexpr size_t kPrefix = 5;

}  // namespace

void PeerLink::Begin(int fd) {
  session_ = new PeerSession(loop_, this, fd, Authority(), Metadata());
  writable_ = false;
  if (stream_open_) session_->OpenStream();
}

void PeerLink::Transmit(transport::PeerCall* call) { static_cast<PeerCall*>(call)->Send(session_); }

void PeerLink::Abandon() {
  writable_ = false;
  std::exchange(session_, nullptr)->Abandon();
}

void PeerLink::Alive() {
  if (id_ == 0) Ready();
}

void PeerLink::Gone(const std::string& why) {
  writable_ = false;
  session_ = nullptr;
  Broke(why);
}

// ---- the stream of messages -----------------------------------------------------------------------------------------

void PeerLink::DropQueue() {
  for (tenon_bufs& message : queue_) TENON_RELEASE(message);
  queue_.clear();
  writing_bytes_ = 0;
}

void PeerLink::Writable() {
  if (const size_t written = std::exchange(writing_bytes_, 0); written > 0) {
    --queued_;
    queued_bytes_ -= written;
    client_.CountSent(id_, written - kPrefix);
  }
  writable_ = true;
  Resume();
}

void PeerLink::Resume() {
  if (!writable_ || (queue_.empty() && !draining_)) return;
  writable_ = false;
  if (queue_.empty()) return session_->WritesDone();
  const tenon_bufs message = queue_.front();
  queue_.pop_front();
  writing_bytes_ = transport::Length(message) + kPrefix;
  session_->Write(MakeMessage(message, loop_.lent()), !queue_.empty());
}

}  // namespace tenon::transport_grpc
