// Judges what the clients were told and what is there, by the model.
//
// Revisions order all writes. Each revision's work is known either from its answer or, if nobody was told, by looking
// at the store: the difference to the revision before must then be the whole work of one unanswered request. What is
// read is compared once the history is known up to its revision. Anything wrong throws a Violation.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <variant>

#include "kernel/base/status.h"
#include "tests/sim/faults.h"
#include "tests/sim/lease_ledger.h"
#include "tests/sim/machine.h"
#include "tests/sim/model.h"
#include "tests/sim/random.h"

namespace tenon::sim {

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Answers that leave open what becomes of a request.
bool IsFateUnknown(std::string_view words);

// A client's request.
struct Operation {
  uint64_t id = 0;
  size_t machine = 0;  // that it was sent to
  int life = 0;        // of its member
  bool serializable = false;
  std::variant<Write, etcdserverpb::RangeRequest, etcdserverpb::CompactionRequest> request;
  // What was known when it was sent.
  int64_t floor = 0, compacted = 0;
  uint64_t sent_ns = 0;
  bool after_sync_error = false;

  bool answered = false;                 // the member has let go of the answer; it may be on its way
  std::optional<int64_t> discovered_at;  // its work was found before its answer came
  std::string ToString() const;
};
using OperationPtr = std::shared_ptr<Operation>;

class Checker {
 public:
  Checker(Scheduler& clock, LeaseLedger& leases, Counts& counts, size_t machines, uint64_t seed);

  // No revision that anybody was told of, by an answer or a read, is newer. It must never be lost.
  int64_t floor() const { return floor_; }
  int64_t compacted() const { return compacted_; }
  int64_t known() const { return known_; }  // the history is known up to here
  const History& history() const { return history_; }

  // What a member may not be behind of when it is asked something that need not be the newest: what it has shown
  // before.
  int64_t FloorOf(size_t machine) const { return alone() ? floor_ : seen_of_.at(machine); }
  int64_t CompactedOf(size_t) const { return alone() ? compacted_ : 0; }
  void SeenOf(size_t machine, int64_t revision) { seen_of_[machine] = std::max(seen_of_[machine], revision); }

  void Sent(const OperationPtr& op);
  void WriteAnswered(const OperationPtr& op, const Status& status, const std::string& bytes);
  void CompactionAnswered(const OperationPtr& op, const Status& status);
  void ReadAnswered(const OperationPtr& op, const Status& status, const std::string& bytes);
  // Through a view of `revision` that was kept for a while; may_end: it is old enough to be ended.
  void ViewAnswered(int64_t revision, bool may_end, const Result<State>& state);

  // A client saw, from `what`, that this revision exists; it knew of `floor` when it asked.
  void Seen(int64_t revision, int64_t floor, std::string_view what);
  // The same of a compaction; there may be newer ones.
  void SeenCompacted(int64_t revision);
  // Runs `judge` when the history is known up to there, in the order of revisions.
  void WhenKnown(int64_t revision, std::function<void()> judge) {
    CompareAt(revision, [judge = std::move(judge)](const State&) { judge(); });
  }
  // May history at `revision` be gone?
  bool CompactionPossibleAbove(int64_t revision);

  // After the log was replayed: all is there that was known when the life began. Of a member that is alone: what was
  // sent to earlier lives and is not there now will never be.
  void CheckStart(const Machine& machine);
  // `newest`: it must have all that is known; else it may be behind.
  void CheckNow(Member& member, bool newest);
  // The hash of what is there, after comparing it with the model's.
  uint32_t CheckHash(Member& member, int64_t revision);

 private:
  bool alone() const { return seen_of_.size() == 1; }
  using Comparison = std::function<void(const State&)>;
  void CompareAt(int64_t revision, Comparison compare);
  void Settle();
  void LeaseEnded(int64_t lease);  // with keys: a revision is its work
  bool Missing(const Operation& op);
  void Discover(Member& member);
  // Are the rows of this revision those?
  static bool WroteRows(Member& member, int64_t revision, const std::vector<Row>& rows);
  void Accept(int64_t revision, const Write& write, Effect effect);
  void CheckAnswer(const Operation& op, int64_t revision, const Effect& expected, const Response& answer);
  void CheckCompactRevision(Member& member, bool newest);
  void CheckRowSum(Member& member);
  void CheckLeaseKeys(Member& member);
  void CheckState(Member& member, int64_t revision, Check check);
  Result<State> Read(Member& member, int64_t revision);

  Scheduler& clock_;
  LeaseLedger& leases_;
  Counts& counts_;
  Random random_;
  History history_;
  std::vector<int64_t> seen_of_;  // by machine: the newest revision that anybody saw there
  int64_t known_ = 1, floor_ = 1;
  std::string_view floor_from_ = "the start";                      // who told of it
  std::map<int64_t, std::pair<OperationPtr, Response>> answered_;  // changes that wait for the history before them
  std::multimap<int64_t, Comparison> waiting_;
  std::map<uint64_t, OperationPtr> candidates_;         // writes whose fate is open
  std::map<int64_t, uint64_t> owner_;                   // revision -> whose work it is, where that is certain
  std::map<int64_t, std::set<std::string>> had_lease_;  // keys that were put with a lease
  std::map<int64_t, uint64_t> lease_ends_;              // lease -> the candidate that its end is
  int64_t compacted_ = 0;                               // at least
  std::map<uint64_t, OperationPtr> compactions_;        // whose fate is open
  std::set<int64_t> compactions_asked_;                 // all there ever were
};

}  // namespace tenon::sim
