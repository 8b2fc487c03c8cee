#include "plugins/transport-h2/peer_call.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "plugins/transport-common/peer_wire.h"

namespace tenon::transport_h2 {

PeerCall::PeerCall(std::string method, tenon_bufs request, uint64_t deadline_ns, tenon_done done)
    : transport::PeerCall(std::move(method), deadline_ns, done), request_(new Reply) {
  request_->Set(request, true);
  request_->Hold();
}

PeerCall::~PeerCall() { request_->Drop(); }

void PeerCall::Send(ClientSession* session, const Fields& headers) {
  session_ = session;
  if (session->Open(this, headers)) return;
  session_ = nullptr;
  Fail(absl::UnavailableError("peer: the connection takes no more requests"));
}

ssize_t PeerCall::NextData(size_t room, uint32_t* flags) {
  const size_t n = std::min(room, request_->bytes);
  if (n > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (n == request_->bytes) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(n);
}

void PeerCall::Data(const uint8_t* bytes, size_t n) {
  while (n > 0) {
    if (prefix_n_ < sizeof prefix_) {
      prefix_[prefix_n_++] = *bytes++;
      --n;
      if (prefix_n_ < sizeof prefix_) continue;
      const size_t length = ReadLength(prefix_);
      if (prefix_[0] != 0) return CutOff(absl::InternalError("peer: the answer is compressed"));
      if (length > transport::kMaxPeerMessage) return CutOff(absl::ResourceExhaustedError("peer: answer too large"));
      message_ = Message::Make(length);
      message_->set_size(length);
      continue;
    }
    const size_t length = ReadLength(prefix_);
    if (message_n_ == length) return CutOff(absl::InternalError("peer: more than one answer"));
    const size_t take = std::min(n, length - message_n_);
    memcpy(message_->data() + message_n_, bytes, take);
    message_n_ += take;
    bytes += take;
    n -= take;
  }
}

void PeerCall::Closed() {
  session_ = nullptr;
  Status status = Outcome();
  const bool whole = message_ != nullptr && message_n_ == ReadLength(prefix_);
  if (status.ok() && !whole) status = absl::InternalError("peer: OK without an answer");
  // nghttp2 could not send it: the connection was about to end.
  if (!status.ok() && !sent_) status = absl::UnavailableError(absl::StrCat("peer: not sent: ", status.message()));
  End(status, status.ok() ? Message::Give(std::move(message_)) : tenon_bufs{});
}

void PeerCall::Cancel() {
  if (session_ != nullptr) session_->Cancel(this);
}

}  // namespace tenon::transport_h2
