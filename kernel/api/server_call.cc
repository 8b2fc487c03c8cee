#include "kernel/api/server_call.h"

#include "kernel/api/responder.h"

namespace tenon::api {

const tenon_call_in_v1 ServerCall::kTable = {
    sizeof(tenon_call_in_v1),
    [](void* self, tenon_bufs message) {
      auto& call = *static_cast<ServerCall*>(self);
      Bufs owned(message);
      if (call.finished()) return static_cast<tenon_status>(TENON_CANCELLED);
      if (call.metrics_ != nullptr) call.metrics_->Received(owned.size());
      return static_cast<tenon_status>(call.OnMessage(std::move(owned)) ? TENON_OK : TENON_AGAIN);
    },
    [](void* self) {
      auto& call = *static_cast<ServerCall*>(self);
      if (!call.finished()) call.OnWritable();
    },
    [](void* self) {
      auto& call = *static_cast<ServerCall*>(self);
      if (!call.finished()) call.OnHalfClose();
    },
    [](void* self) {
      auto& call = *static_cast<ServerCall*>(self);
      if (!call.finished()) call.OnCancel();
    },
    [](void* self) {
      // The last one out: `held` dies at the end of this function.
      const std::shared_ptr<ServerCall> held = std::move(static_cast<ServerCall*>(self)->held_by_client_);
    },
};

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

bool ServerCall::Send(Bufs message) {
  if (finished()) return true;
  if (metrics_ != nullptr) metrics_->Sent(message.size());
  return out_.fn->message(out_.self, message.Release()) != TENON_AGAIN;
}

void ServerCall::Finish(const Status& status) {
  if (finished_.exchange(true, std::memory_order_acq_rel)) return;
  const std::shared_ptr<ServerCall> alive = shared_from_this();  // the client may release inside finish
  if (metrics_ != nullptr) metrics_->Handled(status.code(), clock_->MonoNs() - started_ns_);
  if (status.ok()) {
    out_.fn->finish(out_.self, TENON_OK, nullptr, nullptr, 0);
  } else {
    const tenon_error error = ToError(status);
    out_.fn->finish(out_.self, error.code, &error, nullptr, 0);
  }
}

}  // namespace tenon::api
