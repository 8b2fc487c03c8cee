#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/mvcc/watch_mutant.h"

namespace tenon::sim {
namespace {

constexpr uint64_t kMillisecond = 1'000'000, kSecond = 1'000'000'000;
constexpr uint64_t kLength = 30 * kSecond, kLongest = 300 * kSecond;
constexpr uint64_t kOperations = 500, kFaultsPerSeed = 8, kKindsPerSeed = 4;

void ThrowCheck(const char* file, int line, const std::string& message) {
  throw Violation(fmt::format("CHECK failed at {}:{}: {}", file, line, message));
}

mvcc::WatchMutant HubMutant(Mutant mutant) {
  switch (mutant) {
    case Mutant::kProgressFirst: return mvcc::WatchMutant::kProgressFirst;
    case Mutant::kDeleteLost: return mvcc::WatchMutant::kDeleteLost;
    case Mutant::kDuplicate: return mvcc::WatchMutant::kDuplicate;
    case Mutant::kParkedForGood: return mvcc::WatchMutant::kParkedForGood;
    default: return mvcc::WatchMutant::kNone;
  }
}

MemberOptions RandomOptions(Random random, Mutant mutant) {
  MemberOptions o;
  o.log_segment_bytes = uint64_t{8 << 10} << random.Below(6);
  o.own_wal_thread = random.Chance(50);
  if (random.Chance(80)) o.lease_checkpoint_interval_s = static_cast<int64_t>(random.Between(1, 4));
  o.record_cache_bytes = random.Chance(50) ? 32 << 20 : random.Below(4000);
  o.view_max_age_ns = random.Chance(50) ? 60 * kSecond : random.Between(100, 2000) * kMillisecond;
  o.disk_watermark = random.Chance(50) ? 0 : 20'000;
  o.node.request_timeout_ns = random.Between(500, 7000) * kMillisecond;
  if (random.Chance(10)) o.node.max_unapplied = random.Between(3, 10);
  if (random.Chance(10)) o.node.max_waiting_bytes = random.Between(200, 2000);
  if (random.Chance(30)) o.node.max_batch = random.Between(1, 20);
  if (random.Chance(30)) o.node.max_ahead = random.Between(1, 40);
  if (random.Chance(50)) o.node.log_entries_kept = random.Below(50);
  o.persist_interval_ns = random.Between(100, 5000) * kMillisecond;
  o.persist_log_bytes = random.Between(2, 200) << 10;
  o.index_snapshot.mutant_accepts_stale = mutant == Mutant::kStaleIndex;
  if (random.Chance(80)) o.index_snapshot.min_changes = random.Between(1, 60);
  o.index_snapshot.compaction_interval_ns = random.Chance(60) ? 0 : random.Between(100, 5000) * kMillisecond;
  if (random.Chance(30)) o.apply.compaction_pause_ns = random.Between(1, 300) * kMillisecond;
  o.watch.progress_interval_ns = random.Between(200, 5000) * kMillisecond;
  if (random.Chance(60)) o.watch.stream_bytes = random.Between(100, 5000);
  if (random.Chance(60)) o.watch.response_bytes = random.Between(100, 4000);
  if (random.Chance(40)) o.watch.backlog_bytes = random.Between(500, 20'000);
  if (random.Chance(60)) o.watch.window_bytes = random.Between(300, 5000);
  if (random.Chance(60)) o.watch.window_rows = static_cast<int64_t>(random.Between(3, 100));
  return o;
}

std::vector<Fault> RandomFaults(Random random) {
  std::vector<Fault> all;
  for (int i = 0; i < kFaults; i++) all.push_back(static_cast<Fault>(i));
  const size_t keep = random.Between(kKindsPerSeed + 1, kFaults);
  while (all.size() > keep) all.erase(all.begin() + static_cast<ptrdiff_t>(random.Below(all.size())));
  return all;
}

}  // namespace

Outcome RunSeed(uint64_t seed, Mutant mutant, bool verbose) {
  SetLogLevel(verbose ? LogLevel::kInfo : LogLevel::kFatal);
  const CheckHandler former = SetCheckHandler(ThrowCheck);
  mvcc::planted_watch_mutant = HubMutant(mutant);
  Outcome outcome;
  outcome.seed = seed;
  {
    World world(seed, mutant);
    try {
      world.Run();
    } catch (const std::exception& e) {
      outcome.violation = e.what();
    }
    outcome.engine = world.engine();
    outcome.counts = world.counts();
    outcome.trace_hash = world.trace().hash();
  }
  SetCheckHandler(former);
  mvcc::planted_watch_mutant = mvcc::WatchMutant::kNone;
  return outcome;
}

World::World(uint64_t seed, Mutant mutant)
    : random_(seed * 0x9e3779b97f4a7c15 + 1),
      scheduler_(random_.Next(), trace_),
      threads_(scheduler_),
      queue_(scheduler_.NewQueue()),
      mutant_(mutant),
      disk_(random_.Next(), scheduler_, trace_, counts_, mutant),
      engine_disk_(random_.Chance(70) ? EngineKind::kPrefix : EngineKind::kVolatile, random_.Next(), mutant),
      options_(RandomOptions(random_.Fork(), mutant)),
      enabled_(RandomFaults(random_.Fork())),
      ledger_(scheduler_, counts_),
      checker_(scheduler_, ledger_, counts_, random_.Next()),
      lease_holders_(scheduler_, queue_, ledger_, counts_, trace_, random_.Next()),
      clients_(scheduler_, queue_, disk_, checker_, lease_holders_, counts_, trace_, random_.Next(),
               options_.view_max_age_ns),
      watchers_(queue_, checker_, counts_, trace_, mutant, random_.Next(),
                [this](Random& random) { return clients_.RandomKey(random); }) {}

World::~World() {
  clients_.Disconnect();
  watchers_.Disconnect();
  member_.reset();
  threads_.Clear();
  queue_.Clear();
}

void World::Run() {
  const uint64_t begin = scheduler_.MonoNs();
  if (mutant_ == Mutant::kEventBeforeSync) clients_.Deafen();
  StartMember();
  clients_.Start();
  watchers_.Start();
  lease_holders_.Start();
  NextFault();
  NextAudit();
  Steps([&] { return scheduler_.MonoNs() - begin >= kLength && Enough(); }, "the seed's faults");

  // Nothing goes wrong any more: what is open must come to an end.
  EndFaults();
  clients_.Quiet();
  watchers_.Quiet();
  lease_holders_.Quiet();
  WaitUntilReady();
  Steps([&] { return clients_.idle(); }, "the last answers");
  const bool watched = options_.disk_watermark > 0;
  if (watched) Steps([&] { return !member_->alarms().Has(etcdserverpb::NOSPACE); }, "the alarm NOSPACE to go");
  counts_[Check::kAlarmGone] += watched;
  WaitForLeases();
  checker_.CheckNow(*member_);
  WaitForWatchers();
  StopOrderly();
  StartMember();
  WaitUntilReady();
  WaitForWatchers();
  if (engine() == EngineKind::kVolatile) CheckOtherEngine();
  counts_.simulated_ms = (scheduler_.MonoNs() - begin) / kMillisecond;
  counts_.steps = scheduler_.steps();
}

void World::Steps(const std::function<bool()>& until, std::string_view what) {
  const uint64_t begin = scheduler_.MonoNs();
  while (!until()) {
    CHECK(scheduler_.Step());
    AfterStep();
    if (!ledger_.wrong().empty()) throw Violation(ledger_.wrong());
    if (scheduler_.MonoNs() - begin > kLongest) {
      throw Violation(fmt::format("waited {} simulated seconds for {}", kLongest / kSecond, what));
    }
  }
}

void World::WaitUntilReady() {
  const auto well = [&] { return member_ != nullptr && ready_ && !fatal_ && !kill_in_ && !stop_requested_; };
  Steps(well, "the member to become ready");
}

void World::WaitForWatchers() {
  Steps([&] { return watchers_.Complete(); }, "the watchers to be told of everything");
  watchers_.CountComplete();
}

// All that can end soon must end, in time.
void World::WaitForLeases() {
  const uint64_t calm_ns = scheduler_.MonoNs();
  const uint64_t late_ns = 2 * static_cast<uint64_t>(options_.election_ticks) * options_.node.tick_ns;
  constexpr uint64_t kSoon = 60 * kSecond;
  const auto ended = [&] {
    if (const std::optional<int64_t> lease = ledger_.Overdue(calm_ns, late_ns)) {
      throw Violation(fmt::format("leases: {} is still there, long after its time", *lease));
    }
    return ledger_.AllEnded(kSoon);
  };
  counts_[Check::kLeaseInTime] += ledger_.Alive().size();
  Steps(ended, "the leases to end");
}

// ---- lives ----

void World::StartMember() {
  fatal_.reset();
  kill_in_.reset();
  ready_ = false;
  life_++;
  counts_.starts++;
  const bool damaged = disk_.damaged();
  Result<std::unique_ptr<Member>> opened =
      Member::Open(scheduler_, threads_, disk_, engine_disk_, ledger_, mutant_, options_, [this](const Status& status) {
        if (!disk_.struck()) throw Violation(fmt::format("the member gave up without a fault: {}", status.ToString()));
        if (!fatal_) fatal_ = status;
      });
  trace_.Add(static_cast<uint64_t>(opened.status().code()));
  if (opened.ok()) {
    // It is in a part of the log that this start does not need. A later one may: power loss takes the engine back to
    // what it had made durable, behind what a killed process left it. So it must not lie there unknown.
    disk_.HealDamage();
    member_ = *std::move(opened);
    CountStart();
    member_->Start([this, life = life_] {
      queue_.Post([this, life] {
        if (life != life_ || member_ == nullptr || fatal_) return;
        checker_.CheckStart(*member_, life_);
        ready_ = true;
        clients_.Serve(*member_, life_);
        watchers_.Serve(*member_);
        lease_holders_.Serve(*member_, life_);
      });
    });
    return;
  }
  threads_.Clear();
  const bool power_cut = disk_.power_is_off(), struck = disk_.struck();
  engine_disk_.Crash();
  power_cut ? disk_.LosePower(MemoryDisk::Loss::kRandom) : disk_.KillProcess();
  if (damaged && opened.status().code() == StatusCode::kDataLoss) {
    counts_[Check::kDamageSeen]++;
    disk_.Repair();  // the operator has a copy
  } else if (!struck) {
    throw Violation(fmt::format("the member does not start: {}", opened.status().ToString()));
  }
  queue_.PostAfter(random_.Between(1, 200) * kMillisecond, [this] { StartMember(); });
}

void World::CountStart() {
  const mvcc::Store& store = member_->store();
  if (member_->index_snapshot().revision() > 0) {
    counts_[Check::kFromIndex]++;
    if (store.scheduled_compact() > store.finished_compact()) counts_[Check::kFromIndexInRemoval]++;
  }
  if (engine() == EngineKind::kVolatile && member_->applier().applied().value > 0) counts_[Check::kFromStream]++;
}

void World::End() {
  clients_.Disconnect();
  watchers_.Disconnect();
  lease_holders_.Disconnect();
  member_.reset();
  threads_.Clear();
  engine_disk_.Crash();
  kill_in_.reset();
  ready_ = stop_requested_ = false;
}

void World::Kill() {
  End();
  disk_.KillProcess();
}

void World::LosePower() {
  End();
  disk_.LosePower(random_.Chance(25) ? MemoryDisk::Loss::kEverything : MemoryDisk::Loss::kRandom);
}

void World::StopOrderly() {
  member_->Stop();
  disk_.power_is_off() ? LosePower() : Kill();
}

void World::AfterStep() {
  if (member_ == nullptr) return;
  if (disk_.sync_failed() && !disk_.power_is_off()) {
    if (!fatal_) throw Violation("a sync of the log failed and the member goes on");
    if (!kill_in_) counts_[Check::kSyncFatal]++;
  }
  const auto restart = [this] { queue_.PostAfter(random_.Between(1, 300) * kMillisecond, [this] { StartMember(); }); };
  if (disk_.power_is_off()) {
    LosePower();
    return restart();
  }
  if (fatal_ && !kill_in_) {
    kill_in_ = random_.Below(60);  // the process needs a moment to end
    kill_loses_power_ = random_.Chance(30);
  }
  if (stop_requested_) {
    StopOrderly();
    return restart();
  }
  if (!kill_in_ || (*kill_in_)-- > 0) return;
  kill_loses_power_ ? LosePower() : Kill();
  restart();
}

// ---- faults ----

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
  const auto start_later = [this] {
    queue_.PostAfter(random_.Between(1, 500) * kMillisecond, [this] { StartMember(); });
  };
  switch (fault) {
    case Fault::kKill:
    case Fault::kPowerLoss:
      if (member_ == nullptr || kill_in_) return;
      kill_in_ = random_.Below(200);
      kill_loses_power_ = fault == Fault::kPowerLoss;
      counts_[fault]++;
      return;
    case Fault::kPowerCut: return disk_.ArmPowerCut(random_.Below(60));
    case Fault::kWriteError: return disk_.ArmWriteError(random_.Below(20));
    case Fault::kSyncError: return disk_.ArmSyncError(random_.Below(20));
    case Fault::kDiskFull:
      if (disk_.full()) return;
      disk_.FillUp(random_.Below(30'000));
      queue_.PostAfter(random_.Between(200, 3000) * kMillisecond, [this] { disk_.MakeSpace(); });
      return;
    case Fault::kSlowDisk:
      disk_.SetSlowUntil(scheduler_.MonoNs() + random_.Between(100, 2000) * kMillisecond);
      counts_[fault]++;
      return;
    case Fault::kClockJump:
      if (random_.Chance(50)) {
        const uint64_t pause_ns = random_.Between(50, 3000) * kMillisecond;
        scheduler_.Pause(pause_ns);
        ledger_.Paused(pause_ns);
      } else {
        scheduler_.MoveWallClock(static_cast<int64_t>(random_.Below(7200 * kSecond)) -
                                 static_cast<int64_t>(3600 * kSecond));
      }
      counts_[fault]++;
      return;
    case Fault::kRestart:
      if (member_ == nullptr || !ready_ || fatal_) return;
      // Main's work: outside of all threads.
      stop_requested_ = true;
      counts_[fault]++;
      return;
    case Fault::kDamage:
      if (member_ == nullptr || disk_.damaged()) return;
      random_.Chance(50) ? Kill() : LosePower();
      if (disk_.Damage(Member::kWalDirectory, random_)) counts_[fault]++;
      return start_later();
    case Fault::kDamageCopy:
      if (member_ == nullptr) return;
      random_.Chance(50) ? Kill() : LosePower();
      if (DamageCopy()) counts_[fault]++;
      return start_later();
  }
}

bool World::DamageCopy() {
  const auto files = [&](const char* directory, std::string_view suffix) {
    std::vector<std::string> paths;
    for (const std::string& name : disk_.List(directory).value_or(std::vector<std::string>())) {
      if (name.size() > suffix.size() && std::string_view(name).substr(name.size() - suffix.size()) == suffix) {
        paths.push_back(fmt::format("{}/{}", directory, name));
      }
    }
    return paths;
  };
  const std::vector<std::string> streams = files(Member::kStreamDirectory, ".stream");
  const std::vector<std::string> indexes = files(Member::kIndexDirectory, ".index");
  // Of a single stream there is no other copy.
  if (streams.size() >= 2 && random_.Chance(50)) {
    disk_.DamageCopy(streams.back(), random_);
  } else if (!indexes.empty()) {
    disk_.DamageCopy(indexes[random_.Below(indexes.size())], random_);
  } else {
    return false;
  }
  return true;
}

void World::EndFaults() {
  calm_ = true;
  disk_.Disarm();
  disk_.MakeSpace();
}

// ---- audits ----

void World::NextAudit() {
  queue_.PostAfter(random_.Between(500, 3000) * kMillisecond, [this] {
    if (calm_) return;
    const bool look = mutant_ != Mutant::kEventBeforeSync;  // or a look would know what only watchers are to know
    if (look && member_ != nullptr && ready_ && !fatal_ && !disk_.power_is_off()) checker_.CheckNow(*member_);
    NextAudit();
  });
}

// The other engine must make the same of the newest stream and the log behind it.
void World::CheckOtherEngine() {
  const uint32_t hash = checker_.CheckHash(*member_, 0);
  Kill();
  EngineDisk other(EngineKind::kPrefix, random_.Next(), mutant_);
  if (const Status moved = Member::MoveInto(other, disk_); !moved.ok()) {
    throw Violation(fmt::format("the other engine does not take the stream: {}", moved.ToString()));
  }
  Result<std::unique_ptr<Member>> opened = Member::Open(scheduler_, threads_, disk_, other, ledger_, mutant_, options_,
                                                        [](const Status& s) { throw Violation(s.ToString()); });
  if (!opened.ok()) throw Violation(fmt::format("the other engine does not start: {}", opened.status().ToString()));
  member_ = *std::move(opened);
  bool done = false;
  member_->Start([&] { done = true; });
  Steps([&] { return done; }, "the other engine to become ready");
  checker_.CheckNow(*member_);
  counts_[Check::kOtherEngine]++;
  if (checker_.CheckHash(*member_, 0) != hash) throw Violation("the two engines' HashKV differ");
  clients_.Disconnect();
  member_.reset();
  threads_.Clear();
}

}  // namespace tenon::sim
