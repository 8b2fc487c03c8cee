// The server's end of a streaming call.
//
// Whoever serves a stream derives from ServerCall and overrides what it wants to hear of. Each On... comes one at a
// time but on any thread; Send, Finish and Readable may be called from inside one or later, by one thread at a time.
// The object lives until the client forgot it and Finish was called.
#pragma once
#include <atomic>
#include <memory>

#include "kernel/api/call_metrics.h"
#include "kernel/base/bufs.h"
#include "kernel/base/status.h"
#include "kernel/ports/clock.h"
#include "tenon/abi/transport.h"

namespace tenon::api {

class ServerCall : public std::enable_shared_from_this<ServerCall> {
 public:
  virtual ~ServerCall() = default;

  // Before Open, by who wants this call counted (a method of gRPC's). `clock` measures how long it lasts.
  void CountIn(MethodMetrics& metrics, Clock& clock);
  // Hands the call to the client's end: *in is valid until the client releases it. Once.
  void Open(tenon_call_out out, tenon_call_in* in);

 protected:
  // One request message. False: hold the next ones until Readable.
  virtual bool OnMessage(Bufs message) = 0;
  virtual void OnHalfClose() {}
  virtual void OnWritable() {}  // the client takes replies again
  virtual void OnCancel() = 0;  // the client is gone: Finish soon

  // Before the first Send, for those whose client wants headers.
  void Headers(const tenon_kv* headers, size_t n) {
    if (!finished()) out_.fn->headers(out_.self, headers, n);
  }
  // One reply. False: wait for OnWritable before the next.
  bool Send(Bufs message);
  void Readable() { out_.fn->readable(out_.self); }
  // The last function; later calls of Send and Finish do nothing.
  void Finish(const Status& status);
  bool finished() const { return finished_.load(std::memory_order_acquire); }

 private:
  static const tenon_call_in_v1 kTable;
  tenon_call_out out_{};
  MethodMetrics* metrics_ = nullptr;
  Clock* clock_ = nullptr;
  uint64_t started_ns_ = 0;
  std::atomic<bool> finished_{false};
  std::shared_ptr<ServerCall> held_by_client_;
};

}  // namespace tenon::api
