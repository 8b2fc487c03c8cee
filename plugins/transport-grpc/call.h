// One call of a client, unary or stream: a state machine over gRPC's events and the host's functions.
#pragma once
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "plugins/transport-grpc/queue.h"
#include "tenon/abi/transport.h"

namespace tenon::transport_grpc {

// The object is used for one call after the other. Everything towards the host's `in` end happens in an event
// of the queue, and the events that reach it run one at a time; the host's calls come on any thread.
//
// Holders keep the call: each gRPC operation that has not come back, the notice of the call's end, and the host until
// it called done or finish and we returned from it. The last one to go gives the object back to the queue, so a queue
// without calls has no operation in flight and no foreign thread inside gRPC.
class alignas(8) Call {
 public:
  explicit Call(Queue& queue) : queue_(queue) {}

  // Lets gRPC begin a call here.
  void Wait();
  // [queue threads] An event of the call in `tag`.
  static void OnTag(void* tag, bool ok);

 private:
  enum Event : uintptr_t { kNew, kRead, kWrite, kFinish, kDone, kEventMask = 7 };
  void* Tag(Event event) { return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(this) | event); }

  void OnNew();
  void OnDone();
  void OnCancelled();
  void Hold() { holders_.fetch_add(1, std::memory_order_relaxed); }
  void Drop();
  void End();

  void FillInfo(const Method& method);
  void Refuse(const grpc::Status& status);  // the call never reaches the host
  bool HalfClosed();                        // after a failed read: the client sent all; false: it is gone

  // unary
  void OnUnaryRead(bool ok);
  static void UnaryDone(void* self, tenon_status, const tenon_error*, tenon_bufs reply);

  // stream
  static const tenon_call_out_v1 kOut;
  void BeginStream();
  void OnStreamRead(bool ok);
  void OnStreamWrite(bool ok);
  void OnStreamCancelled();
  void Read();
  void Headers(const tenon_kv*, size_t n);
  tenon_status Message(tenon_bufs);
  void Readable();
  void Finish(tenon_status, const tenon_error*, const tenon_kv* trailers, size_t n);
  void FinishNow();

  Queue& queue_;
  std::optional<grpc::GenericServerContext> context_;
  std::optional<grpc::GenericServerAsyncReaderWriter> io_;
  std::atomic<int> holders_{0};

  // Events only, and the host's to read until done or finish.
  std::string remote_addr_;
  std::vector<tenon_kv> meta_;
  tenon_cred cred_{};
  tenon_call_info info_{};

  // One event of the call at a time: two threads may have two of them. Held while the host is called, who never
  // waits for an event.
  std::mutex events_;
  grpc::ByteBuffer incoming_;
  bool unary_ = false, stream_ = false;  // neither: refused
  bool cancelled_ = false;
  uint64_t handle_ = 0;  // of a unary call
  tenon_call_in in_{};   // of a stream

  struct Reply {
    grpc::ByteBuffer message;
    size_t bytes = 0;
  };
  enum class Reading { kNo, kYes, kDelivering, kHeld };
  // Guards what follows; never held while gRPC or the host is called.
  std::mutex mutex_;
  Reading reading_ = Reading::kNo;
  bool readable_early_ = false;  // the host said readable while its message() had not returned AGAIN yet
  std::deque<Reply> waiting_;    // not yet given to gRPC
  bool writing_ = false;         // one write is in flight
  size_t in_flight_ = 0;         // its bytes
  size_t queued_ = 0;            // bytes in waiting_ and in flight
  bool holding_ = false;         // the host heard AGAIN
  bool finishing_ = false;       // the host called finish
  bool dead_ = false;            // nothing reaches the client any more
  grpc::Status final_;
};

}  // namespace tenon::transport_grpc
