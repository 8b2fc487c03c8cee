// What goes wrong in a seed, and when somebody looks whether all is well.
#include <algorithm>

#include "tests/sim/world.h"

namespace tenon::sim {
namespace {

constexpr uint64_t kMillisecond = 1'000'000, kSecond = 1'000'000'000;
constexpr uint64_t kOperations = 500, kFaultsPerSeed = 8, kKindsPerSeed = 4;

}  // namespace

bool World::Enough() const {
  uint64_t fired = 0, kinds = 0;
  for (const uint64_t n : counts_.faults) fired += n, kinds += n > 0;
  return fired >= kFaultsPerSeed && kinds >= kKindsPerSeed && counts_.operations >= kOperations;
}

void World::NextFault() {
  queue_.PostAfter(random_.Between(200, 2500) * kMillisecond, [this] {
    if (calm_) return;
    // Those first that did not happen yet.
    std::vector<Fault> missing;
    for (const Fault f : enabled_) {
      if (counts_[f] == 0) missing.push_back(f);
    }
    const std::vector<Fault>& from = !missing.empty() && random_.Chance(60) ? missing : enabled_;
    Strike(from[random_.Below(from.size())]);
    NextFault();
  });
}

void World::Strike(Fault fault) {
  trace_.Add(static_cast<uint64_t>(fault));
  if (static_cast<int>(fault) >= kSingleFaults) return StrikeNetwork(fault);
  Machine& m = AnyMachine();
  switch (fault) {
    case Fault::kKill:
    case Fault::kPowerLoss:
      if (m.member == nullptr || m.kill_in) return;
      m.kill_in = random_.Below(200);
      m.kill_loses_power = fault == Fault::kPowerLoss;
      counts_[fault]++;
      return;
    case Fault::kPowerCut: return m.disk.ArmPowerCut(random_.Below(60));
    case Fault::kWriteError: return m.disk.ArmWriteError(random_.Below(20));
    case Fault::kSyncError: return m.disk.ArmSyncError(random_.Below(20));
    case Fault::kDiskFull:
      if (m.disk.full()) return;
      m.disk.FillUp(random_.Below(30'000));
      queue_.PostAfter(random_.Between(200, 3000) * kMillisecond, [&m] { m.disk.MakeSpace(); });
      return;
    case Fault::kSlowDisk:
      m.disk.SetSlowUntil(scheduler_.MonoNs() + random_.Between(100, 2000) * kMillisecond);
      counts_[fault]++;
      return;
    case Fault::kClockJump:
      if (random_.Chance(50)) {
        const uint64_t pause_ns = random_.Between(50, 3000) * kMillisecond;
        scheduler_.Pause(pause_ns);
        paused_ns_ = scheduler_.MonoNs();
        ledger_.Paused(pause_ns);
      } else {
        m.clock.MoveWallClock(static_cast<int64_t>(random_.Below(7200 * kSecond)) -
                              static_cast<int64_t>(3600 * kSecond));
      }
      counts_[fault]++;
      return;
    case Fault::kRestart:
      if (!m.well()) return;
      m.stop_requested = true;  // main's work: outside of all threads
      counts_[fault]++;
      return;
    case Fault::kDamage:
      if (m.member == nullptr || m.disk.damaged()) return;
      random_.Chance(50) ? Kill(m) : LosePower(m);
      if (m.disk.Damage(Member::kWalDirectory, random_)) counts_[fault]++;
      return StartLater(m, 500);
    case Fault::kDamageCopy:
      if (m.member == nullptr) return;
      random_.Chance(50) ? Kill(m) : LosePower(m);
      if (DamageCopy(m)) counts_[fault]++;
      return StartLater(m, 500);
    case Fault::kStuckDisk: return StickDisk();
    default: return;
  }
}

// Into two groups: `one` is in the one, `other` in the other.
void World::Part(size_t one, size_t other, uint64_t until_ns) {
  const size_t n = machines_.size();
  std::vector<bool> left(n);
  for (size_t i = 0; i < n; i++) left[i] = random_.Chance(50);
  left[one] = true;
  left[other] = false;
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) {
      if (left[i] != left[j]) network_.Cut(i, j, until_ns);
    }
  }
}

void World::Shift(uint64_t times) {
  const size_t n = machines_.size();
  const uint64_t lasts_ns = random_.Between(200, 2500) * kMillisecond;
  const size_t one = random_.Below(n), other = (one + random_.Between(1, n - 1)) % n;
  Part(one, other, scheduler_.MonoNs() + lasts_ns);
  if (Machine& m = AnyMachine(); m.member != nullptr && random_.Chance(40)) {
    random_.Chance(50) ? Kill(m) : LosePower(m);
    StartLater(m, 300);
  }
  if (times == 0) return;
  queue_.PostAfter(lasts_ns, [this, times] {
    if (!calm_) Shift(times - 1);
  });
}

void World::StrikeNetwork(Fault fault) {
  const size_t n = machines_.size();
  const size_t one = random_.Below(n), other = (one + random_.Between(1, n - 1)) % n;
  const uint64_t until_ns = scheduler_.MonoNs() + random_.Between(100, 6000) * kMillisecond;
  counts_[fault]++;
  switch (fault) {
    case Fault::kPause: {
      const uint64_t pause_ns = random_.Between(20, 5000) * kMillisecond;
      machines_[one]->clock.StandStill(scheduler_.MonoNs() + pause_ns);
      return ledger_.Paused(pause_ns);
    }
    case Fault::kPartition: return Part(one, other, until_ns);
    case Fault::kShift: return Shift(random_.Between(3, 8));
    case Fault::kOneWay:
      // From one to one other, or to all, or from all to one.
      for (size_t i = 0, shape = random_.Below(3); i < n; i++) {
        if (i == one || (shape == 0 && i != other)) continue;
        shape == 1 ? network_.Cut(i, one, until_ns) : network_.Cut(one, i, until_ns);
      }
      return;
    case Fault::kLossy: return network_.Lossy(one, other, random_.Between(10, 80), until_ns);
    case Fault::kSlowLink: return network_.Slow(one, other, random_.Between(20, 1500) * kMillisecond, until_ns);
    case Fault::kRepeat: return network_.Repeating(one, other, random_.Between(10, 80), until_ns);
    case Fault::kKillAll:
    case Fault::kDarkness:
      for (const auto& m : machines_) {
        if (m->member == nullptr) continue;
        fault == Fault::kDarkness ? LosePower(*m) : Kill(*m);
        StartLater(*m, 500);
      }
      return;
    case Fault::kHandOver:
      for (const auto& m : machines_) {
        if (m->well() && m->member->leads()) m->member->node().HandOver([] {});
      }
      return;
    default: return;
  }
}

// A leader whose disk does not answer hands over after the time of an election, and after two it leads no longer,
// whoever takes over.
void World::StickDisk() {
  Machine* const leader = random_.Chance(60) ? serving_.PickLeader(random_) : nullptr;
  Machine& m = leader != nullptr ? *leader : AnyMachine();
  // One in four answers to nobody ever again: somebody must kill the process.
  const uint64_t for_ns = random_.Chance(25) ? 100'000 * kSecond : random_.Between(1000, 20'000) * kMillisecond;
  m.disk.Stick(m.options.own_wal_thread ? m.threads.wal : m.threads.node, for_ns, [this, &m] {
    // One whose node thread writes its log by itself hangs as a whole: the others leave it.
    if (m.member == nullptr || !m.options.own_wal_thread || alone()) return;
    const uint64_t began_ns = scheduler_.MonoNs();
    const uint64_t judged_ns =
        began_ns + 3 * static_cast<uint64_t>(m.options.election_ticks) * m.options.node.tick_ns + kSecond;
    queue_.PostAt(judged_ns, [this, &m, life = m.life, began_ns] {
      const bool stood_still = m.clock.standing_until_ns() > began_ns || paused_ns_ > began_ns;
      if (m.member == nullptr || m.life != life || !m.disk.stuck() || stood_still) return;
      counts_[Check::kGaveUp]++;
      if (m.member->leads()) {
        throw Violation(fmt::format("member {} leads, long after its disk got stuck", m.index));
      }
    });
  });
}

bool World::DamageCopy(Machine& m) {
  const auto files = [&](const char* directory, std::string_view suffix) {
    std::vector<std::string> paths;
    for (const std::string& name : m.disk.List(directory).value_or(std::vector<std::string>())) {
      if (name.size() > suffix.size() && std::string_view(name).substr(name.size() - suffix.size()) == suffix) {
        paths.push_back(fmt::format("{}/{}", directory, name));
      }
    }
    return paths;
  };
  const std::vector<std::string> streams = files(Member::kStreamDirectory, ".stream");
  const std::vector<std::string> indexes = files(Member::kIndexDirectory, ".index");
  // Of a single stream there is no other copy. Nor is there one after an older stream was fallen back to, until the
  // next is written: a power loss may bring back one that was removed, but not the log behind it.
  const std::vector<std::string> damaged = files(Member::kStreamDirectory, ".damaged");
  const bool whole = damaged.empty() || (!streams.empty() && streams.back() > damaged.back());
  if (streams.size() >= 2 && whole && random_.Chance(50)) {
    m.disk.DamageCopy(streams.back(), random_);
  } else if (!indexes.empty()) {
    m.disk.DamageCopy(indexes[random_.Below(indexes.size())], random_);
  } else {
    return false;
  }
  return true;
}

void World::EndFaults() {
  calm_ = true;
  network_.Heal();
  for (const auto& m : machines_) {
    m->clock.GoOn();
    m->disk.Disarm();
    if (m->disk.stuck()) {
      Kill(*m);
      StartLater(*m, 300);
    }
    m->disk.MakeSpace();
  }
}

void World::NextAudit() {
  queue_.PostAfter(random_.Between(500, 3000) * kMillisecond, [this] {
    if (calm_) return;
    const bool look = mutant_ != Mutant::kEventBeforeSync;  // or a look would know what only watchers are to know
    Machine& m = AnyMachine();
    if (look && m.member != nullptr && m.ready && !m.fatal && !m.disk.power_is_off()) {
      checker_.CheckNow(*m.member, alone());
    }
    NextAudit();
  });
}

}  // namespace tenon::sim
