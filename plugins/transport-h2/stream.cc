// The part of a Call that serves streams, and plain HTTP, whose answer is one.
#include "kernel/base/check.h"
#include "plugins/transport-h2/call.h"

namespace tenon::transport_h2 {

void Call::BeginStream() {
  replies_.Begin(true, loop_.shared().options.stream_buffer_bytes);
  host_ = true;
  Hold();  // the host, until its finish was taken
  Shared& shared = loop_.shared();
  tenon_status status = shared.dispatch->stream(shared.host, &info_, replies_.out(), &in_);
  if (status == TENON_OK) return;
  in_ = {};
  host_ = false;
  Fail(status, "");
  Drop();
}

// What the host said since the last time. Its finish comes last, whenever it was said.
void Call::TakeNews() {
  Replies::News news = replies_.Take();
  if (news.headers && open_ && !answering_ && !ended_) {
    kind_ == Kind::kHttp ? SubmitHttpHeaders() : SubmitHeaders(replies_.headers());
  }
  if (news.finished) {
    HostEnded();
    discarding_ = true;
    pending_.clear();
    if (!std::exchange(ended_, true)) end_ = std::move(replies_.end());
  }
  Answer();
  if (news.readable && held_ && host_) Resume();
  if (news.writable && host_) in_.fn->writable(in_.self);
  if (news.finished) Drop();
}

// The host takes messages again: first those that came meanwhile.
void Call::Resume() {
  held_ = false;
  if (!open_) return;
  std::string pending = std::move(pending_);
  pending_.clear();
  size_t used = Feed(reinterpret_cast<const uint8_t*>(pending.data()), pending.size());
  if (!open_) return;
  if (!discarding_) pending_ = pending.substr(used);
  nghttp2_session_consume_stream(http2_->session(), stream_id_, used);
  http2_->MarkDirty();
  if (request_ended_ && !held_) EndOfRequest();
}

}  // namespace tenon::transport_h2
