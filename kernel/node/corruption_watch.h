// Compares the members' states, so that a damaged one is found within a second and not when somebody reads it.
//
// The leader asks each member for the hash of its applied state (kernel/apply/state_hash.h) at a marked index, and
// compares it with its own at that index. If most agree with the leader, the others are damaged; if most differ from
// it, the leader is. The alarm CORRUPT is raised for who is damaged; it refuses every write until an operator looked.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>

#include "kernel/apply/alarms.h"
#include "kernel/apply/applier.h"
#include "kernel/cluster/ids.h"
#include "kernel/cluster/membership.h"
#include "kernel/node/node.h"
#include "kernel/ports/executor.h"
#include "kernel/ports/peers.h"

namespace tenon::node {

class CorruptionWatch {
 public:
  static constexpr uint64_t kLookNs = 500'000'000;

  struct Parts {
    Executor& executor;
    Node& node;
    apply::Applier& applier;
    const apply::Alarms& alarms;
    cluster::Membership& membership;
    cluster::RequestIds& ids;
    Peers& peers;
  };
  explicit CorruptionWatch(Parts parts) : p_(std::move(parts)) {}

  void Start();                     // [main]
  void Stop() { stopped_ = true; }  // [any]
  // Answers StateHash. [any]
  std::string Answer() const;

 private:
  struct Round {
    size_t waiting, members;
    std::map<MemberId, Index> differ;  // at which index
    size_t agree = 1;                  // the leader with itself
  };
  void Look();
  void Take(const std::shared_ptr<Round>& round, MemberId from, const Status& status, const std::string& answer);
  void Judge(const Round& round);
  void Raise(MemberId damaged, Index at);

  const Parts p_;
  std::atomic<bool> stopped_{false};
};

}  // namespace tenon::node
