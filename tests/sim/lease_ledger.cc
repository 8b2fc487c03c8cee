#include "tests/sim/lease_ledger.h"

#include <algorithm>

#include "fmt/format.h"

namespace tenon::sim {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
// The module looks at its wheel each 100 ms, with a timer that is a little late, on a thread that may be busy.
constexpr uint64_t kTickNs = 400'000'000;

constexpr uint64_t kClockError = 40;  // a clock is wrong by less than a 40th

uint64_t Seconds(int64_t s) { return static_cast<uint64_t>(s) * kSecond; }
// The longest time that a clock may take for it.
uint64_t AtMost(int64_t s) { return Seconds(s) + Seconds(s) / kClockError; }

}  // namespace

std::string LeaseLedger::Operation::ToString() const {
  static constexpr const char* kNames[] = {"grant", "revoke", "checkpoint"};
  return fmt::format("{} of {} ({} s, {} keys)", kNames[kind], lease, seconds, keys.size());
}

// ---- what members do ----

void LeaseLedger::Carry(const Operation& operation, Leases& leases) {
  switch (operation.kind) {
    case Operation::kGrant: leases[operation.lease] = {operation.seconds, 0}; return;
    case Operation::kRevoke: leases.erase(operation.lease); return;
    case Operation::kCheckpoint: leases[operation.lease].remaining_s = operation.seconds; return;
  }
}

void LeaseLedger::Applied(Index index, size_t nth, const Operation& operation) {
  const auto [at, is_new] = operations_.emplace(std::pair{index, nth}, operation);
  counts_[Check::kLeaseReplicated] += !is_new;
  if (!(at->second == operation)) {
    return Fail(fmt::format("leases: entry {} is the {} here, and was the {}", index.value, operation.ToString(),
                            at->second.ToString()));
  }
  if (!is_new) return;
  Life& life = at_[operation.lease];
  if (operation.kind == Operation::kGrant) {
    life.granted_ns = clock_.MonoNs();
    life.ttl_s = operation.seconds;
  }
  if (operation.kind != Operation::kRevoke) return;
  life.ended_ns = clock_.MonoNs();
  life.end_began_ns = clock_.TaskBeganNs();
  life.keys = operation.keys;
  CheckNotEarly(operation.lease, life);
  if (!life.keys.empty()) {
    counts_[Check::kLeaseOneRevision]++;
    on_end_(operation.lease);
  }
}

LeaseLedger::Leases LeaseLedger::At(Index index) const {
  Leases leases;
  for (const auto& [place, operation] : operations_) {
    if (place.first > index) break;
    Carry(operation, leases);
  }
  return leases;
}

void LeaseLedger::CheckStart(Index applied, const Leases& expected, const Leases& there) {
  counts_[Check::kLeaseSurvived] += expected.size();
  counts_[Check::kLeaseCheckpointed] += static_cast<uint64_t>(
      std::count_if(expected.begin(), expected.end(), [](const auto& l) { return l.second.remaining_s > 0; }));
  if (there == expected) return;
  for (const auto& [id, lease] : expected) {
    const auto found = there.find(id);
    if (found == there.end()) return Fail(fmt::format("leases: {} is gone after a start at {}", id, applied.value));
    if (found->second == lease) continue;
    return Fail(fmt::format("leases: {} has {} s left after a start at {}, not {}", id, found->second.left_s(),
                            applied.value, lease.left_s()));
  }
  Fail(fmt::format("leases: there are {} after a start at {}, not {}", there.size(), applied.value, expected.size()));
}

void LeaseLedger::Promoted(Term, const Leases& leases, uint64_t extend_ns) {
  for (const auto& [id, lease] : leases) {
    at_[id].upper_ns = clock_.MonoNs() + AtMost(lease.left_s()) + extend_ns + kTickNs;
  }
}

void LeaseLedger::GrantedByPrimary(int64_t lease, int64_t ttl_s) {
  at_[lease].upper_ns = clock_.MonoNs() + AtMost(ttl_s) + kTickNs;
}

void LeaseLedger::RenewedByPrimary(int64_t lease) {
  const auto life = at_.find(lease);
  if (life == at_.end()) return Fail(fmt::format("leases: {} was renewed, and nobody granted it", lease));
  life->second.upper_ns = clock_.MonoNs() + AtMost(life->second.ttl_s) + kTickNs;
}

void LeaseLedger::Paused(uint64_t ns) {
  for (auto& [id, life] : at_) {
    if (life.granted_ns + kTickNs + ns > clock_.MonoNs() && life.upper_ns < UINT64_MAX - ns) life.upper_ns += ns;
  }
}

// ---- what clients are told ----

void LeaseLedger::CheckNotEarly(int64_t lease, const Life& life) {
  if (life.revoke_asked) return;
  counts_[Check::kLeaseNotEarly]++;
  if (life.ended_ns >= life.lower_ns) return;
  Fail(fmt::format("leases: {} ended {} ms before the time that was promised by {}", lease,
                   (life.lower_ns - life.ended_ns) / 1'000'000, life.promised_by));
}

void LeaseLedger::Promised(int64_t lease, uint64_t from_ns, uint64_t for_ns, std::string_view by) {
  const uint64_t until_ns = from_ns + for_ns - for_ns / kClockError;
  Life& life = at_[lease];
  if (until_ns <= life.lower_ns) return;
  life.lower_ns = until_ns;
  life.promised_by = by;
  if (life.ended_ns > 0) CheckNotEarly(lease, life);
}

uint64_t LeaseLedger::UpperNs(int64_t lease) const {
  const auto life = at_.find(lease);
  return life == at_.end() ? UINT64_MAX : life->second.upper_ns;
}

void LeaseLedger::CheckLeft(int64_t lease, int64_t seconds, uint64_t sent_ns, uint64_t upper_ns) {
  counts_[Check::kLeaseLeft]++;
  upper_ns = std::max(upper_ns, UpperNs(lease));
  if (seconds == 0 || upper_ns == UINT64_MAX || sent_ns + Seconds(seconds) <= upper_ns) return;
  Fail(fmt::format("leases: {} has {} s left, and can live for {} ms at most", lease, seconds,
                   upper_ns > sent_ns ? (upper_ns - sent_ns) / 1'000'000 : 0));
}

bool LeaseLedger::MayMiss(int64_t lease, uint64_t sent_ns) const {
  const auto life = at_.find(lease);
  if (life == at_.end()) return true;
  return life->second.granted_ns == 0 || life->second.granted_ns >= sent_ns || life->second.ended_ns > 0;
}

void LeaseLedger::CheckMissing(int64_t lease, uint64_t sent_ns, std::string_view what) {
  counts_[Check::kLeaseExists]++;
  if (!MayMiss(lease, sent_ns)) Fail(fmt::format("leases: {} is not there for {}, and lives", lease, what));
}

void LeaseLedger::CheckThere(int64_t lease, uint64_t sent_ns, std::string_view what) {
  const Life& life = at_[lease];
  counts_[Check::kLeaseExists]++;
  if (life.granted_ns == 0) return Fail(fmt::format("leases: {} is there for {}, and was never granted", lease, what));
  if (life.ended_ns == 0 || life.end_began_ns >= sent_ns) return;
  Fail(fmt::format("leases: {} is there for {}, asked for {} ms after it ended", lease, what,
                   (sent_ns - life.end_began_ns) / 1'000'000));
}

void LeaseLedger::CheckList(const std::vector<int64_t>& leases, uint64_t sent_ns) {
  for (const int64_t id : leases) CheckThere(id, sent_ns, "a list");
  for (const auto& [id, life] : at_) {
    if (std::find(leases.begin(), leases.end(), id) == leases.end()) CheckMissing(id, sent_ns, "a list");
  }
}

const std::vector<std::string>* LeaseLedger::EndedWith(int64_t lease) const {
  const auto life = at_.find(lease);
  return life == at_.end() || life->second.ended_ns == 0 ? nullptr : &life->second.keys;
}

std::vector<int64_t> LeaseLedger::Alive() const {
  std::vector<int64_t> alive;
  for (const auto& [id, life] : at_) {
    if (life.granted_ns > 0 && life.ended_ns == 0) alive.push_back(id);
  }
  return alive;
}

std::optional<int64_t> LeaseLedger::Overdue(uint64_t calm_ns, uint64_t late_ns) const {
  for (const int64_t id : Alive()) {
    const uint64_t upper = at_.at(id).upper_ns;
    if (upper < UINT64_MAX - late_ns && std::max(upper, calm_ns) + late_ns < clock_.MonoNs()) return id;
  }
  return std::nullopt;
}

bool LeaseLedger::AllEnded(uint64_t within_ns) const {
  for (const int64_t id : Alive()) {
    if (at_.at(id).upper_ns < clock_.MonoNs() + within_ns) return false;
  }
  return true;
}

}  // namespace tenon::sim
