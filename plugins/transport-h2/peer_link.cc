#include "plugins/transport-h2/peer_link.h"

#include <algorithm>
#include <utility>

#include "plugins/transport-common/peer_wire.h"
#include "plugins/transport-h2/peer_call.h"
#include "plugins/transport-h2/wire.h"

namespace tenon::transport_h2 {

void PeerLink::Begin(int fd) {
  session_ = ClientSession::On(loop_.Open(fd, 0), this, transport::kSilenceNs);
  deferred_ = false;
  if (stream_open_) session_->Open(this, Headers(transport::kPeerMessages, UINT64_MAX));
}

Fields PeerLink::Headers(std::string_view path, uint64_t deadline_ns) const {
  Fields fields = {{":method", "POST"},
                   {":scheme", "http"},
                   {":path", std::string(path)},
                   {":authority", Authority()},
                   {"content-type", "application/grpc"},
                   {"te", "trailers"}};
  for (auto& [key, value] : Metadata()) fields.emplace_back(key, std::move(value));
  if (deadline_ns != UINT64_MAX) {
    const uint64_t now = Loop::NowNs();
    fields.emplace_back("grpc-timeout", FormatTimeout(deadline_ns > now ? static_cast<int64_t>(deadline_ns - now) : 1));
  }
  return fields;
}

void PeerLink::Transmit(transport::PeerCall* call) {
  static_cast<PeerCall*>(call)->Send(
      session_, Headers(std::string(transport::kPeerService) + call->method(), call->deadline_ns()));
}

void PeerLink::Greeted() {
  if (id_ == 0) Ready();
}

void PeerLink::Gone(const std::string& why) {
  session_ = nullptr;
  Broke(why);
}

// ---- the stream of messages -----------------------------------------------------------------------------------------

void PeerLink::Queue(tenon_bufs bytes) {
  auto* message = new Reply;
  message->Set(bytes, true);
  message->Hold();
  queue_.Push(message);
}

void PeerLink::DropQueue() {
  while (!queue_.empty()) queue_.Pop()->Drop();
}

void PeerLink::Resume() {
  if (std::exchange(deferred_, false)) session_->Resume(this);
}

ssize_t PeerLink::NextData(size_t room, uint32_t* flags) {
  const size_t n = std::min(room, queued_bytes_);
  if (n > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (n == queued_bytes_ && draining_) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
  } else if (n == 0) {
    deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  return static_cast<ssize_t>(n);
}

void PeerLink::SendData(size_t n, Output* output) {
  queued_bytes_ -= n;
  size_t sent = 0;
  while (n > 0) {
    Reply* message = queue_.first;
    const size_t take = std::min(n, message->bytes);
    output->Take(message, take);
    n -= take;
    if (message->bytes > 0) break;
    sent += transport::Length(message->bufs);
    --queued_;
    queue_.Pop()->Drop();
  }
  client_.CountSent(id_, sent);
}

}  // namespace tenon::transport_h2
