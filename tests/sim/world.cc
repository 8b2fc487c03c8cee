#include "tests/sim/world.h"

#include <algorithm>

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "tests/sim/crash_line.h"
#include "tests/sim/report.h"

namespace tenon::sim {
namespace {

constexpr uint64_t kMillisecond = 1'000'000, kSecond = 1'000'000'000;
constexpr uint64_t kLength = 30 * kSecond, kLongest = 300 * kSecond;
constexpr uint64_t kKindsPerSeed = 4;

void ThrowCheck(const char* file, int line, const std::string& message) {
  throw Violation(fmt::format("CHECK failed at {}:{}: {}", file, line, message));
}

MemberOptions RandomOptions(Random random, size_t machine, size_t members) {
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
  if (random.Chance(80)) o.index_snapshot.min_changes = random.Between(1, 60);
  o.index_snapshot.compaction_interval_ns = random.Chance(60) ? 0 : random.Between(100, 5000) * kMillisecond;
  if (random.Chance(30)) o.apply.compaction_pause_ns = random.Between(1, 300) * kMillisecond;
  o.watch.progress_interval_ns = random.Between(200, 5000) * kMillisecond;
  if (random.Chance(60)) o.watch.stream_bytes = random.Between(100, 5000);
  if (random.Chance(60)) o.watch.response_bytes = random.Between(100, 4000);
  if (random.Chance(40)) o.watch.backlog_bytes = random.Between(500, 20'000);
  if (random.Chance(60)) o.watch.window_bytes = random.Between(300, 5000);
  if (random.Chance(60)) o.watch.window_rows = static_cast<int64_t>(random.Between(3, 100));
  if (members == 1) return o;
  for (size_t i = 0; i < members; i++) o.founders.push_back({fmt::format("m{}", i), {Network::UrlOf(i)}});
  o.name = o.founders[machine].name;
  o.peer_urls = o.founders[machine].peer_urls;
  if (random.Chance(70)) o.own_wal_thread = true;
  // Short timeouts, nobody asked before: several stand in one term, and terms follow each other.
  if (random.Chance(40)) o.pre_vote = false;
  if (random.Chance(40)) o.election_ticks = static_cast<int>(random.Between(2, 9));
  // Some keep all of their log, others so little of it that whoever was away must fetch a state.
  if (random.Chance(60)) o.node.log_entries_for_followers = random.Between(1, 100);
  if (random.Chance(40)) o.node.log_bytes_kept = random.Between(1000, 20'000);
  if (random.Chance(50)) o.fetch.piece_bytes = static_cast<uint32_t>(random.Between(100, 20'000));
  if (random.Chance(30)) {
    o.persist_interval_ns = 100'000 * kSecond;
    o.persist_log_bytes = uint64_t{1} << 40;
  }
  return o;
}

std::vector<Fault> RandomFaults(Random random, size_t members) {
  std::vector<Fault> all;
  const int kinds = members == 1 ? kSingleFaults : kOftenFaults;
  for (int i = 0; i < kinds; i++) all.push_back(static_cast<Fault>(i));
  const size_t keep = random.Between(kKindsPerSeed + 1, static_cast<uint64_t>(kinds));
  while (all.size() > keep) all.erase(all.begin() + static_cast<ptrdiff_t>(random.Below(all.size())));
  return all;
}

// From numbers of their own: the other seeds stay what they are.
std::vector<Fault> WithRareFaults(std::vector<Fault> faults, uint64_t seed, size_t members) {
  if (members == 1 || !Random(seed ^ 0x548e).Chance(33)) return faults;
  for (int i = kOftenFaults; i < kFaults; i++) faults.push_back(static_cast<Fault>(i));
  return faults;
}

}  // namespace

size_t MembersOf(uint64_t seed) {
  const uint64_t dice = Random(seed ^ 0x3e3e).Below(100);
  return dice < 40 ? 1 : dice < 85 ? 3 : 5;
}

Outcome RunSeed(uint64_t seed, size_t members, Mutant mutant, bool verbose, const StrikeNumbers& only) {
  SetCrashLine(ReplayCommand(seed, members, only));
  SetLogLevel(verbose ? LogLevel::kInfo : LogLevel::kFatal);
  const CheckHandler former = SetCheckHandler(ThrowCheck);
  Outcome outcome;
  outcome.seed = seed;
  outcome.members = members;
  {
    World world(seed, members, mutant, only);
    try {
      world.Run();
    } catch (const std::exception& e) {
      outcome.violation = e.what();
    }
    outcome.counts = world.counts();
    outcome.trace_hash = world.trace().hash();
    outcome.strikes = world.strikes();
  }
  SetCheckHandler(former);
  return outcome;
}

World::World(uint64_t seed, size_t members, Mutant mutant, StrikeNumbers only)
    : seed_(seed),
      only_(std::move(only)),
      random_(seed * 0x9e3779b97f4a7c15 + 1),
      scheduler_(random_.Next(), trace_),
      queue_(scheduler_.NewQueue()),
      mutant_(mutant),
      logs_(counts_, members),
      ledger_(scheduler_, counts_),
      network_(scheduler_, trace_, counts_, members, random_.Next()),
      serving_(members),
      enabled_(WithRareFaults(RandomFaults(random_.Fork(), members), seed, members)),
      checker_(scheduler_, ledger_, counts_, members, random_.Next()),
      lease_holders_(scheduler_, queue_, serving_, ledger_, counts_, trace_, random_.Next()),
      clients_(scheduler_, queue_, serving_, checker_, lease_holders_, counts_, trace_, random_.Next()),
      watchers_(queue_, serving_, checker_, counts_, trace_, mutant, random_.Next(),
                [this](Random& random) { return clients_.RandomKey(random); }) {
  const Random common = random_.Fork();  // what all members of a cluster must agree on, and most of the rest
  for (size_t i = 0; i < members; i++) {
    const EngineKind engine = random_.Chance(70) ? EngineKind::kPrefix : EngineKind::kVolatile;
    const int64_t drift_ppm =
        members == 1 || random_.Chance(50) ? 0 : static_cast<int64_t>(random_.Below(40'000)) - 20'000;
    machines_.push_back(std::make_unique<Machine>(i, scheduler_, logs_, trace_, counts_, mutant, engine, drift_ppm,
                                                  random_.Fork(), RandomOptions(common, i, members)));
  }
  clients_.OnAcknowledged([this](Machine& m) {
    if (mutant_ == Mutant::kEventBeforeSync) return;  // for the watchers to find
    const apply::Applier& applier = m.member->applier();
    logs_.Acknowledged(m.index, applier.applied(), applier.applied_term(), machines_.size() / 2 + 1);
  });
}

World::~World() {
  for (const auto& m : machines_) {
    serving_.End(*m);
    clients_.Disconnect(*m);
    watchers_.Disconnect(*m);
  }
  for (const auto& m : machines_) {
    m->member.reset();
    m->threads.Clear();
    m->port.reset();
  }
  queue_.Clear();
}

const Counts& World::counts() {
  counts_.steps = scheduler_.steps();
  return counts_;
}

void World::Run() {
  const uint64_t begin = begin_ns_ = strike_ns_ = scheduler_.MonoNs();
  if (mutant_ == Mutant::kEventBeforeSync) clients_.Deafen();
  NextStrike();  // the first: while they are being founded
  Steps([&] { return next_strike_ > 1; }, "the first strike");
  for (const auto& m : machines_) StartMember(*m);
  clients_.Start();
  watchers_.Start();
  lease_holders_.Start();
  NextAudit();
  Steps([&] { return scheduler_.MonoNs() - begin >= kLength && Enough(); }, "the seed's faults");

  // Nothing goes wrong any more: what is open must come to an end.
  EndFaults();
  if (May(Fault::kDiffer)) DifferInCalm();
  clients_.Quiet();
  watchers_.Quiet();
  lease_holders_.Quiet();
  WaitUntilReady();
  Steps([&] { return clients_.idle(); }, "the last answers");
  const bool watched = machines_[0]->options.disk_watermark > 0;
  if (watched) {
    Steps(
        [&] {
          return std::none_of(machines_.begin(), machines_.end(), [](const auto& m) {
            return !m->well() || m->member->alarms().Has(etcdserverpb::NOSPACE);
          });
        },
        "the alarm NOSPACE to go");
  }
  counts_[Check::kAlarmGone] += watched;
  WaitForLeases();
  WaitUntilEqual();
  CheckAll();
  WaitForWatchers();
  WaitUntilReady();
  for (const auto& m : machines_) {
    StopOrderly(*m);
    StartMember(*m);
  }
  WaitUntilReady();
  WaitForWatchers();
  WaitUntilEqual();
  CheckAll();
  if (alone() && machines_[0]->engine_disk.kind() == EngineKind::kVolatile) CheckOtherEngine(*machines_[0]);
  counts_.simulated_ms = (scheduler_.MonoNs() - begin) / kMillisecond;
}

void World::Steps(const std::function<bool()>& until, std::string_view what) {
  const uint64_t begin = scheduler_.MonoNs();
  while (!until()) {
    CHECK(scheduler_.Step());
    AfterStep();
    if (scheduler_.MonoNs() - begin > kLongest) {
      throw Violation(fmt::format("waited {} simulated seconds for {}{}", kLongest / kSecond, what, Members()));
    }
  }
}

std::string World::Members() const {
  std::string text;
  for (const auto& m : machines_) {
    fmt::format_to(std::back_inserter(text), "; member {} ", m->index);
    if (m->member == nullptr) {
      text += "does not run";
      continue;
    }
    const node::Node::State state = m->member->node().state();
    fmt::format_to(std::back_inserter(text), "({:x}){} {} in term {} under {:x}, commit {}, applied {}",
                   m->member->id(),
                   m->well()  ? ""
                   : m->ready ? " ends,"
                              : " is not ready,",
                   state.role == raft::Role::kLeader ? "leads" : "follows", state.term.value, state.leader,
                   state.commit.value, m->member->applier().applied().value);
  }
  return text;
}

void World::WaitUntilReady() {
  Steps([&] { return std::all_of(machines_.begin(), machines_.end(), [](const auto& m) { return m->well(); }); },
        "the members to become ready");
}

void World::WaitForWatchers() {
  Steps([&] { return watchers_.Complete(); }, "the watchers to be told of everything");
  watchers_.CountComplete();
}

// All that can end soon must end, in time. There is no calm without a leader: the members may still be electing one.
void World::WaitForLeases() {
  uint64_t calm_ns = scheduler_.MonoNs();
  const MemberOptions& options = machines_[0]->options;
  const uint64_t late_ns = 2 * static_cast<uint64_t>(options.election_ticks) * options.node.tick_ns;
  constexpr uint64_t kSoon = 60 * kSecond;
  const auto ended = [&] {
    const auto leads = [](const auto& m) { return m->well() && m->member->leads(); };
    if (std::none_of(machines_.begin(), machines_.end(), leads)) calm_ns = scheduler_.MonoNs();
    if (const std::optional<int64_t> lease = ledger_.Overdue(calm_ns, late_ns)) {
      throw Violation(fmt::format("leases: {} is still there {} ms after its time, {} ms after the calm began{}",
                                  *lease, (scheduler_.MonoNs() - ledger_.UpperNs(*lease)) / kMillisecond,
                                  (scheduler_.MonoNs() - calm_ns) / kMillisecond, Members()));
    }
    return ledger_.AllEnded(kSoon);
  };
  counts_[Check::kLeaseInTime] += ledger_.Alive().size();
  Steps(ended, "the leases to end");
}

// Nothing is written any more: all members come to the same by themselves.
void World::WaitUntilEqual() {
  const auto equal = [&] {
    // One that lacks much fetches a state also now, and starts anew with it.
    if (!machines_[0]->well()) return false;
    const Index first = machines_[0]->member->applier().applied();
    return std::all_of(machines_.begin(), machines_.end(), [&](const auto& m) {
      return m->well() && m->member->applier().applied() == first && m->member->store().revision() >= checker_.floor();
    });
  };
  if (!alone()) Steps(equal, "the members to have the same");
}

void World::CheckAll() {
  for (const auto& m : machines_) checker_.CheckNow(*m->member, true);
  if (alone()) return;
  counts_[Check::kConverged]++;
  // All have applied the same.
  const uint64_t hash = machines_[0]->member->applier().state_hash().value();
  for (const auto& m : machines_) {
    if (m->member->alarms().Has(etcdserverpb::CORRUPT)) throw Violation("the alarm CORRUPT is up without a reason");
    const uint64_t other = m->member->applier().state_hash().value();
    if (other == hash) continue;
    throw Violation(fmt::format("state hashes: member {} has {:x}, member 0 has {:x}", m->index, other, hash));
  }
  counts_[Check::kStateHashes]++;
}

}  // namespace tenon::sim
