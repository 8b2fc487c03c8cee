// The server's end of a streaming call.
//
// Whoever serves a stream derives from ServerCall and overrides what it wants to hear of. Each On... comes one at a
// time but on any thread; Send, Finish and Readable may be called from inside one or later, by one thread at a time.
// The object lives until the client forgot it and Finish was called.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>

#include "absl/container/flat_hash_set.h"
#include "kernel/api/call_metrics.h"
#include "kernel/base/bufs.h"
#include "kernel/base/status.h"
#include "kernel/ports/clock.h"
#include "tenon/abi/transport.h"

namespace tenon::api {

class OpenStreams;

class ServerCall : public std::enable_shared_from_this<ServerCall> {
 public:
  virtual ~ServerCall();

  // Before Open, by who wants this call counted (a method of gRPC's). `clock` measures how long it lasts.
  void CountIn(MethodMetrics& metrics, Clock& clock);
  // Hands the call to the client's end: *in is valid until the client releases it. Once.
  void Open(tenon_call_out out, tenon_call_in* in);
  // Takes Open back, for a client that is told so by the return of its call: neither end exists.
  void Refuse(const Status& why);
  // After Open, by who may want to abort it: it is in `streams` until it finishes.
  void ListIn(OpenStreams& streams);
  // Asks it to finish with `why`, an error: OnAbort, unless it has finished. [any]
  void Abort(const Status& why);

 protected:
  // One request message. False: hold the next ones until Readable.
  virtual bool OnMessage(Bufs message) = 0;
  virtual void OnHalfClose() {}
  virtual void OnWritable() {}  // the client takes replies again
  // The client is gone, or Abort was: Finish(why) soon.
  virtual void OnAbort(const Status& why) = 0;
  virtual void OnRelease() {}  // the client forgot it: nothing else comes

  // Before the first Send, for those whose client wants headers.
  void Headers(const tenon_kv* headers, size_t n) {
    if (!finished()) out_.fn->headers(out_.self, headers, n);
  }
  // One reply. False: wait for OnWritable before the next.
  bool Send(Bufs message);
  void Readable() { out_.fn->readable(out_.self); }
  // The last function; later calls of Send and Finish do nothing.
  void Finish(const Status& status, const tenon_kv* trailers = nullptr, size_t n_trailers = 0);
  bool finished() const { return finished_.load(std::memory_order_acquire); }

 private:
  static const tenon_call_in_v1 kTable;
  class Turn;

  tenon_call_out out_{};
  MethodMetrics* metrics_ = nullptr;
  Clock* clock_ = nullptr;
  std::atomic<OpenStreams*> streams_{nullptr};
  uint64_t started_ns_ = 0;
  std::atomic<bool> finished_{false};
  std::recursive_mutex turn_;  // held by the On... that runs: Abort comes beside those that the client causes
  std::shared_ptr<ServerCall> held_by_client_;
};

// The streams that somebody may have to end. Lives longer than they. [any]
class OpenStreams {
 public:
  // Each that is open now is asked to finish with `why`.
  void AbortAll(const Status& why);
  size_t size() const;

 private:
  friend class ServerCall;
  mutable std::mutex mutex_;
  absl::flat_hash_set<ServerCall*> open_;
};

}  // namespace tenon::api
