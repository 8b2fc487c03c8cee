// Raises the cluster's version when the last member has been upgraded: the leader asks all for theirs and proposes the
// least (kernel/cluster/version.h).
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernel/base/version.h"
#include "kernel/cluster/ids.h"
#include "kernel/cluster/membership.h"
#include "kernel/node/node.h"
#include "kernel/ports/executor.h"
#include "kernel/ports/peers.h"

namespace tenon::node {

class VersionWatch {
 public:
  static constexpr uint64_t kLookNs = 4'000'000'000;  // etcd's
  static constexpr uint64_t kAnswerNs = 1'000'000'000;

  struct Parts {
    Executor& executor;
    Node& node;
    cluster::Membership& membership;
    cluster::RequestIds& ids;
    Peers* peers;  // null: this member is alone
  };
  explicit VersionWatch(Parts parts) : p_(std::move(parts)) {}

  void Start();                     // [executor] The first look comes at once.
  void Stop() { stopped_ = true; }  // [any]
  // Answers Version. [any]
  std::string Answer() const;

 private:
  struct Round {
    size_t waiting = 0;
    std::vector<std::optional<Version>> members;
  };
  void Decide(const Round& round);

  const Parts p_;
  std::atomic<bool> stopped_{false};
};

}  // namespace tenon::node
