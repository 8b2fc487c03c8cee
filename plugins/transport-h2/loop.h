// One epoll loop: its thread, its connections, its timers, and the work that other threads hand to it.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "plugins/transport-common/methods.h"
#include "plugins/transport-common/timers.h"
#include "plugins/transport-h2/inbox.h"
#include "plugins/transport-h2/options.h"
#include "plugins/transport-h2/output.h"
#include "plugins/transport-h2/session_memory.h"
#include "tenon/abi/transport.h"

namespace tenon::transport_h2 {

class Call;
class Connection;
using transport::Timer;
using transport::Timers;

// What all loops of a transport share; outlives them.
struct Shared {
  const tenon_host* host;
  const tenon_host_dispatch_v1* dispatch;
  Options options;
  transport::ServiceNames services;
  const char* thread_name = "h2-loop";
};

// Something epoll tells of.
class Source {
 public:
  virtual void Ready(uint32_t events) = 0;

 protected:
  ~Source() = default;
};

// A turn of the loop: read what came and hand calls to the host; take what the host answered; fire timers; then one
// write for each connection that has something to say.
class Loop {
 public:
  // `ended`: called on the loop's thread, when after Drain nothing is left.
  Loop(Shared& shared, int number, std::function<void()> ended);
  ~Loop();

  void Start();
  void Join();
  // [any] Closes to newcomers, lets calls end until `deadline_ns` (of NowNs), cancels the rest, and ends the thread.
  // Again: an earlier deadline.
  void Drain(uint64_t deadline_ns);
  // [any] Item::Arrived on the loop's thread, in this turn or the next.
  void Post(Item* item);
  // [any] The same for a function.
  void Run(std::function<void()> work);
  // [any but the loop] Runs it there and waits.
  void RunAndWait(const std::function<void()>& work);
  // [any] A connected socket to serve.
  void Adopt(int fd, uint32_t roles);
  // [the loop] A socket of whatever kind; not while draining.
  Connection& Open(int fd, uint32_t roles);

  // ---- the loop's thread
  void Turn(int timeout_ms);  // what the thread does again and again
  bool draining() const { return draining_; }
  bool over() const { return done_; }  // after Drain: nothing is left
  bool IsHere() const { return current_ == this; }
  Shared& shared() { return shared_; }
  transport::MethodCache& methods() { return methods_; }
  Timers& timers() { return timers_; }
  uint64_t now_ns() const { return now_ns_; }  // as of this turn
  static uint64_t NowNs();
  SessionMemory& session_memory() { return session_memory_; }
  std::vector<uint8_t>& read_buffer() { return read_buffer_; }

  void Watch(int fd, uint32_t events, Source* source);
  void Rewatch(int fd, uint32_t events, Source* source);
  void Unwatch(int fd);

  void MarkDirty(Connection* connection);  // it may have something to write
  void Bury(Connection* connection);       // deleted at the end of the turn
  std::unique_ptr<Output> TakeOutput();
  void GiveOutput(std::unique_ptr<Output> output);

  Call* NewCall();
  void Recycle(Call* call);
  // Something that comes back to the loop, which does not end before.
  void ExchangeBegan() { ++exchanges_; }
  void ExchangeEnded() { --exchanges_; }

 private:
  struct Work;

  void Serve();
  void TakeWork();
  void Flush();
  void BeginDrain();
  void CloseAll();
  int TimeoutMs() const;

  Shared& shared_;
  const int number_;
  const std::function<void()> ended_;
  transport::MethodCache methods_;
  int epoll_ = -1, wake_ = -1;
  std::thread thread_;
  static thread_local Loop* current_;

  Inbox inbox_;
  std::atomic<int> posting_{0};                          // threads inside Post: the loop outlives them
  Item *local_first_ = nullptr, *local_last_ = nullptr;  // posted by the loop's own thread

  Timers timers_;
  uint64_t now_ns_ = 0;
  std::vector<uint8_t> read_buffer_;
  SessionMemory session_memory_;
  std::vector<Connection*> connections_;  // each knows its place
  std::vector<Connection*> dirty_, flushing_;
  std::vector<std::unique_ptr<Connection>> buried_;
  std::vector<std::unique_ptr<Output>> outputs_;
  std::vector<std::unique_ptr<Call>> free_calls_;
  size_t exchanges_ = 0;  // calls and requests that exist and that the host may know, and what else comes back

  std::atomic<uint64_t> drain_deadline_ns_{UINT64_MAX};
  bool draining_ = false, done_ = false;
  Timer drain_timer_;
};

}  // namespace tenon::transport_h2
