#include "plugins/transport-grpc/call.h"

#include <grpcpp/impl/codegen/core_codegen_interface.h>

#include <algorithm>

#include "kernel/base/check.h"
#include "plugins/transport-grpc/bytes.h"
#include "plugins/transport-grpc/status.h"

namespace tenon::transport_grpc {
namespace {

// What HTTP/2 and gRPC themselves need is not the caller's metadata.
bool IsMetadata(std::string_view key) {
  return !key.empty() && key[0] != ':' && key.substr(0, 5) != "grpc-" && key != "te" && key != "content-type" &&
         key != "accept-encoding";
}

// "ipv4:127.0.0.1:4711" as Go prints an address: "127.0.0.1:4711". gRPC percent-encodes the brackets of IPv6.
std::string RemoteAddress(std::string_view peer) {
  if (peer.substr(0, 5) == "unix:") return std::string(peer.substr(5));
  if (peer.substr(0, 5) == "ipv4:" || peer.substr(0, 5) == "ipv6:") peer.remove_prefix(5);
  std::string out;
  for (size_t i = 0; i < peer.size(); ++i) {
    if (peer.substr(i, 3) == "%5B" || peer.substr(i, 3) == "%5D") {
      out += peer[i + 2] == 'B' ? '[' : ']';
      i += 2;
    } else {
      out += peer[i];
    }
  }
  return out;
}

// 0: no deadline. One that passed already is one nanosecond: 0 would mean none.
int64_t TimeoutNs(gpr_timespec deadline) {
  if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) return 0;
  gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  if (left.tv_sec > INT64_MAX / 2'000'000'000) return 0;
  return std::max<int64_t>(1, left.tv_sec * 1'000'000'000 + left.tv_nsec);
}

}  // namespace

void Call::Wait() {
  context_.emplace();
  io_.emplace(&*context_);
  context_->AsyncNotifyWhenDone(Tag(kDone));
  queue_.shared().service.RequestCall(&*context_, &*io_, queue_.cq(), queue_.cq(), Tag(kNew));
}

void Call::OnTag(void* tag, bool ok) {
  auto bits = reinterpret_cast<uintptr_t>(tag);
  auto* call = reinterpret_cast<Call*>(bits & ~uintptr_t{kEventMask});
  switch (static_cast<Event>(bits & kEventMask)) {
    case kNew: {
      call->queue_.Left();
      if (!ok) return call->End();  // the server shut down before a client came; no kDone follows
      call->Hold();                 // until kDone
      call->Hold();
      std::lock_guard lock(call->events_);
      call->OnNew();
      call->queue_.Refill();
      break;
    }
    case kRead: {
      std::lock_guard lock(call->events_);
      call->stream_ ? call->OnStreamRead(ok) : call->OnUnaryRead(ok);
      break;
    }
    case kWrite: {
      std::lock_guard lock(call->events_);
      call->OnStreamWrite(ok);
      break;
    }
    case kFinish: break;
    case kDone: call->OnDone(); break;
    default: CHECK(false);
  }
  call->Drop();
}

void Call::OnNew() {
  Method method = queue_.methods().Find(context_->method());
  if (method.id == 0) {
    return Refuse({grpc::StatusCode::UNIMPLEMENTED, queue_.shared().services.Unknown(context_->method())});
  }
  FillInfo(method);
  stream_ = method.flags != 0;
  if (stream_) return BeginStream();
  queue_.Begin();
  unary_ = true;
  Read();
}

void Call::FillInfo(const Method& method) {
  meta_.clear();
  for (const auto& [key, value] : context_->client_metadata()) {
    if (!IsMetadata({key.data(), key.size()})) continue;
    meta_.push_back({Slice({key.data(), key.size()}), Slice({value.data(), value.size()})});
  }
  remote_addr_ = RemoteAddress(context_->peer());
  cred_ = {.size = sizeof cred_, .remote_addr = Slice(remote_addr_)};
  info_ = {.size = sizeof info_,
           .method = method.id,
           .name = Slice(context_->method()),
           .meta = meta_.data(),
           .n_meta = meta_.size(),
           .cred = &cred_,
           .timeout_ns = TimeoutNs(context_->raw_deadline())};
}

void Call::Read() {
  Hold();
  io_->Read(&incoming_, Tag(kRead));
}

void Call::Refuse(const grpc::Status& status) {
  Hold();
  io_->Finish(status, Tag(kFinish));
}

// gRPC completes a read without a message both when the client closed its half and when the call died, and the notice
// of the death may come later. A half-close made up for a dead client would let its server commit half a stream.
bool Call::HalfClosed() {
  return !cancelled_ && !grpc::g_core_codegen_interface->grpc_call_failed_before_recv_message(context_->c_call());
}

void Call::OnDone() {
  if (context_->IsCancelled()) OnCancelled();
}

void Call::OnCancelled() {
  std::lock_guard lock(events_);
  cancelled_ = true;
  if (stream_) return OnStreamCancelled();
  if (handle_ != 0) queue_.shared().dispatch->unary_cancel(queue_.shared().host, handle_);
}

void Call::OnUnaryRead(bool ok) {
  if (!ok && HalfClosed()) return Refuse({grpc::StatusCode::UNKNOWN, "EOF"});  // as grpc-go for a missing request
  if (!ok || cancelled_) return Refuse(grpc::Status::CANCELLED);
  Hold();  // the host, until UnaryDone returns
  Shared& shared = queue_.shared();
  handle_ = shared.dispatch->unary(shared.host, &info_, TakeMessage(incoming_), {this, &Call::UnaryDone});
}

void Call::UnaryDone(void* self, tenon_status status, const tenon_error* error, tenon_bufs reply) {
  auto* call = static_cast<Call*>(self);
  call->Hold();
  if (status == TENON_OK) {
    call->io_->WriteAndFinish(MakeMessage(reply, call->queue_.shared().lent), grpc::WriteOptions(), grpc::Status::OK,
                              call->Tag(kFinish));
  } else {
    TENON_RELEASE(reply);
    call->io_->Finish(ToGrpc(status, error), call->Tag(kFinish));
  }
  call->Drop();
}

void Call::Drop() {
  if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) End();
}

void Call::End() {
  if (in_.fn != nullptr) in_.fn->release(in_.self);
  io_.reset();
  context_.reset();
  incoming_.Clear();
  meta_.clear();
  if (unary_) queue_.Ended();
  unary_ = stream_ = cancelled_ = readable_early_ = writing_ = holding_ = finishing_ = dead_ = false;
  handle_ = 0;
  in_ = {};
  reading_ = Reading::kNo;
  waiting_.clear();
  in_flight_ = queued_ = 0;
  final_ = grpc::Status();
  queue_.Recycle(this);
}

}  // namespace tenon::transport_grpc
