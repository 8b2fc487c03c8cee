// The one answer of a unary call, carried by whoever will give it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "kernel/base/bufs.h"
#include "kernel/base/status.h"
#include "tenon/abi/transport.h"

namespace google::protobuf {
class MessageLite;
}

namespace tenon::api {

// A Status as the ABI wants it: the code and the sentence.
tenon_error ToError(const Status& status);

// What the dispatcher wants to know when a call ends.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void CallEnded(uint32_t method, uint64_t started_ns, const Status& status, size_t answer_bytes) = 0;
};

class Responder {
 public:
  Responder(tenon_done done, CallObserver* observer, uint32_t method, uint64_t started_ns)
      : call_(new Call{done, observer, method, started_ns}) {}
  Responder(Responder&&) = default;
  // A call that nobody answered any more (the server stops) still ends.
  ~Responder();

  void operator()(const Status& status, Bufs answer);
  void Error(const Status& status) { (*this)(status, {}); }
  void Ok(Bufs answer) { (*this)(tenon::Ok(), std::move(answer)); }
  void Ok(const google::protobuf::MessageLite& answer);

  // True if the call that this thread began last with Begin was answered by now, on this thread.
  static void Begin();
  static bool EndedInside();

 private:
  struct Call {
    tenon_done done;
    CallObserver* observer;
    uint32_t method;
    uint64_t started_ns;
  };
  std::unique_ptr<Call> call_;
};

// A message as a reply of one part.
Bufs Serialize(const google::protobuf::MessageLite& message);

}  // namespace tenon::api
