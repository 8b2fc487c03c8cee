// A member whose state is not the others': the leader must find it, and it must heal without anybody's help.
#include <algorithm>
#include <utility>

#include "tests/sim/world.h"

namespace tenon::sim {
namespace {

constexpr uint64_t kMillisecond = 1'000'000, kSecond = 1'000'000'000;
constexpr uint64_t kLookNs = 50 * kMillisecond, kFound = UINT64_MAX;

bool IsCorrupt(const Machine& by, MemberId id) {
  const std::vector<etcdserverpb::AlarmMember> alarms = by.member->alarms().List(etcdserverpb::CORRUPT);
  return std::any_of(alarms.begin(), alarms.end(), [&](const auto& alarm) { return alarm.memberid() == id; });
}

}  // namespace

// One at a time, and where the others know better: who is right is what more than half of the members have.
std::string World::PlantDifference(Random& random) {
  Machine& m = AnyMachine(random);
  const bool all_well = std::all_of(machines_.begin(), machines_.end(), [](const auto& one) {
    return one->well() && !one->differs && !one->member->healing() && !one->member->alarms().Has(etcdserverpb::CORRUPT);
  });
  if (!all_well || m.disk.stuck() || m.engine_disk.kind() != EngineKind::kPrefix) return {};
  Kill(m);
  StartLater(m, 300);
  if (!m.engine_disk.Differ(random)) return {};
  m.disk.Lose(Member::kIndexDirectory);  // it knows what the rows were
  m.differs = true;
  counts_[Fault::kDiffer]++;
  network_.SetGivesNoState(m.index, true);
  WatchDifference(m, 0, 0);
  return fmt::format("differing: member {} is killed, and has a row of another history", m.index);
}

// `comparable_since_ns`: since when both the leader and this member have applied an index that the leader asks for,
// while nothing keeps it from asking; 0: not now; kFound: the alarm is up.
void World::WatchDifference(Machine& m, uint64_t comparable_since_ns, uint64_t looks) {
  if (!m.differs) {  // a fetched state has taken its place
    network_.SetGivesNoState(m.index, false);
    counts_[Check::kDifferHealed]++;
    return;
  }
  const uint64_t now = scheduler_.MonoNs();
  Machine* leader = nullptr;
  bool calm = paused_ns_ + kLookNs < now && !network_.Disturbed();
  for (const auto& one : machines_) {
    calm = calm && one->well() && !one->disk.stuck() && !one->disk.slow() && !one->disk.full() &&
           one->clock.standing_until_ns() < now;
    if (one->member != nullptr && one->ready && one->member->leads()) {
      calm = calm && leader == nullptr;
      leader = one.get();
    }
  }
  const bool found = leader != nullptr && m.member != nullptr && IsCorrupt(*leader, m.member->id());
  if (leader != nullptr && leader != &m && calm && !found && !m.member->healing()) {
    const apply::StateHash& theirs = leader->member->applier().state_hash();
    const auto mark = m.member->applier().state_hash().Newest(m.member->applier().applied());
    const bool both = mark && theirs.At(mark->index);
    if (both && *theirs.At(mark->index) == mark->hash) throw Violation("a state that differs has the others' hash");
    if (!both || comparable_since_ns == kFound) {
      comparable_since_ns = 0;
    } else if (comparable_since_ns == 0) {
      comparable_since_ns = now;
    }
    // A second; and what a lost question or answer costs.
    const uint64_t allowed_ns = network_.loses() ? 3 * kSecond : kSecond;
    if (both && comparable_since_ns != 0 && now - comparable_since_ns > allowed_ns + kLookNs) {
      throw Violation(fmt::format("member {} differs at index {}, and nobody raised CORRUPT for {} ms", m.index,
                                  mark->index.value, (now - comparable_since_ns) / kMillisecond));
    }
  } else if (found) {
    counts_[Check::kDiffers] += std::exchange(comparable_since_ns, kFound) != kFound;
  } else {
    comparable_since_ns = 0;
  }
  // Two of three that contradict each other, while the third one needs a state: an operator looks for another leader.
  if (looks % 100 == 99 && leader == &m) m.member->node().HandOver([] {});
  queue_.PostAfter(kLookNs,
                   [this, &m, comparable_since_ns, looks] { WatchDifference(m, comparable_since_ns, looks + 1); });
}

// Once more where nothing keeps the leader from finding it, under load. Whoever differs heals before the seed ends.
void World::DifferInCalm() {
  WaitUntilReady();
  Steps([&] { return AllAgree(); }, "the members that differ to heal");
  if (!IsStruck(kLastStrike)) return;
  Random random(Random(seed_ ^ kLastStrike * 0xd1342543de82ef95).Next());
  std::string words = PlantDifference(random);
  strikes_.push_back({kLastStrike, scheduler_.MonoNs() - begin_ns_, std::move(words)});
  Steps([&] { return AllAgree(); }, "the members that differ to heal");
  // A lease's end that was refused is asked for anew within a second.
  const uint64_t calm_ns = scheduler_.MonoNs();
  Steps([&] { return scheduler_.MonoNs() - calm_ns > 3 * kSecond; }, "the refused ends of leases");
}

bool World::AllAgree() const {
  return std::all_of(machines_.begin(), machines_.end(), [](const auto& m) {
    return m->well() && !m->differs && !m->member->alarms().Has(etcdserverpb::CORRUPT);
  });
}

}  // namespace tenon::sim
