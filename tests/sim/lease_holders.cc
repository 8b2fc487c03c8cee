#include "tests/sim/lease_holders.h"

#include "kernel/base/errors.h"
#include "tests/sim/checker.h"

namespace tenon::sim {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

bool FateUnknown(const Status& status) { return status == errors::Timeout() || status == errors::Stopped(); }
bool WasRefused(const Status& status) {
  return status == errors::NoLeader() || status == errors::TooManyRequests() || status == errors::NoSpace() ||
         status == errors::LeaderChanged();
}

}  // namespace

LeaseHolders::LeaseHolders(Scheduler& scheduler, Scheduler::Queue& queue, LeaseLedger& ledger, Counts& counts,
                           Trace& trace, uint64_t seed)
    : scheduler_(scheduler),
      queue_(queue),
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
    if (member_ != nullptr && !quiet_) Turn();
    Start();
  });
}

void LeaseHolders::Serve(Member& member, int life) {
  member_ = &member;
  life_ = life;
}

void LeaseHolders::Disconnect() { member_ = nullptr; }

int64_t LeaseHolders::RandomLease(Random& random) const {
  if (held_.empty()) return 0;
  auto one = held_.begin();
  std::advance(one, static_cast<ptrdiff_t>(random.Below(held_.size())));
  return one->first;
}

void LeaseHolders::Turn() {
  // Those that have ended are forgotten after a while: until then somebody may still name them.
  for (auto it = held_.begin(); it != held_.end();) {
    const bool over = ledger_.EndedWith(it->first) != nullptr && random_.Chance(20);
    it = over ? held_.erase(it) : std::next(it);
  }
  // Whoever keeps some alive does so each time; a turn is much shorter than most leases.
  for (const auto& [id, held] : held_) {
    if (held.kept && random_.Chance(70)) Renew(id, false);
  }
  const uint64_t dice = random_.Below(100);
  if (held_.size() < most_ && dice < 40) return Grant();
  if (held_.empty()) return;
  const int64_t lease = RandomLease(random_);
  if (dice < 55) return Renew(lease, false);
  if (dice < 60) {
    held_[lease].kept = false;  // its holder is gone
    return;
  }
  if (dice < 85) return LookAt(lease);
  if (dice < 90) List();
}

void LeaseHolders::Answer(int life, std::function<void()> judge) {
  if (member_ == nullptr || life != life_) return;  // nobody hears it
  queue_.PostAfter(random_.Below(500'000), [judge = std::move(judge)] { judge(); });
}

void LeaseHolders::Grant() {
  etcdserverpb::LeaseGrantRequest request;
  // Every number is somebody's lease, negative ones too.
  int64_t id = ++next_id_;
  if (random_.Chance(30)) id = static_cast<int64_t>(random_.Next() | 1) - next_id_ % 2;
  if (ledger_.Granted(id)) return;
  request.set_id(id);
  request.set_ttl(random_.Chance(5) ? 100'000 : static_cast<int64_t>(random_.Between(1, uint64_t(longest_s_))));
  const uint64_t sent_ns = scheduler_.MonoNs();
  counts_.operations++;
  member_->Propose(
      apply::Field::kLeaseGrant, request, request, [this, request, sent_ns, life = life_](const Status& status, Bufs) {
        trace_.Add(static_cast<uint64_t>(status.code()));
        Answer(life, [this, request, sent_ns, status] {
          if (status.ok()) {
            ledger_.CheckThere(request.id(), sent_ns, "whoever was granted it");
            ledger_.Promised(request.id(), sent_ns + static_cast<uint64_t>(request.ttl()) * kSecond, "its grant");
            held_[request.id()] = {request.ttl(), random_.Chance(kept_percent_)};
            counts_.acknowledged++;
          } else if (!FateUnknown(status) && !WasRefused(status)) {
            throw Violation(fmt::format("a grant of {} was answered with {}", request.id(), status.ToString()));
          }
        });
      });
}

void LeaseHolders::Renew(int64_t lease, bool again) {
  const uint64_t sent_ns = scheduler_.MonoNs();
  counts_.operations++;
  member_->leases().Renew(lease, [this, lease, again, sent_ns, life = life_](const Result<int64_t>& ttl) {
    trace_.Add(static_cast<uint64_t>(ttl.status().code()));
    Answer(life, [this, lease, again, sent_ns, life, ttl] {
      if (ttl.ok()) {
        ledger_.CheckThere(lease, sent_ns, "whoever renewed it");
        ledger_.Promised(lease, sent_ns + static_cast<uint64_t>(*ttl) * kSecond, "a renewal");
        const auto held = held_.find(lease);
        if (held != held_.end() && *ttl != held->second.ttl_s) {
          throw Violation(fmt::format("lease {} was renewed for {} s, not {}", lease, *ttl, held->second.ttl_s));
        }
      } else if (ttl.status() == errors::LeaseNotFound()) {
        if (again) return ledger_.CheckMissing(lease, sent_ns, "whoever renewed it");
        // As kernel/api: it may be granted and not applied here.
        if (member_ == nullptr || life != life_) return;
        member_->node().ReadBarrier([this, lease, life](const Status& status) {
          if (!status.ok()) return;
          Answer(life, [this, lease, life] {
            if (member_ != nullptr && life == life_) Renew(lease, true);
          });
        });
      }
    });
  });
}

void LeaseHolders::LookAt(int64_t lease) {
  const uint64_t sent_ns = scheduler_.MonoNs(), upper_ns = ledger_.UpperNs(lease);
  counts_.operations++;
  member_->node().ReadBarrier([this, lease, sent_ns, upper_ns, life = life_](const Status& status) {
    if (!status.ok() || member_ == nullptr || life != life_) return;
    const std::optional<lease::Module::Info> info = member_->leases().Lookup(lease, false);
    trace_.Add(info ? static_cast<uint64_t>(info->remaining_ttl_s) : 0);
    Answer(life, [this, lease, sent_ns, upper_ns, info] {
      if (!info) return ledger_.CheckMissing(lease, sent_ns, "whoever looks at it");
      ledger_.CheckThere(lease, sent_ns, "whoever looks at it");
      ledger_.CheckLeft(lease, info->remaining_ttl_s, sent_ns, upper_ns);
      ledger_.Promised(lease, sent_ns + static_cast<uint64_t>(info->remaining_ttl_s) * kSecond, "a look at it");
    });
  });
}

void LeaseHolders::List() {
  const uint64_t sent_ns = scheduler_.MonoNs();
  counts_.operations++;
  member_->node().ReadBarrier([this, sent_ns, life = life_](const Status& status) {
    if (!status.ok() || member_ == nullptr || life != life_) return;
    Answer(life, [this, sent_ns, leases = member_->leases().List()] { ledger_.CheckList(leases, sent_ns); });
  });
}

}  // namespace tenon::sim
