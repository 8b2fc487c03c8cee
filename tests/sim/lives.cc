// How members come to life and how their lives end.
#include "kernel/base/check.h"
#include "tests/sim/world.h"

namespace tenon::sim {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;

}  // namespace

void World::StartMember(Machine& m) {
  m.fatal.reset();
  m.kill_in.reset();
  m.ready = false;
  m.life = ++lives_;
  counts_.starts++;
  const bool damaged = m.disk.damaged();
  if (!alone()) m.port = std::make_unique<Network::Port>(network_, m.index, m.clock, m.threads.net);
  m.floor_at_start = checker_.floor();
  Result<std::unique_ptr<Member>> opened = Member::Open(
      scheduler_, m.clock, m.threads, m.disk, m.engine_disk, ledger_, mutant_, m.options, m.port.get(),
      [this, &m] {
        counts_[Check::kFetched]++;
        m.kill_in = 0;
        m.kill_loses_power = random_.Chance(20);
      },
      [this, &m](const Status& status) {
        if (!m.disk.struck()) {
          throw Violation(fmt::format("the member gave up without a fault: {}", status.ToString()));
        }
        if (!m.fatal) m.fatal = status;
      });
  trace_.Add(static_cast<uint64_t>(opened.status().code()));
  if (opened.ok()) {
    // It is in a part of the log that this start does not need. A later one may: power loss takes the engine back to
    // what it had made durable, behind what a killed process left it. So it must not lie there unknown.
    m.disk.HealDamage();
    m.member = *std::move(opened);
    CountStart(m);
    m.member->Start([this, &m, life = m.life] {
      queue_.Post([this, &m, life] {
        if (life == m.life && m.member != nullptr && !m.fatal) Ready(m);
      });
    });
    return;
  }
  m.threads.Clear();
  m.port.reset();
  const bool power_cut = m.disk.power_is_off(), struck = m.disk.struck();
  m.engine_disk.Crash();
  power_cut ? m.disk.LosePower(MemoryDisk::Loss::kRandom) : m.disk.KillProcess();
  if (damaged && opened.status().code() == StatusCode::kDataLoss) {
    counts_[Check::kDamageSeen]++;
    m.disk.Repair();  // the operator has a copy
  } else if (!struck) {
    throw Violation(fmt::format("the member does not start: {}", opened.status().ToString()));
  }
  StartLater(m, 200);
}

void World::StartLater(Machine& m, uint64_t most_ms) {
  queue_.PostAfter(random_.Between(1, most_ms) * kMillisecond, [this, &m] {
    if (m.member == nullptr) StartMember(m);
  });
}

void World::Ready(Machine& m) {
  if (m.differs) {
    m.ready = true;
    return;  // nobody is to see what it has
  }
  checker_.CheckStart(m);
  m.ready = true;
  serving_.Begin(m);
  watchers_.Serve(m);
}

void World::CountStart(Machine& m) {
  const mvcc::Store& store = m.member->store();
  if (m.member->index_snapshot().revision() > 0) {
    counts_[Check::kFromIndex]++;
    if (store.scheduled_compact() > store.finished_compact()) counts_[Check::kFromIndexInRemoval]++;
  }
  const bool forgets = m.engine_disk.kind() == EngineKind::kVolatile;
  if (forgets && m.member->applier().applied().value > 0) counts_[Check::kFromStream]++;
}

void World::End(Machine& m) {
  serving_.End(m);
  clients_.Disconnect(m);
  watchers_.Disconnect(m);
  m.member.reset();
  m.threads.Clear();
  m.port.reset();
  m.clock.GoOn();
  m.engine_disk.Crash();
  m.kill_in.reset();
  m.ready = m.stop_requested = false;
}

void World::Kill(Machine& m) {
  End(m);
  m.disk.KillProcess();
}

void World::LosePower(Machine& m) {
  End(m);
  m.disk.LosePower(random_.Chance(25) ? MemoryDisk::Loss::kEverything : MemoryDisk::Loss::kRandom);
}

void World::StopOrderly(Machine& m) {
  m.member->Stop();
  m.disk.power_is_off() ? LosePower(m) : Kill(m);
}

void World::AfterStep() {
  if (!ledger_.wrong().empty()) throw Violation(ledger_.wrong());
  if (!logs_.wrong().empty()) throw Violation(logs_.wrong());
  const MachineClock* const ran = scheduler_.last()->machine();
  for (const auto& m : machines_) {
    if (ran != nullptr && ran != &m->clock) continue;
    if (ran != nullptr && m->member != nullptr && !alone()) Witness(*m);
    LookAfter(*m);
  }
}

// What can be seen of a member from outside, after one of its threads ran.
void World::Witness(Machine& m) {
  if (scheduler_.last() == &m.threads.node) {
    const node::Node::State state = m.member->node().state();
    if (state.role == raft::Role::kLeader) logs_.Leads(state.term, m.member->id());
  } else if (scheduler_.last() == &m.threads.apply && !m.differs) {
    const apply::Applier& applier = m.member->applier();
    logs_.Applied(m.index, applier.applied(), applier.applied_term(), m.member->store().revision());
  }
}

void World::LookAfter(Machine& m) {
  if (m.member == nullptr) return;
  if (m.disk.sync_failed() && !m.disk.power_is_off()) {
    if (!m.fatal) throw Violation("a sync of the log failed and the member goes on");
    if (!m.kill_in) counts_[Check::kSyncFatal]++;
  }
  if (m.disk.power_is_off()) {
    LosePower(m);
    return StartLater(m, 300);
  }
  if (m.fatal && !m.kill_in) {
    m.kill_in = random_.Below(60);  // the process needs a moment to end
    m.kill_loses_power = random_.Chance(30);
  }
  if (m.stop_requested && !m.disk.stuck()) {  // it would wait for the disk, and all the world with it
    StopOrderly(m);
    return StartLater(m, 300);
  }
  if (!m.kill_in || (*m.kill_in)-- > 0) return;
  m.kill_loses_power ? LosePower(m) : Kill(m);
  StartLater(m, 300);
}

// The other engine must make the same of the newest stream and the log behind it.
void World::CheckOtherEngine(Machine& m) {
  const uint32_t hash = checker_.CheckHash(*m.member, 0);
  Kill(m);
  EngineDisk other(EngineKind::kPrefix, random_.Next(), mutant_);
  if (const Status moved = Member::MoveInto(other, m.disk); !moved.ok()) {
    throw Violation(fmt::format("the other engine does not take the stream: {}", moved.ToString()));
  }
  Result<std::unique_ptr<Member>> opened =
      Member::Open(scheduler_, m.clock, m.threads, m.disk, other, ledger_, mutant_, m.options, nullptr, nullptr,
                   [](const Status& s) { throw Violation(s.ToString()); });
  if (!opened.ok()) throw Violation(fmt::format("the other engine does not start: {}", opened.status().ToString()));
  m.member = *std::move(opened);
  bool done = false;
  m.member->Start([&] { done = true; });
  Steps([&] { return done; }, "the other engine to become ready");
  checker_.CheckNow(*m.member, true);
  counts_[Check::kOtherEngine]++;
  if (checker_.CheckHash(*m.member, 0) != hash) throw Violation("the two engines' HashKV differ");
  m.member.reset();
  m.threads.Clear();
}

}  // namespace tenon::sim
