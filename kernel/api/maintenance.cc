// Maintenance: Status, Alarm, Defragment, Hash, HashKV, MoveLeader, Downgrade.
#include <algorithm>
#include <memory>
#include <mutex>

#include "kernel/api/server.h"
#include "kernel/base/crc32c.h"
#include "kernel/base/errors.h"
#include "kernel/base/version.h"
#include "kernel/config/config.h"
#include "kernel/mvcc/hash.h"

namespace tenon::api {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

void HandleStatus(Server& server, std::string_view bytes, Responder respond) {
  StatusRequest request;
  if (!Parse(bytes, request, respond)) return;
  const node::Node::State state = server.node.state();
  const tenon_storage_stats stats = server.engine.Stats();
  StatusResponse r;
  server.Fill(r.mutable_header());
  r.set_version(std::string(kEtcdVersion));
  r.set_storageversion("3.7.0");
  r.set_dbsize(static_cast<int64_t>(stats.size_bytes));
  r.set_dbsizeinuse(static_cast<int64_t>(stats.size_in_use_bytes));
  r.set_dbsizequota(server.limits.quota_bytes);
  r.set_leader(state.leader);
  r.set_raftindex(state.commit.value);
  r.set_raftterm(state.term.value);
  r.set_raftappliedindex(server.applier.applied().value);
  r.set_islearner(server.membership.is_learner());
  r.mutable_downgradeinfo();
  if (state.leader == 0) r.add_errors(std::string(Message(errors::NoLeader())));
  for (const AlarmMember& a : server.alarms.List(NONE)) {
    const std::string name = AlarmType_IsValid(a.alarm()) ? AlarmType_Name(a.alarm()) : std::to_string(a.alarm());
    r.add_errors(fmt::format("memberID:{} alarm:{}", a.memberid(), name));
  }
  respond.Ok(r);
}

void HandleAlarm(Server& server, std::string_view bytes, Responder respond) {
  AlarmRequest request;
  if (!Parse(bytes, request, respond)) return;
  // etcd dies of an unknown action. An unknown alarm it keeps, and so do we.
  if (!AlarmRequest::AlarmAction_IsValid(request.action())) {
    return respond.Error(absl::InvalidArgumentError("etcdserver: unknown alarm action"));
  }
  server.Propose(apply::Field::kAlarm, bytes, std::move(request), std::move(respond));
}

// Gives space back, online. As the engine's own copying may checkpoint, no compaction deletes meanwhile (WT-7984).
Status Defragment(Server& server) {
  static constexpr uint64_t kSliceNs = 1'000'000'000;
  for (;;) {
    std::unique_lock no_deletes(server.applier.deletes_mutex(), std::defer_lock);
    if (server.engine.features() & TENON_ST_HOLD_DELETES) no_deletes.lock();
    const Result<bool> done = server.engine.Compact(server.clock.MonoNs() + kSliceNs);
    // An engine that reclaims by itself has nothing to do here.
    if (absl::IsUnimplemented(done.status())) return Ok();
    RETURN_IF_ERROR(done);
    if (*done) return Ok();
  }
}

// How long the slow jobs took, under etcd's names.
struct Times {
  explicit Times(metrics::Registry& r)
      : defragmenting(r.NewGauge("etcd_disk_defrag_inflight",
                                 "Whether or not defrag is active on the member. 1 means active, 0 means not.")),
        defragment(r.NewHistogram("etcd_disk_backend_defrag_duration_seconds",
                                  "The latency distribution of backend defragmentation.",
                                  metrics::ExponentialBuckets(.1, 2, 13))),
        hash(r.NewHistogram("etcd_mvcc_hash_duration_seconds", "The latency distribution of storage hash operation.",
                            metrics::ExponentialBuckets(.01, 2, 15))),
        hash_kv(r.NewHistogram("etcd_mvcc_hash_rev_duration_seconds",
                               "The latency distribution of storage hash by revision operation.",
                               metrics::ExponentialBuckets(.01, 2, 15))) {}
  metrics::Gauge defragmenting;
  metrics::Histogram defragment, hash, hash_kv;
};

// Runs `job` and says in `seconds` how long it took.
template <class Job>
auto Timed(Server& server, metrics::Histogram& seconds, Job job) {
  const uint64_t start = server.clock.MonoNs();
  auto result = job();
  seconds.Observe(static_cast<double>(server.clock.MonoNs() - start) * 1e-9);
  return result;
}

using SharedTimes = std::shared_ptr<Times>;

void HandleDefragment(Server& server, const SharedTimes& times, std::string_view bytes, Responder respond) {
  DefragmentRequest request;
  if (!Parse(bytes, request, respond)) return;
  server.worker.Post([&server, times, respond = std::move(respond)]() mutable {
    times->defragmenting.Set(1);
    const Status failed = Timed(server, times->defragment, [&] { return Defragment(server); });
    times->defragmenting.Set(0);
    if (!failed.ok()) return respond.Error(failed);
    respond.Ok(DefragmentResponse());
  });
}

// Of all tables: equal among Tenon's engines, not with etcd. The keys' part is HashKV's of the newest revision: it
// reads in slices (no long snapshot), and the same history has one hash before, during and after the removal of rows.
// The other tables have a handful of rows.
Result<uint32_t> HashTables(Server& server) {
  ASSIGN_OR_RETURN(const mvcc::HashByRevision keys, mvcc::HashKv(server.store, 0));
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, server.engine.OpenSnapshot());
  uint32_t crc = Crc32c(0, std::string_view(reinterpret_cast<const char*>(&keys.hash), sizeof keys.hash));
  for (const std::string_view name : {"alarm", "cluster", "members", "members_removed"}) {
    ASSIGN_OR_RETURN(const uint32_t table, server.engine.FindTable(name));
    ASSIGN_OR_RETURN(const uint32_t hash, snapshot.Hash(table, {}, {}));
    crc = Crc32c(Crc32c(crc, name), std::string_view(reinterpret_cast<const char*>(&hash), sizeof hash));
  }
  return crc;
}

void HandleHash(Server& server, const SharedTimes& times, std::string_view bytes, Responder respond) {
  HashRequest request;
  if (!Parse(bytes, request, respond)) return;
  server.worker.Post([&server, times, respond = std::move(respond)]() mutable {
    const Result<uint32_t> hash = Timed(server, times->hash, [&] { return HashTables(server); });
    if (!hash.ok()) return respond.Error(absl::InternalError(hash.status().message()));
    HashResponse r;
    server.Fill(r.mutable_header());
    r.set_hash(*hash);
    respond.Ok(r);
  });
}

void HandleHashKv(Server& server, const SharedTimes& times, std::string_view bytes, Responder respond) {
  HashKVRequest request;
  if (!Parse(bytes, request, respond)) return;
  server.worker.Post([&server, times, revision = request.revision(), respond = std::move(respond)]() mutable {
    const Result<mvcc::HashByRevision> hash =
        Timed(server, times->hash_kv, [&] { return mvcc::HashKv(server.store, revision); });
    if (!hash.ok()) return respond.Error(hash.status());
    HashKVResponse r;
    server.Fill(r.mutable_header());
    r.mutable_header()->set_revision(hash->current_revision);
    r.set_hash(hash->hash);
    r.set_compact_revision(hash->compact_revision);
    r.set_hash_revision(hash->revision);
    respond.Ok(r);
  });
}

// For members that compare their data.
void AnswerHashKv(Server& server, const std::string& bytes, PeerHandler::Done done) {
  HashKVRequest request;
  if (!request.ParseFromString(bytes)) return done(absl::InvalidArgumentError("not a HashKVRequest"), {});
  server.worker.Post([&server, revision = request.revision(), done = std::move(done)]() mutable {
    const Result<mvcc::HashByRevision> hash = mvcc::HashKv(server.store, revision);
    if (!hash.ok()) return done(hash.status(), {});
    HashKVResponse r;
    server.Fill(r.mutable_header());
    r.mutable_header()->set_revision(hash->current_revision);
    r.set_hash(hash->hash);
    r.set_compact_revision(hash->compact_revision);
    r.set_hash_revision(hash->revision);
    done(Ok(), r.SerializeAsString());
  });
}

void HandleMoveLeader(Server& server, std::string_view bytes, Responder respond) {
  MoveLeaderRequest request;
  if (!Parse(bytes, request, respond)) return;
  if (server.node.state().leader != server.membership.self()) return respond.Error(errors::NotLeader());
  const std::vector<cluster::Member> members = server.membership.List();
  const auto target =
      std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.id == request.targetid(); });
  if (target == members.end() || target->learner) return respond.Error(errors::BadLeaderTransferee());
  server.node.MoveLeader(request.targetid(), [&server, respond = std::move(respond)](const Status& status) mutable {
    if (!status.ok()) return respond.Error(status);
    MoveLeaderResponse r;
    server.Fill(r.mutable_header());
    respond.Ok(r);
  });
}

// "3.6", "3.6.0", "v3.6": what etcd's version parser takes.
bool IsVersion(std::string_view text) {
  if (!text.empty() && text[0] == 'v') text.remove_prefix(1);
  int numbers = 0;
  bool digit = false;
  for (const char c : text) {
    if (c == '.') {
      if (!digit) return false;
      numbers++;
      digit = false;
    } else if (c >= '0' && c <= '9') {
      digit = true;
    } else {
      return false;
    }
  }
  return digit && (numbers == 1 || numbers == 2);
}

void HandleDowngrade(Server& server, std::string_view bytes, Responder respond) {
  DowngradeRequest request;
  if (!ParseText(bytes, request, respond)) return;
  switch (request.action()) {
    case DowngradeRequest::VALIDATE:
    case DowngradeRequest::ENABLE:
      // There is no older Tenon to go down to.
      return respond.Error(IsVersion(request.version()) ? errors::InvalidDowngradeTarget()
                                                        : errors::WrongDowngradeVersionFormat());
    case DowngradeRequest::CANCEL: {
      // There is none to cancel; etcd answers OK then too.
      DowngradeResponse r;
      server.Fill(r.mutable_header());
      const Version version = server.membership.version().value_or(OwnVersion());
      r.set_version(fmt::format("{}.{}", version.major, version.minor));
      return respond.Ok(r);
    }
    default: return respond.Error(Status(StatusCode::kUnknown, "etcdserver: unknown method"));
  }
}

void HandleSnapshotAbsent(Server&, std::string_view, Responder respond) {
  respond.Error(absl::UnimplementedError("etcdserverpb.Maintenance/Snapshot: not built yet in this version of Tenon"));
}

}  // namespace

void RegisterMaintenance(Dispatcher& d, Server& server) {
  const auto add = [&](const char* method, void (*handler)(Server&, std::string_view, Responder)) {
    d.AddUnary(fmt::format("/etcdserverpb.Maintenance/{}", method),
               [&server, handler](std::string_view request, Responder respond) {
                 handler(server, request, std::move(respond));
               });
  };
  const auto add_timed = [&, times = std::make_shared<Times>(d.metrics())](
                             const char* method,
                             void (*handler)(Server&, const SharedTimes&, std::string_view, Responder)) {
    d.AddUnary(fmt::format("/etcdserverpb.Maintenance/{}", method),
               [&server, times, handler](std::string_view request, Responder respond) {
                 handler(server, times, request, std::move(respond));
               });
  };
  add("Status", HandleStatus);
  add("Alarm", HandleAlarm);
  add_timed("Defragment", HandleDefragment);
  add_timed("Hash", HandleHash);
  add_timed("HashKV", HandleHashKv);
  add("MoveLeader", HandleMoveLeader);
  add("Downgrade", HandleDowngrade);
  add("Snapshot", HandleSnapshotAbsent);
  if (server.peer_desk == nullptr) return;
  server.peer_desk->Add("HashKV", [&server](const PeerSender&, std::string request, PeerHandler::Done done) {
    AnswerHashKv(server, request, std::move(done));
  });
}

}  // namespace tenon::api
