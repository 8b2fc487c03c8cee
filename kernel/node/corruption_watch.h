// Compares the members' states, so that a damaged one is found within a second and not when somebody reads it.
//
// The leader asks each member for the hash of its state (kernel/apply/state_hash.h) and compares it with its own at the
// same index. A member that differs gets the alarm CORRUPT, which refuses every write. If more than half of all members
// agree, the others are told to heal (kernel/member/healer.h), and the alarm of one that agrees again is taken back.
// Where no such majority agrees nobody knows who is right: all that differ get the alarm, the leader too, and an
// operator decides.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "kernel/apply/alarms.h"
#include "kernel/apply/applier.h"
#include "kernel/cluster/ids.h"
#include "kernel/cluster/membership.h"
#include "kernel/node/node.h"
#include "kernel/ports/executor.h"
#include "kernel/ports/peers.h"
#include "proto/peer.pb.h"

namespace tenon::node {

// What one look found out. Pure.
struct StateComparison {
  // Where, and what is there. One member may be known at its newest mark, another only at what it has applied now, and
  // who is known at both has something to share with either.
  using Places = std::map<Index, uint64_t>;

  size_t members = 0;                 // asked or not, the leader among them
  std::map<MemberId, Index> agree;    // with the leader, at which index
  std::map<MemberId, Places> differ;  // from it, at each of these
  enum class Verdict { kMostAgree, kLeaderIsOdd, kNobodyKnows };
  Verdict Judge() const;
};

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
    std::function<void(std::string_view why)> heal;  // this member's state is to be replaced [any]
    std::function<bool()> healing;                   // it is, now [any]
  };
  explicit CorruptionWatch(Parts parts) : p_(std::move(parts)) {}

  void Start();                     // [main]
  void Stop() { stopped_ = true; }  // [any]
  // Answers StateHash. [any]
  std::string Answer() const;

 private:
  struct Round {
    size_t waiting = 0;
    StateComparison found;
  };
  void Look();
  void Take(const std::shared_ptr<Round>& round, MemberId from, const Status& status, const std::string& answer);
  void Judge(const StateComparison& found);
  bool HasAlarm(MemberId member) const;
  void SetAlarm(MemberId member, bool up, Index at);

  const Parts p_;
  std::atomic<bool> stopped_{false};
  // [executor]
  std::map<MemberId, Index> alarmed_;  // whose alarm was seen, and what was applied here then
};

}  // namespace tenon::node
