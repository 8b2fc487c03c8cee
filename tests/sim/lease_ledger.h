// Judges leases: what was applied to them, on every member and in every life, and when each of them may end.
//
// The operations of the log are known by index from whoever applies them first; all others, and all replays, must apply
// the same. So the leases that a member holds are known at any applied index. When a lease may end is known from two
// sides: what its holders were promised, and what the primary's clock can have made of it.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/ids.h"
#include "tests/sim/faults.h"
#include "tests/sim/scheduler.h"

namespace tenon::sim {

class LeaseLedger {
 public:
  struct Lease {
    int64_t ttl_s = 0, remaining_s = 0;
    bool operator==(const Lease&) const = default;
    int64_t left_s() const { return remaining_s > 0 ? remaining_s : ttl_s; }
  };
  using Leases = std::map<int64_t, Lease>;
  struct Operation {
    enum Kind { kGrant, kRevoke, kCheckpoint } kind;
    int64_t lease, seconds;         // seconds: to live or left
    std::vector<std::string> keys;  // that go with a revoked one
    bool operator==(const Operation&) const = default;
    std::string ToString() const;
  };

  LeaseLedger(Scheduler& clock, Counts& counts) : clock_(clock), counts_(counts) {}

  // What is found wrong inside of a module, where nothing may be thrown; the world looks after each step.
  void Fail(std::string what) {
    if (wrong_.empty()) wrong_ = std::move(what);
  }
  const std::string& wrong() const { return wrong_; }
  // Called for a lease that ended with keys: its end is a revision's work.
  void OnEnd(std::function<void(int64_t lease)> fn) { on_end_ = std::move(fn); }

  // ---- what members do ----
  // The `nth` operation of the entry at `index`, after which that member's leases are `leases`.
  void Applied(Index index, size_t nth, const Operation& operation);
  // The leases of whoever has applied up to `index`.
  Leases At(Index index) const;
  static void Carry(const Operation& operation, Leases& leases);
  // What a member holds at its start, and what it should.
  void CheckStart(Index applied, const Leases& expected, const Leases& there);
  // The primary's clock runs for `leases` from now on, with `extend_ns` on top.
  void Promoted(Term term, const Leases& leases, uint64_t extend_ns);
  void GrantedByPrimary(int64_t lease, int64_t ttl_s);
  void RenewedByPrimary(int64_t lease);
  // All clocks went on by that much at once: the first look at a lease that was just granted is as late.
  void Paused(uint64_t ns);

  // ---- what clients ask and are told ----
  void RevokeAsked(int64_t lease) { at_[lease].revoke_asked = true; }
  // It does not end for so long, by a clock that may run a little fast, but by its holders' wish.
  void Promised(int64_t lease, uint64_t from_ns, uint64_t for_ns, std::string_view by);
  // It has `seconds` left, as asked for at `sent_ns`, when it could live until `upper_ns` at most.
  void CheckLeft(int64_t lease, int64_t seconds, uint64_t sent_ns, uint64_t upper_ns);
  // Can it be missing for a question asked at `sent_ns` and answered now?
  bool MayMiss(int64_t lease, uint64_t sent_ns) const;
  // It was not there for a question asked at `sent_ns`.
  void CheckMissing(int64_t lease, uint64_t sent_ns, std::string_view what);
  // It was there for a question asked at `sent_ns`.
  void CheckThere(int64_t lease, uint64_t sent_ns, std::string_view what);
  // A list of all leases, as asked for at `sent_ns`.
  void CheckList(const std::vector<int64_t>& leases, uint64_t sent_ns);

  uint64_t UpperNs(int64_t lease) const;
  bool Granted(int64_t lease) const { return at_.contains(lease) && at_.at(lease).granted_ns > 0; }
  // The keys that went with a lease that has ended.
  const std::vector<std::string>* EndedWith(int64_t lease) const;
  std::vector<int64_t> Alive() const;
  // Is any lease still there whose time was over `late_ns` ago? Since `calm_ns` nothing disturbs its end.
  std::optional<int64_t> Overdue(uint64_t calm_ns, uint64_t late_ns) const;
  // All that can end within `ns` have ended.
  bool AllEnded(uint64_t within_ns) const;

 private:
  struct Life {
    int64_t ttl_s = 0;
    uint64_t granted_ns = 0;    // first applied; 0: not yet
    uint64_t ended_ns = 0;      // the same of its end; 0: it lives
    uint64_t end_began_ns = 0;  // when the task began that ended it
    uint64_t lower_ns = 0;      // promised until then
    std::string promised_by = "nobody";
    uint64_t upper_ns = UINT64_MAX;  // by the primary's clock
    bool revoke_asked = false;
    std::vector<std::string> keys;
  };
  void CheckNotEarly(int64_t lease, const Life& life);

  Scheduler& clock_;
  Counts& counts_;
  std::string wrong_;
  std::function<void(int64_t)> on_end_;
  std::map<std::pair<Index, size_t>, Operation> operations_;
  std::map<int64_t, Life> at_;
};

}  // namespace tenon::sim
