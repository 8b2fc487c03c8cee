// What the host says about one stream or HTTP request, on any thread, until the loop takes it.
#pragma once
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "plugins/transport-h2/loop.h"
#include "plugins/transport-h2/output.h"
#include "tenon/abi/transport.h"

namespace tenon::transport_h2 {

using Fields = std::vector<std::pair<std::string, std::string>>;

// How a call ended, in the host's words.
struct End {
  tenon_status status = TENON_OK;
  std::string message;
  Fields trailers;
};

// The host's end writes into a shared part under a lock and posts the owner to its loop, once for all that comes until
// the loop looks; the loop's end moves it over and sends from its own part.
//
// The host holds the owner until the loop has taken its finish.
class Replies {
 public:
  // `owner` is posted. `framed`: each message gets gRPC's prefix.
  Replies(Loop& loop, Item* owner) : loop_(loop), owner_(owner) {}

  tenon_call_out out() { return {&kOut, this}; }
  // Before the host knows of it. budget: bytes that may wait until the host is told to hold; 0: a unary call.
  void Begin(bool framed, size_t budget);
  void Reset();  // nobody uses it any more

  // ---- the loop's end
  struct News {
    bool headers = false, readable = false, writable = false, finished = false;
  };
  // Moves over what the host said since the last time.
  News Take();
  Fields& headers() { return headers_; }  // after News said so
  End& end() { return end_; }             // after News said so

  size_t bytes() const { return bytes_; }  // that wait to be sent, with their prefixes
  void Send(size_t n, Output* output);     // n <= bytes()
  // A reply that came otherwise: of a unary call.
  void Add(tenon_bufs bufs);
  // Nothing reaches the client any more: what waits is released, what comes is refused.
  void Kill();

 private:
  static const tenon_call_out_v1 kOut;
  void Headers(const tenon_kv* kv, size_t n);
  tenon_status Message(tenon_bufs bufs);
  void Readable();
  void Finish(tenon_status, const tenon_error*, const tenon_kv* trailers, size_t n);

  Reply* NewReply(tenon_bufs bufs);
  void Wait(Reply* reply);

  Loop& loop_;
  Item* const owner_;
  bool framed_ = false;
  size_t budget_ = 0;

  // Loop's thread only.
  Reply inside_;  // the only one of most calls: no allocation
  ReplyQueue waiting_;
  size_t bytes_ = 0;
  Fields headers_;
  End end_;

  std::mutex mutex_;  // guards what follows; never held while the host or nghttp2 is called
  bool posted_ = false;
  bool dead_ = false;
  bool finishing_ = false;
  bool inside_used_ = false;
  bool holding_ = false;  // the host heard AGAIN
  size_t queued_ = 0;     // bytes that the host gave and nghttp2 has not taken
  News news_;
  ReplyQueue arrived_;
  Fields new_headers_;
  End new_end_;
};

}  // namespace tenon::transport_h2
