// Members with a peer module each, and a handler that notes what came.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernel/metrics/metrics.h"
#include "kernel/os/clock.h"
#include "kernel/os/thread.h"
#include "kernel/peer/module.h"
#include "kernel/plugin/instance.h"

namespace tenon::testing {

constexpr uint64_t kCluster = 0xc1;
constexpr uint64_t kSecond = 1'000'000'000;

struct Answer {
  Status status;
  std::string bytes;
};

class PeerNode final : private PeerHandler {
 public:
  struct Options {
    std::string use = "h2";
    uint64_t cluster_id = kCluster;
    std::string url = "http://127.0.0.1:0";
  };
  PeerNode(Options options, MemberId id);
  ~PeerNode() override;  // as a crash that closes its sockets; Stop

  MemberId id() const { return id_; }
  const std::string& url() const { return url_; }
  int port() const { return std::stoi(url_.substr(url_.rfind(':') + 1)); }
  peer::Module& peers() { return module_; }
  plugin::Instance& instance() { return *instance_; }
  metrics::Registry& metrics() { return metrics_; }

  void Knows(MemberId id, const std::string& url) { module_.Set(id, {url}); }
  void Send(MemberId to, bool urgent, std::string bytes);
  // Waits for the answer.
  Answer Call(MemberId to, const std::string& method, const std::string& request, uint64_t timeout_ns = 60 * kSecond,
              const std::string& url = "");
  bool Drain(uint64_t grace_ns);  // true: before the grace was over
  void Stop();

  // What came from a member so far, and how often one was reported as unreachable.
  std::vector<std::string> From(MemberId id);
  size_t CountFrom(MemberId id);
  bool Has(MemberId id, const std::string& message);
  int Losses(MemberId id);
  // Until something holds; looks again whenever something came. False: it never did, for minutes.
  bool Await(const std::function<bool()>& holds);
  bool AwaitFrom(MemberId id, size_t n) {
    return Await([&] { return CountFrom(id) >= n; });
  }
  bool AwaitActive(MemberId id, bool active = true) {
    return Await([&] { return (module_.ActiveSinceNs(id) != 0) == active; });
  }

  // Before anything comes. Default: takes all; echoes "METHOD FROM REQUEST".
  std::function<Status(const PeerSender&, std::string_view)> deliver;
  std::function<void(const PeerSender&, std::string_view method, std::string request, Done done)> answer;

 private:
  Status Deliver(const PeerSender& from, std::string_view message) override;
  void Call(const PeerSender& from, std::string_view method, std::string request, Done done) override;
  void Unreachable(MemberId id) override;

  const MemberId id_;
  OsClock clock_;
  Thread pool_{"pool"};
  metrics::Registry metrics_;
  peer::Module module_;
  std::unique_ptr<plugin::Instance> instance_;
  std::string url_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<MemberId, std::vector<std::string>> received_;  // under mutex_
  std::map<MemberId, int> unreachable_;                    // under mutex_
};

// Which module sends, and which receives.
struct Pair {
  std::string from, to;
  friend std::ostream& operator<<(std::ostream& out, const Pair& pair) { return out << pair.from << " to " << pair.to; }
};
std::vector<Pair> Pairs();
inline std::string NameOf(const ::testing::TestParamInfo<Pair>& info) {
  return info.param.from + "_to_" + info.param.to;
}

class PeerTest : public ::testing::TestWithParam<Pair> {
 protected:
  static PeerNode::Options From() { return {.use = GetParam().from}; }
  static PeerNode::Options To() { return {.use = GetParam().to}; }
};

}  // namespace tenon::testing
