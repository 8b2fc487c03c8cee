// What must never happen, looked for after every step of a Cluster (thesis figure 3.2, and what asynchronous storage
// adds to it). A violation throws; each rule counts how often it had something to check.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/raft/cluster.h"

namespace tenon::raft {

class Invariants {
 public:
  explicit Invariants(Cluster& cluster);

  // After every step.
  void Check();
  // Now and then: compares whole logs.
  void CheckLogMatching();
  // A read was asked for now: its index must not be below what anybody knows as committed.
  void ReadAsked(uint64_t context) { reads_[context] = max_commit_; }

  Index max_commit() const { return max_commit_; }
  const std::map<std::string, uint64_t>& checks() const { return checks_; }

 private:
  struct Committed {
    Term term;     // of the entry
    Term in_term;  // of the leader who committed it
  };

  void Hold(bool holds, const std::string& rule, const std::string& what);
  void OnReady(Member& member, const Ready& ready);
  void OnSend(Member& member, const Message& m);
  void OnCommit(Member& member, Index from, Index to);
  void OnLeader(Member& member);

  Cluster& cluster_;
  Index max_commit_;
  std::vector<Committed> committed_{{}};  // by index
  std::map<Term, MemberId> leaders_;
  std::map<std::pair<MemberId, Term>, MemberId> votes_;
  std::map<MemberId, Index> seen_commit_;
  std::map<uint64_t, Index> reads_;
  std::map<Index, uint64_t> hashes_;  // of the state machine
  std::map<std::string, uint64_t> checks_;
};

}  // namespace tenon::raft
