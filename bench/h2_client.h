// gRPC calls over HTTP/2 without gRPC: as little of our own CPU per call as nghttp2 allows.
//
// A Loop waits for its connections; a Connection carries calls; a Call says what came. Nothing here starts a thread
// or a timer: everything happens inside Loop::Turn, on the caller's thread.
#pragma once
#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/status.h"

namespace tenon::bench {

class Connection;

// Nanoseconds of CLOCK_MONOTONIC, as Python's time.monotonic_ns.
uint64_t NowNs();

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Writes what was started since the last turn, waits at most `timeout_ns` (-1: as long as it takes), reads, lets
  // the calls answer, then writes what they started: one write per connection.
  void Turn(int64_t timeout_ns);

  // When bytes last came in, or the turn began. Taken once per read: the time of every call this read answers.
  uint64_t now_ns() const { return now_ns_; }

 private:
  friend class Connection;

  void Flush();

  int epoll_ = -1;
  uint64_t now_ns_ = 0;
  std::string buffer_;                 // what read() fills, shared by all connections
  std::vector<Connection*> to_flush_;  // those with something to write; null: closed meanwhile
};

struct CallResult {
  StatusCode code = StatusCode::kOk;
  std::string message;  // grpc-message as it was sent, or what happened to the connection
};

// One unary call after the other. It belongs to the caller and must outlive what it started.
class Call {
 public:
  virtual ~Call() = default;

  // One whole message of the answer, without gRPC's 5-byte prefix; valid until it returns.
  virtual void OnMessage(std::string_view message) = 0;
  // The call is over; it may be started again at once, also on another connection.
  virtual void OnDone(const CallResult& result) = 0;

 protected:
  bool keeps_open_ = false;  // the request does not end with what Start was given: a watch

 private:
  friend class Connection;

  void Receive(std::string_view bytes);

  size_t slot_ = 0;  // where the connection lists it
  std::string_view request_;
  std::string part_;  // of a message that came in several pieces
  int grpc_status_ = -1;
  int http_status_ = 0;
  std::string message_;
};

struct ConnectionOptions {
  // What the server may send before we have read it. A stream's window is HTTP/2's own word for an answer that
  // comes in one go; 1 MiB and 16 MiB let a large answer flow without a wait at loopback's speed.
  uint32_t stream_window = 1 << 20;
  uint32_t connection_window = 16 << 20;
  std::string user_agent = "tenon-load";
};

class Connection {
 public:
  // Connects (waiting for it) to "HOST:PORT" or "http://HOST:PORT". The loop must outlive the connection.
  static Result<std::unique_ptr<Connection>> Open(Loop& loop, const std::string& address,
                                                  const ConnectionOptions& options = {});
  // Calls that are still open hear nothing more.
  ~Connection();

  // Starts `call` of the method `path`. `request` is gRPC-framed (5-byte prefix first); it and the path must stay
  // as they are until OnDone. False: the connection is lost, and the call will hear nothing.
  bool Start(Call& call, std::string_view path, std::string_view request);

  bool lost() const { return fd_ < 0; }
  size_t open_calls() const { return calls_.size(); }
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }

  // For a test that wants to send what no client should. Whatever is submitted goes out at the end of the turn.
  nghttp2_session* session() { return session_; }
  void WantFlush();

 private:
  friend class Loop;
  struct Callbacks;  // nghttp2's, which need private parts

  Connection(Loop& loop, int fd, std::string authority, const ConnectionOptions& options);
  void Read();
  void Flush();
  void Watch(bool writable);
  void Finish(Call& call, uint32_t http2_error);
  void Lose(const std::string& why);

  Loop& loop_;
  int fd_;
  std::string authority_;
  std::string user_agent_;
  nghttp2_session* session_ = nullptr;
  std::vector<Call*> calls_;
  std::string out_;
  size_t out_sent_ = 0;
  bool flush_wanted_ = false;
  bool waits_to_write_ = false;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
};

}  // namespace tenon::bench
