#include "kernel/api/responder.h"

#include <google/protobuf/message_lite.h>

#include <algorithm>
#include <cstring>

#include "kernel/base/check.h"
#include "kernel/base/errors.h"

namespace tenon::api {
namespace {
thread_local uint64_t answered = 0;  // calls that this thread answered
thread_local uint64_t answered_at_begin = 0;
}  // namespace

tenon_error ToError(const Status& status) {
  tenon_error error{};
  error.size = sizeof error;
  error.code = static_cast<tenon_status>(status.code());
  const std::string_view text = Message(status);
  const size_t n = std::min(text.size(), sizeof error.msg - 1);
  std::memcpy(error.msg, text.data(), n);
  return error;
}

Bufs Serialize(const google::protobuf::MessageLite& message) {
  BufsBuilder out;
  const size_t size = message.ByteSizeLong();
  char* to = out.Reserve(size);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(to));
  out.Commit(size);
  return out.Take();
}

void Responder::operator()(const Status& status, Bufs answer) {
  CHECK(call_ != nullptr);
  const std::unique_ptr<Call> call = std::move(call_);
  answered++;
  if (call->observer != nullptr) call->observer->CallEnded(call->method, call->started_ns, status, answer.size());
  if (status.ok()) {
    call->done.fn(call->done.ctx, TENON_OK, nullptr, answer.Release());
  } else {
    const tenon_error error = ToError(status);
    call->done.fn(call->done.ctx, error.code, &error, tenon_bufs{});
  }
}

void Responder::Ok(const google::protobuf::MessageLite& answer) { Ok(Serialize(answer)); }

Responder::~Responder() {
  if (call_ != nullptr) Error(errors::Stopped());
}

void Responder::Begin() { answered_at_begin = answered; }
bool Responder::EndedInside() { return answered != answered_at_begin; }

}  // namespace tenon::api
