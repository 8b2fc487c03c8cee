#include "kernel/api/server_call.h"

#include <utility>
#include <vector>

#include "kernel/api/responder.h"

namespace tenon::api {

// One On... from beginning to end; the call outlives it, although the client may release it inside.
class ServerCall::Turn {
 public:
  explicit Turn(ServerCall& call) : call_(call.shared_from_this()), lock_(call.turn_) {}

 private:
  const std::shared_ptr<ServerCall> call_;
  const std::lock_guard<std::recursive_mutex> lock_;
};

const tenon_call_in_v1 ServerCall::kTable = {
    sizeof(tenon_call_in_v1),
    [](void* self, tenon_bufs message) {
      auto& call = *static_cast<ServerCall*>(self);
      Bufs owned(message);
      if (call.finished()) return static_cast<tenon_status>(TENON_CANCELLED);
      if (call.metrics_ != nullptr) call.metrics_->Received(owned.size());
      const Turn turn(call);
      return static_cast<tenon_status>(call.OnMessage(std::move(owned)) ? TENON_OK : TENON_AGAIN);
    },
    [](void* self) {
      auto& call = *static_cast<ServerCall*>(self);
      const Turn turn(call);
      if (!call.finished()) call.OnWritable();
    },
    [](void* self) {
      auto& call = *static_cast<ServerCall*>(self);
      const Turn turn(call);
      if (!call.finished()) call.OnHalfClose();
    },
    [](void* self) { static_cast<ServerCall*>(self)->Abort(Status(StatusCode::kCancelled, "context canceled")); },
    [](void* self) {
      auto& call = *static_cast<ServerCall*>(self);
      const Turn turn(call);
      call.held_by_client_.reset();
      call.OnRelease();
    },
};

ServerCall::~ServerCall() = default;

void ServerCall::CountIn(MethodMetrics& metrics, Clock& clock) {
  metrics_ = &metrics;
  clock_ = &clock;
  started_ns_ = clock.MonoNs();
  metrics.Started();
}

void ServerCall::Open(tenon_call_out out, tenon_call_in* in) {
  out_ = out;
  held_by_client_ = shared_from_this();
  *in = {&kTable, this};
}

void ServerCall::Refuse(const Status& why) {
  finished_ = true;
  if (metrics_ != nullptr) metrics_->Handled(why.code(), clock_->MonoNs() - started_ns_);
  held_by_client_.reset();
}

// It may finish at the same time: either that is seen here, or Finish sees `streams_`.
void ServerCall::ListIn(OpenStreams& streams) {
  streams_ = &streams;
  std::lock_guard lock(streams.mutex_);
  if (!finished_) streams.open_.insert(this);
}

void ServerCall::Abort(const Status& why) {
  const Turn turn(*this);
  if (!finished() && held_by_client_ != nullptr) OnAbort(why);
}

bool ServerCall::Send(Bufs message) {
  if (finished()) return true;
  if (metrics_ != nullptr) metrics_->Sent(message.size());
  return out_.fn->message(out_.self, message.Release()) != TENON_AGAIN;
}

void ServerCall::Finish(const Status& status, const tenon_kv* trailers, size_t n_trailers) {
  if (finished_.exchange(true)) return;
  const std::shared_ptr<ServerCall> alive = shared_from_this();  // the client may release inside finish
  if (OpenStreams* streams = streams_; streams != nullptr) {
    std::lock_guard lock(streams->mutex_);
    streams->open_.erase(this);
  }
  if (metrics_ != nullptr) metrics_->Handled(status.code(), clock_->MonoNs() - started_ns_);
  if (status.ok()) {
    out_.fn->finish(out_.self, TENON_OK, nullptr, trailers, n_trailers);
  } else {
    const tenon_error error = ToError(status);
    out_.fn->finish(out_.self, error.code, &error, trailers, n_trailers);
  }
}

void OpenStreams::AbortAll(const Status& why) {
  std::vector<std::shared_ptr<ServerCall>> open;
  {
    std::lock_guard lock(mutex_);
    for (ServerCall* call : open_) {
      if (auto alive = call->weak_from_this().lock()) open.push_back(std::move(alive));
    }
  }
  for (const auto& call : open) call->Abort(why);
}

size_t OpenStreams::size() const {
  std::lock_guard lock(mutex_);
  return open_.size();
}

}  // namespace tenon::api
