// How this module talks to the server it lives in: tenon.host.call/1, with every answer on the kernel's pool.
//
// An answer may come on any thread, also on one that must not call the server again; so it is only handed over there.
// A Strand runs what belongs to one conversation, one piece after the other, and needs no lock for that.
#pragma once
#include <tenon/sdk/sdk.hpp>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "proto/rpc.pb.h"

namespace tenon::concurrency {

struct Failure {
  tenon_status code = TENON_OK;
  std::string text;
  bool ok() const { return code == TENON_OK; }
};

// One owned message.
tenon_bufs ToBufs(std::string bytes);
// Takes the message over.
std::string FromBufs(tenon_bufs bufs);
// etcd's answers to what is not the message.
Failure CannotParse();

class Client {
 public:
  explicit Client(const sdk::Host& host);  // throws if the host lacks something

  // A call of one of the server's own methods; `done` runs on the pool. [any but apply, raft]
  using Done = std::function<void(Failure, std::string reply)>;
  void Ask(std::string_view method, const google::protobuf::MessageLite& request, Done done);
  // Runs fn on the pool, soon. [any]
  void Post(std::function<void()> fn);

  // What is under way: asks, watches, conversations. WaitIdle returns when there is none.
  void Began();
  void Ended();
  void WaitIdle();

  const tenon_host* host() const { return host_.raw(); }
  const tenon_host_call_v1& call() const { return *call_; }
  // 0: the server has no such method.
  uint32_t Method(std::string_view name) const;

 private:
  const sdk::Host host_;
  const tenon_host_call_v1* const call_;
  const tenon_host_exec_v1* const exec_;
  std::mutex mutex_;
  std::condition_variable idle_;
  size_t under_way_ = 0;
};

class Strand : public std::enable_shared_from_this<Strand> {
 public:
  explicit Strand(Client& client) : client_(client) {}
  void Post(std::function<void()> fn);  // [any]

 private:
  void Run();
  Client& client_;
  std::mutex mutex_;
  std::vector<std::function<void()>> waiting_;
  bool running_ = false;
};

// Events of a key or a range, from a revision on. All on the strand.
class Watch : public std::enable_shared_from_this<Watch> {
 public:
  struct Sink {
    std::function<void(const etcdserverpb::WatchResponse&)> response;  // with events, or canceled
    std::function<void(const Failure&)> ended;                         // the stream; not after Close
  };
  static std::shared_ptr<Watch> Open(Client& client, std::shared_ptr<Strand> strand, std::string_view key,
                                     std::string_view range_end, int64_t revision, Sink sink);
  // No more calls of the sink. Once or more.
  void Close();
  // Holds the server back while the reader is slow.
  void Hold(bool hold);

  Watch(Client& client, std::shared_ptr<Strand> strand, Sink sink);

 private:
  static const tenon_call_out_v1 kOut;
  static Watch& Of(void* self) { return *static_cast<Watch*>(self); }
  void Start(const etcdserverpb::WatchRequest& request);
  void Finished(const Failure& failure);

  Client& client_;
  const std::shared_ptr<Strand> strand_;
  Sink sink_;
  tenon_call_info info_{};
  tenon_call_in in_{};
  std::shared_ptr<Watch> self_;  // until the stream's end
  std::atomic<bool> hold_{false}, told_to_hold_{false};
  bool closed_ = false, finished_ = false;
};

}  // namespace tenon::concurrency
