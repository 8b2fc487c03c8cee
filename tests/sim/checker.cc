#include "tests/sim/checker.h"

#include <algorithm>

#include "kernel/apply/range.h"
#include "kernel/apply/response.h"
#include "kernel/mvcc/hash.h"
#include "kernel/mvcc/key_value.h"
#include "kernel/mvcc/read_view.h"

namespace tenon::sim {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

template <class... Args>
[[noreturn]] void Wrong(fmt::format_string<Args...> text, Args&&... args) {
  throw Violation(fmt::format(text, std::forward<Args>(args)...));
}

void RequireParsed(google::protobuf::MessageLite& message, const std::string& bytes) {
  if (!message.ParseFromString(bytes)) Wrong("an answer of {} bytes is not a {}", bytes.size(), message.GetTypeName());
}

void ClearHeaders(TxnResponse& txn) {
  for (ResponseOp& op : *txn.mutable_responses()) {
    if (op.has_response_put()) op.mutable_response_put()->clear_header();
    if (op.has_response_delete_range()) op.mutable_response_delete_range()->clear_header();
    if (op.has_response_range()) op.mutable_response_range()->clear_header();
    if (op.has_response_txn()) {
      op.mutable_response_txn()->clear_header();
      ClearHeaders(*op.mutable_response_txn());
    }
  }
}

// Calls fn for each put of it, in all branches.
template <class Fn>
void ForEachPut(const TxnRequest& txn, Fn fn) {
  for (const auto* ops : {&txn.success(), &txn.failure()}) {
    for (const RequestOp& op : *ops) {
      if (op.has_request_put()) fn(op.request_put());
      if (op.has_request_txn()) ForEachPut(op.request_txn(), fn);
    }
  }
}

constexpr uint64_t kLeaseEnds = uint64_t{1} << 62;  // ids from here on are those of leases' ends
constexpr int kEveryLife = INT32_MAX;

// The answer to `write`, without headers, and the revision in its header.
std::pair<Response, int64_t> Parse(const Write& write, const std::string& bytes, const LeaseLedger& leases) {
  const auto parsed = [&](auto response) {
    RequireParsed(response, bytes);
    const int64_t revision = response.header().revision();
    response.clear_header();
    return std::pair{Response(std::move(response)), revision};
  };
  if (std::holds_alternative<PutRequest>(write)) return parsed(PutResponse());
  if (std::holds_alternative<DeleteRangeRequest>(write)) return parsed(DeleteRangeResponse());
  if (const auto* revoke = std::get_if<LeaseRevokeRequest>(&write)) {
    LeaseRevokeResponse response;
    RequireParsed(response, bytes);
    const std::vector<std::string>* keys = leases.EndedWith(revoke->id());
    if (keys == nullptr) Wrong("the revoke of {} was answered with OK, and nobody carried it out", revoke->id());
    return {Revoked{!keys->empty()}, response.header().revision()};
  }
  auto out = parsed(TxnResponse());
  ClearHeaders(std::get<TxnResponse>(out.first));
  return out;
}

std::string Bytes(const Response& response) {
  const auto bytes = [](const auto& r) -> std::string {
    if constexpr (std::is_same_v<std::decay_t<decltype(r)>, Revoked>) {
      return r.changed ? "revoked" : "";
    } else {
      return r.SerializeAsString();
    }
  };
  return std::visit(bytes, response);
}

// Does a branch of it ask for a revision?
bool ReadsThePast(const TxnRequest& txn) {
  for (const auto* ops : {&txn.success(), &txn.failure()}) {
    for (const RequestOp& op : *ops) {
      if (op.request_range().revision() > 0 || (op.has_request_txn() && ReadsThePast(op.request_txn()))) return true;
    }
  }
  return false;
}

bool ReadsThePast(const Write& write) {
  const auto* txn = std::get_if<TxnRequest>(&write);
  return txn != nullptr && ReadsThePast(*txn);
}

// Can its work be told from that of all others? Values are unique.
bool IsMarked(const Write& write) {
  if (std::holds_alternative<PutRequest>(write)) return true;
  const auto* txn = std::get_if<TxnRequest>(&write);
  return txn != nullptr &&
         std::any_of(txn->success().begin(), txn->success().end(),
                     [](const RequestOp& op) { return op.has_request_put(); }) &&
         std::any_of(txn->failure().begin(), txn->failure().end(),
                     [](const RequestOp& op) { return op.has_request_put(); });
}

std::string Short(const State& state) {
  std::string out;
  for (const auto& [key, v] : state) {
    out += fmt::format(" {}={}@{}/{}#{}", key, v.value.substr(0, 12), v.create, v.mod, v.version);
    if (v.lease != 0) out += fmt::format("L{}", v.lease);
  }
  return out.empty() ? " nothing" : out;
}

}  // namespace

bool IsFateUnknown(std::string_view words) {
  return words.starts_with("etcdserver: request timed out") || words == "etcdserver: server stopped";
}

std::string Operation::ToString() const {
  const char* kind = "compaction";
  if (const auto* write = std::get_if<Write>(&request)) {
    kind = write->index() == 0 ? "put" : write->index() == 1 ? "delete" : write->index() == 2 ? "txn" : "revoke";
  } else if (std::holds_alternative<RangeRequest>(request)) {
    kind = "range";
  }
  return fmt::format("{} {} (life {}, sent at floor {})", kind, id, life, floor);
}

Checker::Checker(Scheduler& clock, LeaseLedger& leases, Counts& counts, size_t machines, uint64_t seed)
    : clock_(clock), leases_(leases), counts_(counts), random_(seed), seen_of_(machines, 1) {
  history_[1] = {};
  leases_.OnEnd([this](int64_t lease) { LeaseEnded(lease); });
}

// ---- answers ----

void Checker::Sent(const OperationPtr& op) {
  op->floor = op->serializable ? FloorOf(op->machine) : floor_;
  op->compacted = op->serializable ? CompactedOf(op->machine) : compacted_;
  op->sent_ns = clock_.MonoNs();
  counts_.operations++;
  if (const auto* write = std::get_if<Write>(&op->request)) {
    // What a lease's end does is known from whoever carries it out, whoever asked for it.
    const auto* revoke = std::get_if<LeaseRevokeRequest>(write);
    if (revoke != nullptr) {
      leases_.RevokeAsked(revoke->id());
    } else {
      candidates_[op->id] = op;
    }
  }
  if (const auto* compaction = std::get_if<CompactionRequest>(&op->request)) {
    compactions_[op->id] = op;
    compactions_asked_.insert(compaction->revision());
  }
}

void Checker::Seen(int64_t revision, int64_t floor, std::string_view what) {
  counts_[Check::kRevisions]++;
  if (revision < floor) Wrong("{} of revision {}, but {} was known when it was asked for", what, revision, floor);
  if (revision <= floor_) return;
  floor_ = revision;
  floor_from_ = what;
}

void Checker::SeenCompacted(int64_t revision) {
  counts_[Check::kCompacted]++;
  if (!compactions_asked_.contains(revision)) Wrong("compacted at {}, which nobody asked for", revision);
  compacted_ = std::max(compacted_, revision);
}

void Checker::LeaseEnded(int64_t lease) {
  auto op = std::make_shared<Operation>();
  op->id = kLeaseEnds + lease_ends_.size();
  op->life = kEveryLife;
  LeaseRevokeRequest request;
  request.set_id(lease);
  op->request = Write(std::move(request));
  lease_ends_[lease] = op->id;
  candidates_[op->id] = op;
}

// Could a lease that it names have been missing?
bool Checker::Missing(const Operation& op) {
  bool missing = false;
  const auto look = [&](const PutRequest& put) {
    missing = missing || (put.lease() != 0 && leases_.MayMiss(put.lease(), op.sent_ns));
  };
  const Write& write = std::get<Write>(op.request);
  if (const auto* put = std::get_if<PutRequest>(&write)) look(*put);
  if (const auto* txn = std::get_if<TxnRequest>(&write)) ForEachPut(*txn, look);
  if (const auto* revoke = std::get_if<LeaseRevokeRequest>(&write)) missing = leases_.MayMiss(revoke->id(), op.sent_ns);
  return missing;
}

void Checker::CompareAt(int64_t revision, Comparison compare) {
  waiting_.emplace(revision, std::move(compare));
  Settle();
}

void Checker::WriteAnswered(const OperationPtr& op, const Status& status, const std::string& bytes) {
  const Write& write = std::get<Write>(op->request);
  if (!status.ok()) {
    const std::string_view words = Message(status);
    if (IsFateUnknown(words)) {
      counts_.unknown++;
      return;  // it stays a candidate
    }
    const bool no_lease = words == "etcdserver: requested lease not found";
    if (no_lease) {
      counts_[Check::kLeaseExists]++;
      if (!Missing(*op)) Wrong("{} was refused for a lease that lives", op->ToString());
    }
    const bool unreadable = words == "etcdserver: mvcc: required revision has been compacted" ||
                            words == "etcdserver: mvcc: required revision is a future revision";
    const bool refused = no_lease || (unreadable && ReadsThePast(write)) || words == "etcdserver: no leader" ||
                         words == "etcdserver: too many requests" ||
                         words == "etcdserver: mvcc: database space exceeded" || words == "etcdserver: corrupt cluster";
    if (!refused) Wrong("{} was answered with {}", op->ToString(), status.ToString());
    if (op->discovered_at) Wrong("{} was refused ({}) and is revision {}", op->ToString(), words, *op->discovered_at);
    counts_.refused++;
    counts_[Check::kNotApplied]++;
    candidates_.erase(op->id);  // from now on finding its work is an error
    return;
  }
  counts_.acknowledged++;
  auto [answer, revision] = Parse(write, bytes, leases_);
  candidates_.erase(op->id);
  if (const auto* put = std::get_if<PutRequest>(&write); put != nullptr && put->lease() != 0) {
    leases_.CheckThere(put->lease(), op->sent_ns, "a put");
  }
  if (const auto* revoke = std::get_if<LeaseRevokeRequest>(&write); revoke != nullptr && Changed(answer)) {
    const auto end = candidates_.find(lease_ends_.at(revoke->id()));
    if (end != candidates_.end()) candidates_.erase(end);
  }
  Seen(revision, op->floor + (Changed(answer) ? 1 : 0), "an answer");
  SeenOf(op->machine, revision);
  if (!Changed(answer)) {
    if (op->discovered_at && IsMarked(write)) {
      Wrong("{} says that it changed nothing and is revision {}", op->ToString(), *op->discovered_at);
    }
    CompareAt(revision, [this, op, answer = std::move(answer), revision = revision](const State& state) {
      CheckAnswer(*op, revision, Carry(std::get<Write>(op->request), state, revision + 1), answer);
    });
    return;
  }
  if (op->discovered_at && IsMarked(write) && *op->discovered_at != revision) {
    Wrong("{} is revision {} by its answer and {} in the store", op->ToString(), revision, *op->discovered_at);
  }
  if (const auto owner = owner_.find(revision); owner != owner_.end() && owner->second != op->id) {
    Wrong("{} was answered with revision {}, which is the work of {}", op->ToString(), revision, owner->second);
  }
  if (revision > known_) {
    if (const auto other = answered_.find(revision); other != answered_.end()) {
      Wrong("{} and {} were both answered with revision {}", op->ToString(), other->second.first->ToString(), revision);
    }
    answered_.emplace(revision, std::pair{op, std::move(answer)});
    Settle();
    return;
  }
  const Effect effect = Carry(write, history_.at(revision - 1).after, revision);
  CheckAnswer(*op, revision, effect, answer);
  if (effect.after != history_.at(revision).after) Wrong("{} is not what revision {} did", op->ToString(), revision);
}

void Checker::CheckAnswer(const Operation& op, int64_t revision, const Effect& expected, const Response& answer) {
  counts_[Check::kAnswers]++;
  if (Bytes(expected.response) != Bytes(answer) || (expected.rows.size() > 0) != Changed(answer)) {
    Wrong("{}: the answer at revision {} is not the model's: {} instead of {} bytes", op.ToString(), revision,
          Bytes(answer).size(), Bytes(expected.response).size());
  }
}

void Checker::Accept(int64_t revision, const Write& write, Effect effect) {
  // What the end of a lease spares although it was its own once.
  if (const auto* revoke = std::get_if<LeaseRevokeRequest>(&write)) {
    for (const std::string& key : had_lease_[revoke->id()]) counts_[Check::kLeaseMoved] += effect.after.contains(key);
  }
  for (const Row& row : effect.rows) {
    if (row.value.lease != 0) had_lease_[row.value.lease].insert(row.key);
  }
  history_[revision] = {std::move(effect.after), std::move(effect.rows)};
  known_ = revision;
}

void Checker::Settle() {
  for (auto next = answered_.find(known_ + 1); next != answered_.end(); next = answered_.find(known_ + 1)) {
    const auto& [op, answer] = next->second;
    Effect effect = Carry(std::get<Write>(op->request), history_.at(known_).after, next->first);
    CheckAnswer(*op, next->first, effect, answer);
    owner_[next->first] = op->id;
    Accept(next->first, std::get<Write>(op->request), std::move(effect));
    answered_.erase(next);
  }
  while (!waiting_.empty() && waiting_.begin()->first <= known_) {
    auto first = waiting_.extract(waiting_.begin());
    first.mapped()(history_.at(first.key()).after);
  }
}

bool Checker::CompactionPossibleAbove(int64_t revision) {
  if (compacted_ > revision) return true;
  int64_t lowest = INT64_MAX;
  for (const auto& [id, op] : compactions_) {
    const int64_t at = std::get<CompactionRequest>(op->request).revision();
    if (at > revision) lowest = std::min(lowest, at);
  }
  if (lowest == INT64_MAX) return false;
  compacted_ = lowest;  // at least this one was carried out
  return true;
}

void Checker::CompactionAnswered(const OperationPtr& op, const Status& status) {
  const int64_t revision = std::get<CompactionRequest>(op->request).revision();
  const std::string_view words = Message(status);
  if (IsFateUnknown(words)) {
    counts_.unknown++;
    return;
  }
  compactions_.erase(op->id);
  if (status.ok()) {
    counts_.acknowledged++;
    counts_[Check::kCompacted]++;
    if (revision <= op->compacted) Wrong("compaction at {} was answered OK behind one at {}", revision, op->compacted);
    compacted_ = std::max(compacted_, revision);
  } else if (words == "etcdserver: mvcc: required revision has been compacted") {
    counts_[Check::kCompacted]++;
    if (!CompactionPossibleAbove(revision - 1))
      Wrong("compaction at {} was refused, but none was made there", revision);
  } else if (words == "etcdserver: mvcc: required revision is a future revision") {
    if (revision <= op->floor) Wrong("compaction at {} was refused as future, floor was {}", revision, op->floor);
  } else if (words != "etcdserver: no leader" && words != "etcdserver: too many requests" &&
             words != "etcdserver: corrupt cluster") {
    Wrong("compaction at {} was answered with {}", revision, status.ToString());
  }
}

void Checker::ReadAnswered(const OperationPtr& op, const Status& status, const std::string& bytes) {
  const RangeRequest& request = std::get<RangeRequest>(op->request);
  const int64_t asked = request.revision();
  if (status.ok()) {
    RangeResponse response;
    RequireParsed(response, bytes);
    const int64_t now = response.header().revision();
    response.clear_header();
    Seen(now, op->floor, "an answer");
    SeenOf(op->machine, now);
    if (asked > 0) {
      counts_[Check::kCompacted]++;
      if (asked < op->compacted) Wrong("a range at {} was answered although {} is compacted", asked, op->compacted);
      if (asked > now) Wrong("a range at {} was answered at revision {}", asked, now);
    }
    CompareAt(asked > 0 ? asked : now,
              [this, op, request, response = response.SerializeAsString(), asked](const State& state) {
                counts_[asked > 0 ? Check::kReadsOld : Check::kReadsNow]++;
                if (Range(request, state).SerializeAsString() != response) {
                  RangeResponse got;
                  got.ParseFromString(response);
                  Wrong("{} at revision {}: {} keys ({} bytes) instead of {}", op->ToString(), asked, got.count(),
                        response.size(), Range(request, state).count());
                }
              });
    return;
  }
  const std::string_view words = Message(status);
  if (words == "etcdserver: mvcc: required revision has been compacted") {
    counts_[Check::kCompacted]++;
    if (asked <= 0) Wrong("a range of now was refused as compacted");
    if (!CompactionPossibleAbove(asked)) Wrong("a range at {} was refused as compacted, without a compaction", asked);
  } else if (words == "etcdserver: mvcc: required revision is a future revision") {
    if (asked <= op->floor) Wrong("a range at {} was refused as future, {} was known", asked, op->floor);
  } else if (words != "etcdserver: no leader" && !IsFateUnknown(words)) {
    Wrong("{} was answered with {}", op->ToString(), status.ToString());
  }
}

void Checker::ViewAnswered(int64_t revision, bool may_end, const Result<State>& state) {
  if (!state.ok()) {
    if (Message(state.status()) != "etcdserver: mvcc: required revision has been compacted" || !may_end ||
        !CompactionPossibleAbove(revision)) {
      Wrong("a view at {} ended with {}", revision, state.status().ToString());
    }
    counts_[Check::kHeldViews]++;
    return;
  }
  CompareAt(revision, [this, revision, got = *state](const State& expected) {
    counts_[Check::kHeldViews]++;
    if (got != expected) Wrong("a view at {} has{}, not{}", revision, Short(got), Short(expected));
  });
}

// ---- looking at the store ----

Result<State> Checker::Read(Member& member, int64_t revision) {
  RangeRequest request;
  request.set_key(std::string(1, '\0'));
  request.set_range_end(std::string(1, '\0'));
  request.set_revision(revision);
  mvcc::ReadView view = member.store().View();
  ASSIGN_OR_RETURN(const apply::RangeAnswer answer, apply::Range(view, request));
  State state;
  for (const Block& row : answer.kvs) {
    mvcc::KeyValue kv;
    if (!mvcc::Decode(row.view(), kv)) Wrong("a row at revision {} is not a KeyValue", revision);
    state[std::string(kv.key)] = {std::string(kv.value), kv.create_revision, kv.mod_revision, kv.version, kv.lease};
  }
  return state;
}

void Checker::Discover(Member& member) {
  Settle();
  while (known_ < member.store().revision()) {
    const int64_t revision = known_ + 1;
    const Result<State> there = Read(member, revision);
    if (!there.ok()) Wrong("revision {} cannot be read: {}", revision, there.status().ToString());
    bool found = false;
    for (auto it = candidates_.begin(); it != candidates_.end() && !found; ++it) {
      const OperationPtr op = it->second;
      const Write& write = std::get<Write>(op->request);
      Effect effect = Carry(write, history_.at(known_).after, revision);
      if (effect.rows.empty() || effect.after != *there || !WroteRows(member, revision, effect.rows)) continue;
      found = true;
      counts_[Check::kDiscovered]++;
      op->discovered_at = revision;
      Accept(revision, write, std::move(effect));
      Seen(revision, 0, "the store");
      if (IsMarked(write)) {
        owner_[revision] = op->id;
        candidates_.erase(it);  // it cannot be applied twice
      }
      break;
    }
    if (!found) {
      Wrong("revision {} is nobody's work: before{}; now{}", revision, Short(history_.at(known_).after), Short(*there));
    }
    Settle();
  }
}

// Deletes say of themselves only their keys, and two requests may delete the same ones in another order. What a
// compaction took away contradicts nobody.
bool Checker::WroteRows(Member& member, int64_t revision, const std::vector<Row>& rows) {
  storage::Snapshot snapshot = member.engine().OpenSnapshot().value();
  for (size_t sub = 0; sub < rows.size(); sub++) {
    for (const bool tombstone : {false, true}) {
      const mvcc::RevisionKey at({revision, static_cast<int64_t>(sub)}, tombstone);
      const Result<std::string_view> there = snapshot.Get(member.store().key_table(), at.view());
      if (!there.ok()) continue;
      mvcc::KeyValue row;
      if (!mvcc::Decode(*there, row)) Wrong("a row is damaged");
      if (tombstone != rows[sub].tombstone || row.key != rows[sub].key) return false;
    }
  }
  return true;
}

void Checker::CheckCompactRevision(Member& member, bool newest) {
  const int64_t there = std::max<int64_t>(member.store().compact_revision(), 0);
  if (newest && there < compacted_) Wrong("the compact revision is {}, it was {}", there, compacted_);
  if (there > 0) SeenCompacted(there);
  if (there > 1) {
    const int64_t below = 1 + static_cast<int64_t>(random_.Below(static_cast<uint64_t>(there - 1)));
    const Result<State> refused = Read(member, below);
    if (refused.ok()) Wrong("revision {} can be read, {} is compacted", below, there);
  }
}

void Checker::CheckRowSum(Member& member) {
  mvcc::RowSum there;
  storage::Snapshot snapshot = member.engine().OpenSnapshot().value();
  storage::Cursor cursor = snapshot.OpenCursor(member.store().key_table(), {}, {}).value();
  tenon_kv rows[64];
  while (const size_t n = cursor.Next(rows, 1 << 20).value()) {
    for (size_t i = 0; i < n; i++) {
      mvcc::Revision revision;
      bool tombstone;
      if (!mvcc::ParseRevisionKey(storage::View(rows[i].key), revision, tombstone)) Wrong("a row's key is damaged");
      there.Add(revision, tombstone, mvcc::RowDigest(storage::View(rows[i].val)));
    }
  }
  counts_[Check::kRowSum]++;
  const mvcc::RowSum& sum = member.store().row_sum();
  if (there != sum) {
    Wrong("there are {} rows with the sum {:016x}, the store says {} with {:016x}", there.rows, there.sum, sum.rows,
          sum.sum);
  }
}

void Checker::CheckLeaseKeys(Member& member) {
  if (member.store().revision() != known_) return;
  std::map<int64_t, std::vector<std::string>> expected;
  for (const auto& [key, v] : history_.at(known_).after) {
    if (v.lease != 0) expected[v.lease].push_back(key);
  }
  for (const int64_t id : member.leases().List()) {
    const std::vector<std::string> there = member.leases().Lookup(id, true)->keys;
    const std::vector<std::string>& keys = expected[id];
    counts_[Check::kLeaseKeys] += keys.size();
    if (there != keys) {
      Wrong("lease {} has the keys {} at revision {}, not {}", id, fmt::join(there, " "), known_, fmt::join(keys, " "));
    }
  }
}

void Checker::CheckState(Member& member, int64_t revision, Check check) {
  const Result<State> there = Read(member, revision);
  counts_[check]++;
  if (!there.ok()) Wrong("revision {} cannot be read: {}", revision, there.status().ToString());
  const State& expected = history_.at(revision).after;
  if (*there != expected) Wrong("revision {} has{}, not{}", revision, Short(*there), Short(expected));
}

uint32_t Checker::CheckHash(Member& member, int64_t revision) {
  const Result<mvcc::HashByRevision> hash = mvcc::HashKv(member.store(), revision);
  counts_[Check::kHash]++;
  if (!hash.ok()) Wrong("HashKV at {}: {}", revision, hash.status().ToString());
  const uint32_t expected = HashKv(history_, hash->revision, hash->compact_revision);
  if (hash->hash != expected) {
    Wrong("HashKV at {} (compacted {}) is {:08x}, not {:08x}", hash->revision, hash->compact_revision, hash->hash,
          expected);
  }
  return hash->hash;
}

void Checker::CheckStart(const Machine& machine) {
  Member& member = *machine.member;
  counts_[Check::kRevisions]++;
  const int64_t there = member.store().revision();
  if (there < machine.floor_at_start) {
    Wrong("after a start the revision is {}, {} was known before, from {}", there, machine.floor_at_start, floor_from_);
  }
  if (there < seen_of_[machine.index]) {
    Wrong("after a start the revision of member {} is {}, it showed {}", machine.index, there, seen_of_[machine.index]);
  }
  if (!answered_.empty()) Discover(member);
  // What was known before must be as it was: the newest revisions, those that a crash could have hurt, above all.
  const int64_t lowest = std::max<int64_t>(member.store().compact_revision(), 1);
  const int64_t newest = std::min(known_, there);
  for (int64_t r = newest; r >= lowest && r > newest - 15; r--) CheckState(member, r, Check::kSurvival);
  Discover(member);
  CheckNow(member, alone());
  if (!alone()) return;
  std::erase_if(candidates_, [&](const auto& c) { return c.second->life < machine.life; });
  std::erase_if(compactions_, [&](const auto& c) { return c.second->life < machine.life; });
}

void Checker::CheckNow(Member& member, bool newest) {
  const int64_t there = member.store().revision();
  if (newest && there < floor_) {
    Wrong("the revision is {}, {} was known before, from {}", there, floor_, floor_from_);
  }
  Discover(member);
  CheckCompactRevision(member, newest);
  CheckRowSum(member);
  CheckLeaseKeys(member);
  CheckState(member, there, Check::kReadsNow);
  CheckHash(member, 0);
  const int64_t lowest = std::max<int64_t>(member.store().compact_revision(), 1);
  for (int i = 0; i < 5; i++) {
    const int64_t revision = lowest + static_cast<int64_t>(random_.Below(static_cast<uint64_t>(there - lowest + 1)));
    CheckState(member, revision, Check::kReadsOld);
    if (i == 0) CheckHash(member, revision);
  }
}

}  // namespace tenon::sim
