// A kernel for a transport to talk to: tenon.host.dispatch/1 with a service that echoes, hangs, fails and streams.
//
// echo.Echo/Unary    the request, inline            /Later    the same from another thread
// /Fail              "CODE text" as a status        /Show     what the call info says, one line per fact
// /Stubborn          nothing until LetGo(), whatever the client does
// /Hang              nothing until cancelled        /Bidi     each message back; half-close: OK with a trailer
// /Collect           the number of bytes sent       /Produce  "N SIZE": N messages, as fast as flow control lets them
// /Reluctant         bidi that says AGAIN to each message until LetGo(), then as Bidi
// /Busy              a stream that is refused
//
// HTTP: every path answers with what it was asked, in one piece; /sized with its length, /teapot as 418, /large 20 MiB
// as fast as flow control lets them, /broken ends with an error after the body, /headless has no headers, /hang not
// until cancelled, /inline at once on the caller's thread, and /refused is refused.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "kernel/metrics/metrics.h"
#include "kernel/os/clock.h"
#include "kernel/os/thread.h"
#include "kernel/plugin/host.h"
#include "tenon/abi/host.h"
#include "tenon/abi/transport.h"

namespace tenon::testing {

class EchoStream;

// The YAML node given to create: names to scalars.
using Config = std::map<std::string, std::string>;
tenon_cfg AsNode(const Config& config, const std::string& where = "test.yaml:1:1");

class EchoKernel {
 public:
  EchoKernel();
  ~EchoKernel();

  const tenon_host* host() const { return host_.abi(); }

  // Waits until the predicate over the counters holds; false: not within a minute.
  bool Await(const std::function<bool()>& holds);
  // Lets the streams of /Reluctant take messages, and answers the calls of /Stubborn.
  void LetGo();
  // What the transport did against the comments in transport.h, each once.
  std::vector<std::string> violations() const;

  std::atomic<int> unary_calls{0}, unary_cancels{0};
  std::atomic<int> streams_begun{0}, streams_cancelled{0}, streams_half_closed{0}, streams_released{0};
  std::atomic<int> http_begun{0}, http_cancelled{0}, http_released{0};
  std::atomic<int> messages_in{0}, messages_out{0}, holds{0};
  std::atomic<int> requests_unreleased{0}, replies_unreleased{0};
  std::atomic<int64_t> bytes_unreleased{0}, most_bytes_unreleased{0};  // of replies

  // For EchoStream.
  void Post(std::function<void()> work);
  void Changed();
  // Owned reply of `text`, counted until its release; in parts of `part_bytes` (0: one part).
  tenon_bufs Reply(std::string text, size_t part_bytes = 0);
  bool reluctant();
  void Violation(const std::string& what);
  void Bury(std::unique_ptr<EchoStream> stream);

 private:
  friend class EchoStream;
  uint64_t Unary(const tenon_call_info*, tenon_bufs request, tenon_done);
  void CancelUnary(uint64_t call);
  tenon_status Stream(const tenon_call_info*, tenon_call_out, tenon_call_in*);
  tenon_status Http(const tenon_http_info*, tenon_bufs body, tenon_call_out, tenon_call_in*);
  void Work();

  OsClock clock_;
  metrics::Registry metrics_;
  Thread pool_;
  plugin::Host host_;
  std::mutex mutex_;
  std::condition_variable changed_, work_ready_;
  std::atomic<int> awaiting_{0};
  std::deque<std::function<void()>> work_;
  std::map<uint64_t, tenon_done> hanging_;
  std::set<EchoStream*> reluctant_;
  std::vector<tenon_done> stubborn_;
  bool let_go_ = false;
  uint64_t last_handle_ = 0;
  bool stopping_ = false;
  std::deque<std::unique_ptr<EchoStream>> graves_;  // of the worker
  mutable std::mutex violations_mutex_;
  std::vector<std::string> violations_;
  std::thread worker_;
};

// Serialized FileDescriptorSet with the service echo.Echo.
std::string EchoDescriptors();

}  // namespace tenon::testing
