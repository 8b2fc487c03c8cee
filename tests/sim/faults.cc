// What goes wrong in a seed, and when somebody looks whether all is well.
#include <algorithm>

#include "tests/sim/world.h"

namespace tenon::sim {
namespace {

constexpr uint64_t kMillisecond = 1'000'000, kSecond = 1'000'000'000;
constexpr uint64_t kPatience = 30 * kSecond;  // with a process that answers to nobody
constexpr uint64_t kOperations = 500, kFaultsPerSeed = 8, kKindsPerSeed = 4;

}  // namespace

bool World::Enough() const {
  if (counts_.operations < kOperations) return false;
  if (!only_.empty()) {
    const auto end = std::lower_bound(only_.begin(), only_.end(), kLastStrike);
    const uint64_t last = end == only_.begin() ? 0 : *std::prev(end);
    if (next_strike_ > last + 2) return true;  // one more has come after the last of them
  }
  uint64_t fired = 0, kinds = 0;
  for (const uint64_t n : counts_.faults) fired += n, kinds += n > 0;
  return fired >= kFaultsPerSeed && kinds >= kKindsPerSeed;
}

bool World::IsStruck(uint64_t number) const {
  return only_.empty() || std::binary_search(only_.begin(), only_.end(), number);
}

bool World::May(Fault fault) const { return std::find(enabled_.begin(), enabled_.end(), fault) != enabled_.end(); }

// Everything of a strike comes from the seed and its number alone, so that the others stay what they are when one is
// left out.
void World::NextStrike() {
  const uint64_t number = next_strike_++;
  Random random(Random(seed_ ^ (number + 1) * 0xd1342543de82ef95).Next());
  if (number > 0) strike_ns_ += random.Between(200, 2500) * kMillisecond;
  queue_.PostAt(strike_ns_, [this, number, random]() mutable {
    if (calm_) return;
    if (IsStruck(number)) {
      // All kinds come in turn, and some more at random.
      const size_t n = enabled_.size();
      const Fault fault = enabled_[random.Chance(60) ? number % n : random.Below(n)];
      const uint64_t now = scheduler_.MonoNs();
      trace_.Add(static_cast<uint64_t>(fault));
      std::string words = number == 0                                ? StrikeFounding(random)
                          : static_cast<int>(fault) >= kOftenFaults  ? StrikeRare(fault, random)
                          : static_cast<int>(fault) >= kSingleFaults ? StrikeNetwork(fault, random)
                                                                     : Strike(fault, random);
      strikes_.push_back({number, now - begin_ns_, std::move(words)});
    }
    NextStrike();
  });
}

std::string World::StrikeFounding(Random& random) {
  std::string words;
  for (const auto& m : machines_) {
    if (!random.Chance(25)) continue;
    const uint64_t after = random.Below(30);
    m->disk.ArmPowerCut(after);
    words += fmt::format("{}member {} loses its power {} operations of its disk after it began to be founded",
                         words.empty() ? "" : ", ", m->index, after);
  }
  return words;
}

std::string World::Strike(Fault fault, Random& random) {
  Machine& m = AnyMachine(random);
  const auto say = [&](std::string_view what) {
    return fmt::format("{} of member {}: {}", kFaultNames[static_cast<size_t>(fault)], m.index, what);
  };
  switch (fault) {
    case Fault::kKill:
    case Fault::kPowerLoss:
      if (m.member == nullptr || m.kill_in) return {};
      m.kill_in = random.Below(200);
      m.kill_loses_power = fault == Fault::kPowerLoss;
      counts_[fault]++;
      return say(fmt::format("in {} steps of its threads", *m.kill_in));
    case Fault::kPowerCut:
    case Fault::kWriteError:
    case Fault::kSyncError: {
      const uint64_t after = random.Below(fault == Fault::kPowerCut ? 60 : 20);
      if (fault == Fault::kPowerCut) m.disk.ArmPowerCut(after);
      if (fault == Fault::kWriteError) m.disk.ArmWriteError(after);
      if (fault == Fault::kSyncError) m.disk.ArmSyncError(after);
      return say(fmt::format("after {} more such operations of its disk", after));
    }
    case Fault::kDiskFull: {
      if (m.disk.full()) return {};
      const uint64_t spare = random.Below(30'000), for_ms = random.Between(200, 3000);
      m.disk.FillUp(spare);
      queue_.PostAfter(for_ms * kMillisecond, [&m] { m.disk.MakeSpace(); });
      return say(fmt::format("{} bytes are left, for {} ms", spare, for_ms));
    }
    case Fault::kSlowDisk: {
      const uint64_t for_ms = random.Between(100, 2000);
      m.disk.SetSlowUntil(scheduler_.MonoNs() + for_ms * kMillisecond);
      counts_[fault]++;
      return say(fmt::format("for {} ms", for_ms));
    }
    case Fault::kClockJump: {
      counts_[fault]++;
      if (random.Chance(50)) {
        const uint64_t pause_ms = random.Between(50, 3000);
        scheduler_.Pause(pause_ms * kMillisecond);
        paused_ns_ = scheduler_.MonoNs();
        ledger_.Paused(pause_ms * kMillisecond);
        return fmt::format("clock-jump: all stand still for {} ms", pause_ms);
      }
      const int64_t by_s = static_cast<int64_t>(random.Below(7200)) - 3600;
      m.clock.MoveWallClock(by_s * static_cast<int64_t>(kSecond));
      return say(fmt::format("its wall clock by {} s", by_s));
    }
    case Fault::kRestart:
      if (!m.well()) return {};
      m.stop_requested = true;  // main's work: outside of all threads
      counts_[fault]++;
      return say("in good order");
    case Fault::kDamage:
    case Fault::kDamageCopy: {
      if (m.member == nullptr || (fault == Fault::kDamage && m.disk.damaged())) return {};
      const bool kill = random.Chance(50);
      kill ? Kill(m) : LosePower(m);
      StartLater(m, 500);
      const bool done = fault == Fault::kDamage ? m.disk.Damage(Member::kWalDirectory, random) : DamageCopy(m, random);
      counts_[fault] += done;
      return say(fmt::format("it {}, {}", kill ? "is killed" : "loses its power",
                             done ? "and a bit of a file flips" : "there is no file to damage"));
    }
    case Fault::kStuckDisk: return StickDisk(random);
    default: return {};
  }
}

// Into two groups: `one` is in the one, `other` in the other.
std::string World::Part(size_t one, size_t other, uint64_t until_ns, Random& random) {
  const size_t n = machines_.size();
  std::vector<bool> left(n);
  for (size_t i = 0; i < n; i++) left[i] = random.Chance(50);
  left[one] = true;
  left[other] = false;
  std::string words = "on one side";
  for (size_t i = 0; i < n; i++) {
    if (left[i]) words += fmt::format(" {}", i);
    for (size_t j = 0; j < n; j++) {
      if (left[i] != left[j]) network_.Cut(i, j, until_ns);
    }
  }
  return words;
}

void World::Shift(uint64_t times, Random random) {
  const size_t n = machines_.size();
  const uint64_t lasts_ns = random.Between(200, 2500) * kMillisecond;
  const size_t one = random.Below(n), other = (one + random.Between(1, n - 1)) % n;
  Part(one, other, scheduler_.MonoNs() + lasts_ns, random);
  Machine& m = *machines_[random.Below(n)];
  if (m.member != nullptr && random.Chance(40)) {
    random.Chance(50) ? Kill(m) : LosePower(m);
    StartLater(m, 300);
  }
  if (times == 0) return;
  queue_.PostAfter(lasts_ns, [this, times, random = std::move(random)] {
    if (!calm_) Shift(times - 1, random);
  });
}

std::string World::StrikeNetwork(Fault fault, Random& random) {
  const size_t n = machines_.size();
  const size_t one = random.Below(n), other = (one + random.Between(1, n - 1)) % n;
  const uint64_t for_ms = random.Between(100, 6000), until_ns = scheduler_.MonoNs() + for_ms * kMillisecond;
  const std::string_view name = kFaultNames[static_cast<size_t>(fault)];
  counts_[fault]++;
  switch (fault) {
    case Fault::kPause: {
      const uint64_t pause_ms = random.Between(20, 5000);
      machines_[one]->clock.StandStill(scheduler_.MonoNs() + pause_ms * kMillisecond);
      ledger_.Paused(pause_ms * kMillisecond);
      return fmt::format("pause of member {} for {} ms", one, pause_ms);
    }
    case Fault::kPartition: return fmt::format("partition: {}, for {} ms", Part(one, other, until_ns, random), for_ms);
    case Fault::kShift: {
      const uint64_t times = random.Between(3, 8);
      Shift(times, random.Fork());
      return fmt::format("{} partitions one after the other", times + 1);
    }
    case Fault::kOneWay: {
      // From one to one other, or to all, or from all to one.
      const size_t shape = random.Below(3);
      for (size_t i = 0; i < n; i++) {
        if (i == one || (shape == 0 && i != other)) continue;
        shape == 1 ? network_.Cut(i, one, until_ns) : network_.Cut(one, i, until_ns);
      }
      return shape == 1   ? fmt::format("one-way: nothing reaches {}, for {} ms", one, for_ms)
             : shape == 2 ? fmt::format("one-way: nobody hears {}, for {} ms", one, for_ms)
                          : fmt::format("one-way: {} does not hear {}, for {} ms", other, one, for_ms);
    }
    case Fault::kLossy:
    case Fault::kRepeat: {
      const uint64_t percent = random.Between(10, 80);
      fault == Fault::kLossy ? network_.Lossy(one, other, percent, until_ns)
                             : network_.Repeating(one, other, percent, until_ns);
      return fmt::format("{} from {} to {}: {} percent, for {} ms", name, one, other, percent, for_ms);
    }
    case Fault::kSlowLink: {
      const uint64_t most_ms = random.Between(20, 1500);
      network_.Slow(one, other, most_ms * kMillisecond, until_ns);
      return fmt::format("{} from {} to {}: up to {} ms more, for {} ms", name, one, other, most_ms, for_ms);
    }
    case Fault::kKillAll:
    case Fault::kDarkness:
      for (const auto& m : machines_) {
        if (m->member == nullptr) continue;
        fault == Fault::kDarkness ? LosePower(*m) : Kill(*m);
        StartLater(*m, 500);
      }
      return std::string(name);
    case Fault::kHandOver:
      for (const auto& m : machines_) {
        if (m->well() && m->member->leads()) m->member->node().HandOver([] {});
      }
      return std::string(name);
    default: return {};
  }
}

std::string World::StrikeRare(Fault fault, Random& random) {
  switch (fault) {
    case Fault::kDiffer: return PlantDifference(random);
    default: return {};
  }
}

// A leader whose disk does not answer hands over after the time of an election, and after two it leads no longer,
// whoever takes over.
std::string World::StickDisk(Random& random) {
  Machine* const leader = random.Chance(60) ? serving_.PickLeader(random) : nullptr;
  Machine& m = leader != nullptr ? *leader : AnyMachine(random);
  // One in four answers to nobody ever again: somebody must kill the process.
  const uint64_t for_ns = random.Chance(25) ? 100'000 * kSecond : random.Between(1000, 20'000) * kMillisecond;
  m.disk.Stick(m.options.own_wal_thread ? m.threads.wal : m.threads.node, for_ns, [this, &m, for_ns] {
    queue_.PostAfter(kPatience, [this, &m, life = m.life] {  // an operator's
      if (m.member == nullptr || m.life != life || !m.disk.stuck()) return;
      Kill(m);
      StartLater(m, 300);
    });
    // One whose node thread writes its log by itself hangs as a whole: the others leave it.
    if (m.member == nullptr || !m.options.own_wal_thread || alone()) return;
    const uint64_t began_ns = scheduler_.MonoNs();
    // What else the disk is asked for meanwhile takes two seconds (disk.cc), and the node may be late for that.
    const uint64_t judged_ns =
        began_ns + 3 * static_cast<uint64_t>(m.options.election_ticks) * m.options.node.tick_ns + 5 * kSecond;
    if (began_ns + for_ns <= judged_ns) return;  // it answers before; what it is stuck with then is something new
    queue_.PostAt(judged_ns, [this, &m, life = m.life, began_ns] {
      const bool stood_still = m.clock.standing_until_ns() > began_ns || paused_ns_ > began_ns;
      if (m.member == nullptr || m.life != life || !m.disk.stuck() || stood_still) return;
      counts_[Check::kGaveUp]++;
      if (m.member->leads()) {
        throw Violation(fmt::format("member {} leads, long after its disk got stuck", m.index));
      }
    });
  });
  return fmt::format("stuck-disk of member {}: the next sync of its log, for {} ms", m.index, for_ns / kMillisecond);
}

bool World::DamageCopy(Machine& m, Random& random) {
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
  if (streams.size() >= 2 && whole && random.Chance(50)) {
    m.disk.DamageCopy(streams.back(), random);
  } else if (!indexes.empty()) {
    m.disk.DamageCopy(indexes[random.Below(indexes.size())], random);
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
    Machine& m = AnyMachine(random_);
    if (look && m.member != nullptr && m.ready && !m.fatal && !m.differs && !m.disk.power_is_off()) {
      checker_.CheckNow(*m.member, alone());
    }
    NextAudit();
  });
}

}  // namespace tenon::sim
