#include "tests/sim/lease_holders.h"

#include "kernel/base/errors.h"
#include "tests/sim/checker.h"

namespace tenon::sim {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

bool FateUnknown(const Status& status) { return IsFateUnknown(Message(status)); }
bool WasRefused(const Status& status) {
  return status == errors::NoLeader() || status == errors::TooManyRequests() || status == errors::NoSpace() ||
         status == errors::Corrupt() || status == errors::LeaderChanged();
}

}  // namespace

LeaseHolders::LeaseHolders(Scheduler& scheduler, Scheduler::Queue& queue, const Serving& serving, LeaseLedger& ledger,
                           Counts& counts, Trace& trace, uint64_t seed)
    : scheduler_(scheduler),
      queue_(queue),
      serving_(serving),
      ledger_(ledger),
      counts_(counts),
      trace_(trace),
      random_(seed),
      think_ns_(random_.Between(100'000'000, 600'000'000)),
      most_(random_.Between(2, 12)),
      kept_percent_(random_.Between(20, 80)),
      longest_s_(static_cast<int64_t>(random_.Between(3, 15))) {}

void LeaseHolders::Start() {
  queue_.PostAfter(random_.Between(1, 2 * think_ns_), [this] {
    if (!quiet_) Turn();
    Start();
  });
}

int64_t LeaseHolders::RandomLease(Random& random) const {
  if (held_.empty()) return 0;
  auto one = held_.begin();
  std::advance(one, static_cast<ptrdiff_t>(random.Below(held_.size())));
  return one->first;
}

void LeaseHolders::Turn() {
  // The leader alone knows the time; now and then somebody asks another one.
  Machine* const to = random_.Chance(90) ? serving_.PickLeader(random_) : serving_.Pick(random_);
  if (to == nullptr) return;
  // Those that have ended are forgotten after a while: until then somebody may still name them.
  for (auto it = held_.begin(); it != held_.end();) {
    const bool over = ledger_.EndedWith(it->first) != nullptr && random_.Chance(20);
    it = over ? held_.erase(it) : std::next(it);
  }
  // Whoever keeps some alive does so each time; a turn is much shorter than most leases.
  for (const auto& [id, held] : held_) {
    if (held.kept && random_.Chance(70)) Renew(*to, id);
  }
  const uint64_t dice = random_.Below(100);
  if (held_.size() < most_ && dice < 40) return Grant(*to);
  if (held_.empty()) return;
  const int64_t lease = RandomLease(random_);
  if (dice < 55) return Renew(*to, lease);
  if (dice < 60) {
    held_[lease].kept = false;  // its holder is gone
    return;
  }
  if (dice < 85) return LookAt(*to, lease);
  if (dice < 90) List(*to);
}

void LeaseHolders::Answer(size_t machine, int life, std::function<void()> judge) {
  if (!serving_.Is(machine, life)) return;  // nobody hears it
  queue_.PostAfter(random_.Below(500'000), [judge = std::move(judge)] { judge(); });
}

void LeaseHolders::Grant(Machine& to) {
  etcdserverpb::LeaseGrantRequest request;
  // Every number is somebody's lease, negative ones too.
  int64_t id = ++next_id_;
  if (random_.Chance(30)) id = static_cast<int64_t>(random_.Next() | 1) - next_id_ % 2;
  if (ledger_.Granted(id)) return;
  request.set_id(id);
  request.set_ttl(random_.Chance(5) ? 100'000 : static_cast<int64_t>(random_.Between(1, uint64_t(longest_s_))));
  const uint64_t sent_ns = scheduler_.TaskBeganNs();
  counts_.operations++;
  to.member->Propose(
      apply::Field::kLeaseGrant, request, request,
      [this, request, sent_ns, at = to.index, life = to.life](const Status& status, Bufs) {
        trace_.Add(static_cast<uint64_t>(status.code()));
        Answer(at, life, [this, request, sent_ns, status] {
          if (status.ok()) {
            ledger_.CheckThere(request.id(), sent_ns, "whoever was granted it");
            ledger_.Promised(request.id(), sent_ns, static_cast<uint64_t>(request.ttl()) * kSecond, "its grant");
            held_[request.id()] = {request.ttl(), random_.Chance(kept_percent_)};
            counts_.acknowledged++;
          } else if (!FateUnknown(status) && !WasRefused(status)) {
            throw Violation(fmt::format("a grant of {} was answered with {}", request.id(), status.ToString()));
          }
        });
      });
}

// As kernel/api: who leads makes sure of it first, or it could renew what its successor has ended.
void LeaseHolders::Renew(Machine& to, int64_t lease) {
  const uint64_t sent_ns = scheduler_.TaskBeganNs();
  counts_.operations++;
  to.member->node().ReadBarrier(
      [this, member = to.member.get(), lease, sent_ns, at = to.index, life = to.life](const Status& status) {
        if (!status.ok()) return;
        member->leases().Renew(lease, [this, lease, sent_ns, at, life](const Result<int64_t>& ttl) {
          trace_.Add(static_cast<uint64_t>(ttl.status().code()));
          Answer(at, life, [this, lease, sent_ns, ttl] {
            if (ttl.status() == errors::LeaseNotFound())
              return ledger_.CheckMissing(lease, sent_ns, "whoever renewed it");
            if (!ttl.ok()) return;
            ledger_.CheckThere(lease, sent_ns, "whoever renewed it");
            ledger_.Promised(lease, sent_ns, static_cast<uint64_t>(*ttl) * kSecond, "a renewal");
            const auto held = held_.find(lease);
            if (held != held_.end() && *ttl != held->second.ttl_s) {
              throw Violation(fmt::format("lease {} was renewed for {} s, not {}", lease, *ttl, held->second.ttl_s));
            }
          });
        });
      });
}

void LeaseHolders::LookAt(Machine& to, int64_t lease) {
  const uint64_t sent_ns = scheduler_.TaskBeganNs(), upper_ns = ledger_.UpperNs(lease);
  counts_.operations++;
  to.member->node().ReadBarrier(
      [this, member = to.member.get(), lease, sent_ns, upper_ns, at = to.index, life = to.life](const Status& status) {
        if (!status.ok() || !serving_.Is(at, life)) return;
        const bool leads = member->leads();  // others know what the last checkpoint says
        // Who was just elected is asked and does not count yet: all that the log knows is left from then on.
        const bool counts = member->is_primary();
        const std::optional<lease::Module::Info> info = member->leases().Lookup(lease, false);
        trace_.Add(info ? static_cast<uint64_t>(info->remaining_ttl_s) : 0);
        Answer(at, life, [this, lease, sent_ns, upper_ns, info, leads, counts] {
          if (!info) return ledger_.CheckMissing(lease, sent_ns, "whoever looks at it");
          ledger_.CheckThere(lease, sent_ns, "whoever looks at it");
          if (!leads) return;
          if (counts) ledger_.CheckLeft(lease, info->remaining_ttl_s, sent_ns, upper_ns);
          ledger_.Promised(lease, sent_ns, static_cast<uint64_t>(info->remaining_ttl_s) * kSecond, "a look at it");
        });
      });
}

void LeaseHolders::List(Machine& to) {
  const uint64_t sent_ns = scheduler_.TaskBeganNs();
  counts_.operations++;
  to.member->node().ReadBarrier(
      [this, member = to.member.get(), sent_ns, at = to.index, life = to.life](const Status& status) {
        if (!status.ok()) return;
        Answer(at, life, [this, sent_ns, leases = member->leases().List()] { ledger_.CheckList(leases, sent_ns); });
      });
}

}  // namespace tenon::sim
