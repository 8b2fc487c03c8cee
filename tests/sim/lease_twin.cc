#include "tests/sim/lease_twin.h"

#include "kernel/base/check.h"
#include "kernel/member/member.h"
#include "plugins/lease/lease.h"

namespace tenon::sim {
namespace {

using Operation = LeaseLedger::Operation;
using storage::View;

const tenon_lease_v1& Inner() { return lease_module::kTable; }

plugin::HostServices Services(Clock& clock, Executor& pool) {
  plugin::HostServices services;
  services.clock = &clock;
  services.pool = &pool;
  return services;
}

const tenon_host_raft_v1 kTermless = {
    sizeof(tenon_host_raft_v1),
    RaftHost::kTable.state,
    [](const tenon_host* host, uint32_t op, uint64_t, tenon_bufs payload, tenon_done done) {
      RaftHost::kTable.propose(host, op, 0, payload, done);
    },
    RaftHost::kTable.read_index,
};

}  // namespace

LeaseTwin::LeaseTwin(Clock& clock, Executor& pool, LeaseLedger& ledger, int64_t checkpoint_interval_s, Mutant mutant)
    : ledger_(ledger),
      mutant_(mutant),
      raft_({apply::Field::kLeaseRevoke, apply::Field::kLeaseCheckpoint}),
      host_({"io.tenon.lease", "lease", "lease", "lease"}, Services(clock, pool)) {
  host_.set_context(&raft_);
  host_.Provide(TENON_HOST_RAFT, mutant == Mutant::kStaleLessor ? &kTermless : &RaftHost::kTable);
  tenon_cfg config =
      tenon_cfg::Map({{"checkpoint-interval", tenon_cfg::Scalar(fmt::format("{}s", checkpoint_interval_s))}});
  tenon_error error{};
  error.size = sizeof error;
  CHECK_MSG(Inner().m.create(host_.abi(), &config, &inner_, &error) == TENON_OK, error.msg);
  module_.emplace(MakeTable(), this);
}

LeaseTwin::~LeaseTwin() {
  Inner().m.stop(inner_);
  host_.Close();
  Inner().m.destroy(inner_);
}

void LeaseTwin::Start(tenon::Member& member) {
  raft_.Attach(member);
  leases_ = ledger_.At(member.applier().applied());
  LeaseLedger::Leases there;
  for (const int64_t id : module_->List()) {
    const lease::Module::Info info = module_->Lookup(id, false).value();
    there[id] = {info.granted_ttl_s, info.remaining_ttl_s == info.granted_ttl_s ? 0 : info.remaining_ttl_s};
  }
  // A checkpoint that says "all of it" is none.
  LeaseLedger::Leases expected = leases_;
  for (auto& [id, lease] : expected) lease.remaining_s = lease.left_s() == lease.ttl_s ? 0 : lease.remaining_s;
  ledger_.CheckStart(member.applier().applied(), expected, there);
  CHECK_EQ(Inner().m.start(inner_, nullptr), TENON_OK);
}

// An operation that the module has carried out.
void LeaseTwin::Note(const tenon_apply_v1& context, Operation operation) {
  const Index index(context.index);
  nth_ = index == index_ ? nth_ + 1 : 0;
  index_ = index;
  LeaseLedger::Carry(operation, leases_);
  ledger_.Applied(index, nth_, operation);
  if (primary_ && operation.kind == Operation::kGrant) ledger_.GrantedByPrimary(operation.lease, operation.seconds);
}

// The mutant's module is told of a detached key only if that was not the first half of a move.
void LeaseTwin::FinishDetach() {
  if (!detached_) return;
  Inner().detach(inner_, detached_->first, storage::Slice(detached_->second));
  detached_.reset();
}

tenon_lease_v1 LeaseTwin::MakeTable() {
  tenon_lease_v1 t = Inner();
  t.recover = [](void* self, const tenon_apply_v1* context, tenon_error* e) {
    return Inner().recover(Of(self).inner_, context, e);
  };
  t.grant = [](void* self, const tenon_apply_v1* context, int64_t id, int64_t ttl_s, int64_t* granted, tenon_error* e) {
    const tenon_status status = Inner().grant(Of(self).inner_, context, id, ttl_s, granted, e);
    if (status == TENON_OK) Of(self).Note(*context, {Operation::kGrant, id, *granted, {}});
    return status;
  };
  t.revoke = [](void* self, const tenon_apply_v1* context, int64_t id, tenon_lease_key_fn key, void* ctx,
                tenon_error* e) {
    Of(self).FinishDetach();
    struct Tee {
      tenon_lease_key_fn key;
      void* ctx;
      std::vector<std::string> keys;
    } tee{key, ctx, {}};
    const auto take = [](void* ctx, tenon_slice k) -> tenon_status {
      Tee& tee = *static_cast<Tee*>(ctx);
      tee.keys.emplace_back(View(k));
      return tee.key(tee.ctx, k);
    };
    const tenon_status status = Inner().revoke(Of(self).inner_, context, id, take, &tee, e);
    if (status == TENON_OK) Of(self).Note(*context, {Operation::kRevoke, id, 0, std::move(tee.keys)});
    return status;
  };
  t.checkpoint = [](void* self, const tenon_apply_v1* context, int64_t id, int64_t remaining_s, tenon_error* e) {
    tenon_apply_v1 forgetful = *context;
    forgetful.put = [](const tenon_apply_v1*, uint32_t, tenon_slice, tenon_slice) -> tenon_status { return TENON_OK; };
    const bool lost = Of(self).mutant_ == Mutant::kCheckpointLost;
    const tenon_status status = Inner().checkpoint(Of(self).inner_, lost ? &forgetful : context, id, remaining_s, e);
    if (status == TENON_OK) Of(self).Note(*context, {Operation::kCheckpoint, id, remaining_s, {}});
    return status;
  };
  t.attach = [](void* self, int64_t id, tenon_slice key) {
    LeaseTwin& me = Of(self);
    if (me.detached_ && me.detached_->second == View(key)) me.detached_.reset();
    me.FinishDetach();
    return Inner().attach(me.inner_, id, key);
  };
  t.detach = [](void* self, int64_t id, tenon_slice key) {
    LeaseTwin& me = Of(self);
    me.FinishDetach();
    if (me.mutant_ == Mutant::kMovedKeyKept) {
      me.detached_.emplace(id, View(key));
    } else {
      Inner().detach(me.inner_, id, key);
    }
  };
  t.promote = [](void* self, uint64_t term, int64_t extend_ns) {
    LeaseTwin& me = Of(self);
    me.primary_ = true;
    me.ledger_.Promoted(Term(term), me.leases_, static_cast<uint64_t>(extend_ns));
    Inner().promote(me.inner_, term, extend_ns);
  };
  t.demote = [](void* self) {
    Of(self).primary_ = false;
    if (Of(self).mutant_ != Mutant::kStaleLessor) Inner().demote(Of(self).inner_);
  };
  t.renew = [](void* self, int64_t id, tenon_lease_done done) {
    struct Renewal {
      LeaseTwin& twin;
      int64_t id;
      tenon_lease_done done;
    };
    Inner().renew(Of(self).inner_, id,
                  {new Renewal{Of(self), id, done}, [](void* ctx, tenon_status status, int64_t ttl_s) {
                     const std::unique_ptr<Renewal> r(static_cast<Renewal*>(ctx));
                     if (status == TENON_OK) r->twin.ledger_.RenewedByPrimary(r->id);
                     if (status == TENON_NOT_FOUND && r->twin.mutant_ == Mutant::kRenewsWhatIsGone) {
                       return r->done.fn(r->done.ctx, TENON_OK, 5);
                     }
                     r->done.fn(r->done.ctx, status, ttl_s);
                   }});
  };
  t.lookup = [](void* self, int64_t id, tenon_lease_info* info, tenon_lease_key_fn key, void* ctx) {
    if (key != nullptr) Of(self).FinishDetach();
    return Inner().lookup(Of(self).inner_, id, info, key, ctx);
  };
  t.list = [](void* self, tenon_status (*row)(void*, const tenon_lease_info*), void* ctx) {
    return Inner().list(Of(self).inner_, row, ctx);
  };
  return t;
}

}  // namespace tenon::sim
