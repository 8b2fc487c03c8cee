// The part of a Call that serves streams: messages both ways under flow control.
#include "plugins/transport-grpc/bytes.h"
#include "plugins/transport-grpc/call.h"
#include "plugins/transport-grpc/status.h"

namespace tenon::transport_grpc {

const tenon_call_out_v1 Call::kOut = {
    .size = sizeof(tenon_call_out_v1),
    .headers = [](void* self, const tenon_kv* kv, size_t n) { static_cast<Call*>(self)->Headers(kv, n); },
    .message = [](void* self, tenon_bufs bufs) { return static_cast<Call*>(self)->Message(bufs); },
    .readable = [](void* self) { static_cast<Call*>(self)->Readable(); },
    .finish = [](void* self, tenon_status status, const tenon_error* error, const tenon_kv* trailers,
                 size_t n) { static_cast<Call*>(self)->Finish(status, error, trailers, n); },
};

void Call::BeginStream() {
  Hold();  // the host, until finish returns
  Shared& shared = queue_.shared();
  if (tenon_status status = shared.dispatch->stream(shared.host, &info_, {&kOut, this}, &in_); status != TENON_OK) {
    in_ = {};
    Refuse(ToGrpc(status, nullptr));
    return Drop();
  }
  {
    std::lock_guard lock(mutex_);
    if (finishing_) return;
    reading_ = Reading::kYes;
  }
  Read();
}

// ---- from the client ------------------------------------------------------------------------------------------------

void Call::OnStreamRead(bool ok) {
  {
    std::lock_guard lock(mutex_);
    reading_ = Reading::kNo;
    if (finishing_ || dead_) return incoming_.Clear();
    if (ok) reading_ = Reading::kDelivering;
    readable_early_ = false;
  }
  if (!ok) {
    if (HalfClosed()) in_.fn->half_close(in_.self);
    return;
  }
  tenon_status status = in_.fn->message(in_.self, TakeMessage(incoming_));
  {
    std::lock_guard lock(mutex_);
    reading_ = Reading::kNo;
    if (finishing_ || dead_ || (status != TENON_OK && status != TENON_AGAIN)) return;
    if (status == TENON_AGAIN && !readable_early_) {
      reading_ = Reading::kHeld;
      return;
    }
    reading_ = Reading::kYes;
  }
  Read();
}

void Call::Readable() {
  {
    std::lock_guard lock(mutex_);
    if (reading_ == Reading::kDelivering) readable_early_ = true;
    if (reading_ != Reading::kHeld || finishing_ || dead_) return;
    reading_ = Reading::kYes;
  }
  Read();
}

// A dead call may have no read in flight to tell of it: this notice is the only one that always comes.
void Call::OnStreamCancelled() {
  bool tell;
  std::deque<Reply> dropped;
  {
    std::lock_guard lock(mutex_);
    dead_ = true;
    dropped.swap(waiting_);
    tell = !finishing_ && in_.fn != nullptr;
  }
  dropped.clear();  // releases the host's buffers, so not under the lock
  if (tell) in_.fn->cancel(in_.self);
}

// ---- to the client --------------------------------------------------------------------------------------------------

void Call::Headers(const tenon_kv* kv, size_t n) {
  {
    std::lock_guard lock(mutex_);
    if (writing_ || dead_ || finishing_) return;  // too late: they go before the first message
    writing_ = true;
    in_flight_ = 0;
  }
  for (size_t i = 0; i < n; ++i) context_->AddInitialMetadata(Text(kv[i].key), Text(kv[i].val));
  Hold();
  io_->SendInitialMetadata(Tag(kWrite));
}

tenon_status Call::Message(tenon_bufs bufs) {
  size_t bytes = Length(bufs);
  grpc::ByteBuffer message = MakeMessage(bufs, queue_.shared().lent);
  bool hold;
  {
    std::lock_guard lock(mutex_);
    if (dead_ || finishing_) return TENON_CANCELLED;
    queued_ += bytes;
    hold = queued_ > queue_.shared().options.stream_buffer_bytes;
    holding_ |= hold;
    if (writing_) {
      waiting_.emplace_back();
      waiting_.back().message.Swap(&message);  // a ByteBuffer has no move
      waiting_.back().bytes = bytes;
      return hold ? TENON_AGAIN : TENON_OK;
    }
    writing_ = true;
    in_flight_ = bytes;
  }
  Hold();
  io_->Write(message, Tag(kWrite));
  return hold ? TENON_AGAIN : TENON_OK;
}

void Call::OnStreamWrite(bool ok) {
  grpc::ByteBuffer next;
  bool write = false, finish = false, last = false, more = false, writable = false;
  std::deque<Reply> dropped;
  {
    std::lock_guard lock(mutex_);
    queued_ -= in_flight_;
    in_flight_ = 0;
    if (!ok) {
      dead_ = true;
      dropped.swap(waiting_);
    }
    if (waiting_.empty()) {
      writing_ = false;
      finish = finishing_;
    } else {
      next.Swap(&waiting_.front().message);
      in_flight_ = waiting_.front().bytes;
      waiting_.pop_front();
      write = true;
      more = !waiting_.empty();
      last = finishing_ && !more;
    }
    if (holding_ && !dead_ && !finishing_ && queued_ <= queue_.shared().options.stream_buffer_bytes / 2) {
      holding_ = false;
      writable = true;
    }
  }
  if (last) {
    Hold();
    io_->WriteAndFinish(next, grpc::WriteOptions(), final_, Tag(kFinish));
  } else if (write) {
    grpc::WriteOptions options;
    if (more) options.set_buffer_hint();  // the next one follows at once: no system call for this one
    Hold();
    io_->Write(next, options, Tag(kWrite));
  } else if (finish) {
    FinishNow();
  }
  if (writable) in_.fn->writable(in_.self);
}

void Call::Finish(tenon_status status, const tenon_error* error, const tenon_kv* trailers, size_t n) {
  std::string details;
  for (size_t i = 0; i < n; ++i) {
    if (View(trailers[i].key) == "grpc-status-details-bin") {
      details = Text(trailers[i].val);
    } else {
      context_->AddTrailingMetadata(Text(trailers[i].key), Text(trailers[i].val));
    }
  }
  bool now;
  {
    std::lock_guard lock(mutex_);
    final_ = ToGrpc(status, error, std::move(details));
    finishing_ = true;
    now = !writing_;
  }
  if (now) FinishNow();
  Drop();
}

void Call::FinishNow() {
  Hold();
  io_->Finish(final_, Tag(kFinish));
}

}  // namespace tenon::transport_grpc
