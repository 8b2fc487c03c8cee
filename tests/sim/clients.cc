#include "tests/sim/clients.h"

#include <algorithm>

#include "kernel/apply/range.h"
#include "kernel/apply/response.h"
#include "kernel/mvcc/key_value.h"
#include "kernel/mvcc/read_view.h"

namespace tenon::sim {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

Clients::Clients(Scheduler& scheduler, Scheduler::Queue& queue, const Serving& serving, Checker& checker,
                 const LeaseHolders& leases, Counts& counts, Trace& trace, uint64_t seed)
    : scheduler_(scheduler),
      queue_(queue),
      serving_(serving),
      checker_(checker),
      leases_(leases),
      counts_(counts),
      trace_(trace),
      random_(seed),
      keys_(random_.Chance(8) ? random_.Between(1200, 2500) : random_.Between(4, 30)),
      think_ns_(random_.Between(40'000'000, 250'000'000)),
      leased_percent_(random_.Chance(20) ? 0 : random_.Between(5, 50)),
      weights_{random_.Between(20, 60), random_.Between(2, 8), random_.Between(10, 40), random_.Between(1, 4),
               random_.Below(2)},
      current_(random_.Between(4, 12)) {}

void Clients::Start() {
  for (size_t i = 0; i < current_.size(); i++) Again(i);
}

void Clients::Disconnect(const Machine& machine) {
  for (size_t i = 0; i < current_.size(); i++) {
    if (current_[i] == nullptr || current_[i]->answered || current_[i]->machine != machine.index) continue;
    counts_.unknown++;
    current_[i] = nullptr;
    Again(i);
  }
}

bool Clients::idle() const {
  return std::all_of(current_.begin(), current_.end(), [](const auto& op) { return op == nullptr; });
}

void Clients::Again(size_t client) {
  queue_.PostAfter(random_.Between(1, 2 * think_ns_), [this, client] { Turn(client); });
}

void Clients::Turn(size_t client) {
  Machine* const to = quiet_ ? nullptr : serving_.Pick(random_);
  if (to == nullptr) return Again(client);
  uint64_t dice = random_.Below(weights_[0] + weights_[1] + weights_[2] + weights_[3] + weights_[4]);
  if (dice < weights_[0]) return SendWrite(client, *to);
  if ((dice -= weights_[0]) < weights_[1]) return SendCompaction(client, *to);
  if ((dice -= weights_[1]) < weights_[2]) return SendRange(client, *to);
  if ((dice -= weights_[2]) < weights_[3]) return HoldView(client, *to);
  Defragment(client, *to);
}

OperationPtr Clients::NewOperation(const Machine& to) {
  auto op = std::make_shared<Operation>();
  op->id = ++next_id_;
  op->machine = to.index;
  op->life = to.life;
  op->after_sync_error = to.disk.sync_failed();
  return op;
}

void Clients::Answer(size_t client, const OperationPtr& op, const Status& status, std::function<void()> arrive) {
  if (!serving_.Is(op->machine, op->life) || op->answered) return;  // the process is gone, and nobody hears it
  op->answered = true;
  trace_.Add(op->id);
  trace_.Add(static_cast<uint64_t>(status.code()));
  queue_.PostAfter(random_.Below(500'000), [this, client, op, arrive = std::move(arrive)] {
    if (current_[client] == op) {
      current_[client] = nullptr;
      Again(client);
    }
    if (!deaf_) return arrive();
    counts_.unknown++;
  });
}

// ---- writes ----

apply::Proposal::Done Clients::WriteDone(size_t client, const OperationPtr& op, Machine& to) {
  return [this, client, op, &to](const Status& status, Bufs answer) {
    std::string scratch;
    std::string bytes(answer.Flatten(scratch));
    trace_.Add(bytes);
    if (status.ok() && op->after_sync_error && serving_.Is(op->machine, op->life)) {
      throw Violation(op->ToString() + " was sent after a failed sync and acknowledged");
    }
    if (status.ok() && serving_.Is(op->machine, op->life)) acknowledged_(to);
    Answer(client, op, status, [this, op, status, bytes = std::move(bytes)] {
      if (std::holds_alternative<Write>(op->request)) return checker_.WriteAnswered(op, status, bytes);
      checker_.CompactionAnswered(op, status);
    });
  };
}

void Clients::SendWrite(size_t client, Machine& to) {
  const OperationPtr op = current_[client] = NewOperation(to);
  const uint64_t dice = random_.Below(100);
  if (dice < 50) {
    op->request = Write(RandomPut());
  } else if (dice < 68) {
    op->request = Write(RandomDelete());
  } else if (const int64_t lease = leases_.RandomLease(random_); dice < 70 && lease != 0) {
    LeaseRevokeRequest revoke;
    revoke.set_id(lease);
    op->request = Write(std::move(revoke));
  } else {
    op->request = Write(keys_ > 100 && random_.Chance(50) ? BulkPut() : RandomTxn());
  }
  const Write& write = std::get<Write>(op->request);
  if ((write.index() == 0 || write.index() == 2) && !to.member->admit(1000) && random_.Chance(80)) {
    counts_.refused++;  // as kernel/api does; what was admitted just before is refused by the applier
    current_[client] = nullptr;
    return Again(client);
  }
  checker_.Sent(op);
  if (const auto* put = std::get_if<PutRequest>(&write)) {
    to.member->Propose(apply::Field::kPut, *put, *put, WriteDone(client, op, to));
  } else if (const auto* del = std::get_if<DeleteRangeRequest>(&write)) {
    to.member->Propose(apply::Field::kDeleteRange, *del, *del, WriteDone(client, op, to));
  } else if (const auto* revoke = std::get_if<LeaseRevokeRequest>(&write)) {
    to.member->Propose(apply::Field::kLeaseRevoke, *revoke, *revoke, WriteDone(client, op, to));
  } else {
    const auto& txn = std::get<TxnRequest>(write);
    to.member->Propose(apply::Field::kTxn, txn, txn, WriteDone(client, op, to));
  }
}

void Clients::SendCompaction(size_t client, Machine& to) {
  const OperationPtr op = current_[client] = NewOperation(to);
  // Only where the history is known: what is behind it could not be discovered any more.
  const int64_t known = checker_.known(), low = std::max<int64_t>(checker_.compacted(), 1);
  CompactionRequest request;
  int64_t revision =
      low + static_cast<int64_t>(random_.Below(static_cast<uint64_t>(std::max<int64_t>(known - low, 0) + 1)));
  if (random_.Chance(25)) revision = known;
  if (random_.Chance(5)) revision = checker_.floor() + 100'000;
  request.set_revision(revision);
  request.set_physical(random_.Chance(40));
  op->request = request;
  checker_.Sent(op);
  to.member->Propose(apply::Field::kCompaction, request, request, WriteDone(client, op, to));
}

// ---- reads ----

void Clients::SendRange(size_t client, Machine& to) {
  const OperationPtr op = current_[client] = NewOperation(to);
  const RangeRequest request = RandomRange();
  op->request = request;
  op->serializable = request.serializable();
  checker_.Sent(op);
  const auto answered = [this, client, op](const Status& status, Bufs answer) {
    std::string scratch;
    std::string bytes(answer.Flatten(scratch));
    trace_.Add(bytes);
    Answer(client, op, status,
           [this, op, status, bytes = std::move(bytes)] { checker_.ReadAnswered(op, status, bytes); });
  };
  const auto serve = [member = to.member.get(), request, answered](const Status& status) {
    if (!status.ok()) return answered(status, {});
    const bool plain = request.range_end().empty() && request.revision() <= 0 && !request.count_only() &&
                       !request.keys_only() && request.limit() == 0;
    std::optional<mvcc::KeyIndex::Hit> hit;
    int64_t revision;
    if (plain && member->store().TryCached(request.key(), hit, revision)) {
      apply::RangeAnswer answer;
      answer.revision = revision;
      answer.count = hit.has_value();
      if (hit) answer.kvs.push_back(hit->record);
      return answered(Ok(), Encode(answer, member->applier().header()));
    }
    member->reader().Post([member, request, answered] {
      mvcc::ReadView view = member->store().View();
      const Result<apply::RangeAnswer> answer = apply::Range(view, request);
      answered(answer.status(), answer.ok() ? Encode(*answer, member->applier().header()) : Bufs());
    });
  };
  if (request.serializable()) return serve(Ok());
  to.member->node().ReadBarrier(serve);
}

void Clients::HoldView(size_t client, Machine& to) {
  const OperationPtr op = current_[client] = NewOperation(to);
  op->request = RangeRequest();
  const uint64_t hold_ns = random_.Between(1'000'000, 3'000'000'000);
  to.member->reader().Post([this, client, op, hold_ns, &to, member = to.member.get()] {
    const auto view = std::make_shared<mvcc::ReadView>(member->store());
    const uint64_t opened_ns = scheduler_.MonoNs();
    member->reader().PostAfter(hold_ns, [this, client, op, view, opened_ns, &to] {
      RangeRequest all;
      all.set_key(std::string(1, '\0'));
      all.set_range_end(std::string(1, '\0'));
      const Result<apply::RangeAnswer> answer = apply::Range(*view, all);
      Result<State> state = State();
      if (!answer.ok()) {
        state = answer.status();
      } else {
        for (const Block& row : answer->kvs) {
          mvcc::KeyValue kv;
          if (!mvcc::Decode(row.view(), kv)) throw Violation("a row is not a KeyValue");
          (*state)[std::string(kv.key)] = {std::string(kv.value), kv.create_revision, kv.mod_revision, kv.version,
                                           kv.lease};
        }
      }
      const bool may_end = scheduler_.MonoNs() - opened_ns >= to.clock.Wait(to.options.view_max_age_ns);
      Answer(client, op, answer.status(), [this, revision = view->revision(), may_end, state = std::move(state)] {
        checker_.ViewAnswered(revision, may_end, state);
      });
    });
  });
}

void Clients::Defragment(size_t client, Machine& to) {
  const OperationPtr op = current_[client] = NewOperation(to);
  op->request = RangeRequest();
  to.member->worker().Post([this, client, op, member = to.member.get()] {
    const Result<bool> done = member->engine().Compact(scheduler_.MonoNs() + 1'000'000);
    Answer(client, op, done.status(), [] {});
  });
}

// ---- requests ----

std::string Clients::RandomPrefix(std::string& key) {
  key.resize(random_.Between(1, key.size()));
  std::string end = key;
  end.back()++;
  return end;
}

std::string Clients::NewValue() {
  std::string value = fmt::format("v{}-", ++next_id_);
  const uint64_t pad = keys_ > 100               ? random_.Below(30)
                       : random_.Below(300) == 0 ? random_.Below(60'000)
                       : random_.Chance(4)       ? random_.Below(4000)
                                                 : random_.Below(120);
  for (uint64_t i = 0; i < pad; i++) value += static_cast<char>('a' + random_.Below(26));
  return value;
}

PutRequest Clients::RandomPut() {
  PutRequest put;
  put.set_key(RandomKey());
  put.set_value(NewValue());
  put.set_prev_kv(random_.Chance(30));
  if (random_.Chance(leased_percent_)) put.set_lease(leases_.RandomLease(random_));
  return put;
}

DeleteRangeRequest Clients::RandomDelete() {
  DeleteRangeRequest request;
  request.set_key(RandomKey());
  request.set_prev_kv(random_.Chance(30));
  if (random_.Chance(30)) request.set_range_end(RandomKey());
  if (random_.Chance(10)) request.set_range_end(RandomPrefix(*request.mutable_key()));
  if (random_.Chance(3)) request.set_range_end(std::string(1, '\0'));
  return request;
}

TxnRequest Clients::BulkPut() {
  TxnRequest txn;
  const uint64_t first = random_.Below(keys_);
  for (uint64_t n = random_.Between(50, 128), i = 0; i < n; i++) {
    *txn.add_success()->mutable_request_put() = RandomPut();
    txn.mutable_success(static_cast<int>(i))->mutable_request_put()->set_key(KeyOf((first + 7 * i) % keys_));
  }
  *txn.mutable_failure() = txn.success();  // no compare: never taken
  return txn;
}

TxnRequest Clients::RandomTxn() {
  TxnRequest txn;
  // etcd refuses two changes of one key: each key is used once.
  std::vector<std::string> keys;
  const uint64_t from = keys_ > 100 ? random_.Below(keys_ - 30) : 0;
  for (uint64_t i = 0; i < std::min<uint64_t>(keys_, 30); i++) keys.push_back(KeyOf(from + i));
  FillTxn(txn, std::move(keys), 0);
  return txn;
}

void Clients::AddCompares(TxnRequest& txn) {
  for (uint64_t n = random_.Below(3); n > 0; n--) {
    Compare* c = txn.add_compare();
    const std::string key = RandomKey();
    c->set_key(key);
    c->set_result(static_cast<Compare::CompareResult>(random_.Below(4)));
    const State& now = checker_.history().at(checker_.known()).after;
    const auto there = now.find(key);
    const int64_t near = static_cast<int64_t>(random_.Below(2));
    switch (random_.Below(4)) {
      case 0:
        c->set_target(Compare::VERSION);
        c->set_version(there != now.end() ? there->second.version - near : near);
        break;
      case 1:
        c->set_target(Compare::CREATE);
        c->set_create_revision(there != now.end() ? there->second.create - near : near);
        break;
      case 2:
        c->set_target(Compare::MOD);
        c->set_mod_revision(there != now.end() ? there->second.mod - near : near);
        break;
      default:
        c->set_target(Compare::VALUE);
        c->set_value(there != now.end() && near == 0 ? there->second.value : "other");
    }
  }
}

void Clients::FillTxn(TxnRequest& txn, std::vector<std::string> all, int depth) {
  AddCompares(txn);
  for (auto* ops : {txn.mutable_success(), txn.mutable_failure()}) {
    std::vector<std::string> keys = all;
    const auto take = [&] {
      const size_t at = random_.Below(keys.size());
      const std::string key = keys[at];
      keys.erase(keys.begin() + static_cast<ptrdiff_t>(at));
      return key;
    };
    const bool marked = depth == 0 && random_.Chance(80);
    for (uint64_t n = random_.Between(1, 4); n > 0 && !keys.empty(); n--) {
      RequestOp* op = ops->Add();
      const uint64_t dice = random_.Below(100);
      if (dice < 50 || (n == 1 && marked)) {
        *op->mutable_request_put() = RandomPut();
        op->mutable_request_put()->set_key(take());
      } else if (dice < 70) {
        op->mutable_request_delete_range()->set_key(take());
        op->mutable_request_delete_range()->set_prev_kv(random_.Chance(50));
      } else if (dice < 80 && depth < 3 && keys.size() >= 2) {
        std::vector<std::string> inner;
        for (uint64_t i = random_.Between(1, keys.size() / 2); i > 0; i--) inner.push_back(take());
        FillTxn(*op->mutable_request_txn(), std::move(inner), depth + 1);
      } else {
        op->mutable_request_range()->set_key(take());
        if (random_.Chance(50)) op->mutable_request_range()->set_range_end(std::string(1, '\0'));
        // What cannot be read: all of it must be refused, whatever stands before.
        if (random_.Chance(5)) {
          op->mutable_request_range()->set_revision(checker_.compacted() > 1 ? 1 : checker_.floor() + 100'000);
        }
      }
    }
  }
}

RangeRequest Clients::RandomRange() {
  RangeRequest request;
  request.set_serializable(random_.Chance(30));
  request.set_key(random_.Chance(10) ? std::string(1, '\0') : RandomKey());
  const uint64_t shape = random_.Below(100);
  if (shape < 30) request.set_range_end(RandomKey());
  if (shape >= 60 && shape < 75) request.set_range_end(RandomPrefix(*request.mutable_key()));
  if (shape >= 30 && shape < 60) request.set_range_end(std::string(1, '\0'));
  if (random_.Chance(40)) {
    const int64_t low = std::max<int64_t>(checker_.compacted() - 5, 1);
    const int64_t span = std::max<int64_t>(checker_.floor() - low, 0) + 1;
    request.set_revision(low + static_cast<int64_t>(random_.Below(static_cast<uint64_t>(span))));
    if (random_.Chance(3)) request.set_revision(checker_.floor() + 100'000);
  }
  if (random_.Chance(20)) request.set_limit(static_cast<int64_t>(random_.Between(1, 5)));
  request.set_count_only(random_.Chance(10));
  request.set_keys_only(random_.Chance(10));
  if (random_.Chance(10)) {
    request.set_sort_order(RangeRequest::DESCEND);
    request.set_sort_target(random_.Chance(50) ? RangeRequest::KEY : RangeRequest::MOD);
  }
  return request;
}

}  // namespace tenon::sim
