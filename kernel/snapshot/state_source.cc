#include "kernel/snapshot/state_source.h"

#include <algorithm>
#include <utility>

#include "kernel/base/coding.h"
#include "kernel/base/log.h"
#include "proto/peer.pb.h"

namespace tenon::snapshot {
namespace {

constexpr std::string_view kOpen = "OpenState", kRead = "ReadState", kClose = "CloseState";
constexpr uint32_t kDefaultPiece = 1 << 20;
constexpr uint64_t kLookNs = 5'000'000'000;

Status Malformed() { return absl::InvalidArgumentError("state: a malformed request"); }
Status Ended(uint64_t id) { return absl::NotFoundError(fmt::format("state: session {} has ended", id)); }

Result<uint64_t> MetaNumber(storage::Engine& engine, storage::Snapshot& at, std::string_view name) {
  ASSIGN_OR_RETURN(const uint32_t meta, engine.FindTable("meta"));
  ASSIGN_OR_RETURN(const std::string_view row, at.Get(meta, name));
  if (row.size() != 8) return absl::DataLossError(fmt::format("store: meta row {} has {} bytes", name, row.size()));
  return GetBigEndian64(row.data());
}

bool IsEngineError(const Status& status) { return absl::IsDataLoss(status) || absl::IsInternal(status); }

}  // namespace

struct StateSource::Opened {
  std::shared_ptr<void> rows;
  std::unique_ptr<StreamProducer> stream;
  raft::SnapshotMeta meta;
};

bool StateSource::Serves(std::string_view method) { return method == kOpen || method == kRead || method == kClose; }

void StateSource::Call(const PeerSender& from, std::string_view method, std::string request, PeerHandler::Done done) {
  if (method == kOpen) return Open(from, request, std::move(done));
  const bool reads = method == kRead;
  parts_.executor.Post([this, reads, request = std::move(request), done = std::move(done)]() mutable {
    Result<std::string> answer = reads ? Read(request) : Close(request);
    answer.ok() ? done(Ok(), *std::move(answer)) : done(answer.status(), {});
  });
}

bool StateSource::IsOpen() const {
  std::lock_guard lock(mutex_);
  return !readers_.empty();
}

bool StateSource::IsOpenFor(MemberId member) const {
  std::lock_guard lock(mutex_);
  return std::find(readers_.begin(), readers_.end(), member) != readers_.end();
}

// ---- opening ----

void StateSource::Open(const PeerSender& from, const std::string& bytes, PeerHandler::Done done) {
  tenonpb::OpenStateRequest request;
  if (!request.ParseFromString(bytes)) return done(Malformed(), {});
  // On the apply thread nothing is half done: no row of a removal is gone from the index and still in the engine.
  parts_.apply.Post([this, member = from.member_id, least = request.least_index(), done = std::move(done)]() mutable {
    Result<Opened> opened = Fix(least);
    if (!opened.ok()) {
      if (IsEngineError(opened.status())) parts_.fatal(opened.status());
      return done(opened.status(), {});
    }
    // A task must be movable, no more: what holds the state moves with it, and is given up wherever the task ends.
    parts_.executor.Post([this, member, opened = *std::move(opened), done = std::move(done)]() mutable {
      Result<std::string> answer = Register(member, std::move(opened));
      answer.ok() ? done(Ok(), *std::move(answer)) : done(answer.status(), {});
    });
  });
}

Result<StateSource::Opened> StateSource::Fix(uint64_t least_index) {
  Opened opened;
  opened.rows = parts_.keep_rows();
  ASSIGN_OR_RETURN(storage::Snapshot at, parts_.engine.OpenSnapshot());
  const Result<uint64_t> index = MetaNumber(parts_.engine, at, storage::meta::kConsistentIndex);
  if (absl::IsNotFound(index.status()) || (index.ok() && *index < least_index)) {
    return absl::FailedPreconditionError(fmt::format("state: asked for index {} at least, this member has applied {}",
                                                     least_index, index.ok() ? *index : 0));
  }
  RETURN_IF_ERROR(index);
  ASSIGN_OR_RETURN(const uint64_t term, MetaNumber(parts_.engine, at, storage::meta::kTerm));
  opened.meta.index = Index(*index);
  opened.meta.term = Term(term);
  ASSIGN_OR_RETURN(opened.meta.conf, parts_.conf(at));
  ASSIGN_OR_RETURN(opened.stream, StreamProducer::Begin(parts_.engine, storage::AllTables(), std::move(at), true));
  return opened;
}

Result<std::string> StateSource::Register(MemberId member, Opened opened) {
  // The answer to its former Open was lost, or it begins anew: nothing is over.
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    const uint64_t id = it->first;
    const bool former = it->second.member == member && member != 0;
    ++it;
    if (former) Forget(id);
  }
  const uint64_t id = ++last_id_;
  Session& session = sessions_[id];
  session.member = member;
  session.rows = std::move(opened.rows);
  session.stream = std::move(opened.stream);
  session.read_ns = parts_.clock.MonoNs();
  {
    std::lock_guard lock(mutex_);
    readers_.push_back(member);
  }
  if (!std::exchange(watching_, true)) parts_.executor.PostAfter(kLookNs, [this] { EndIdle(); });
  LOG_INFO("a member fetches this member's state", LogField::Hex("member", member), {"session", id},
           {"index", opened.meta.index});

  tenonpb::OpenStateResponse response;
  response.set_session(id);
  response.set_index(opened.meta.index.value);
  response.set_term(opened.meta.term.value);
  const tenon_storage_stats stats = parts_.engine.Stats();
  response.set_size(stats.size_in_use_bytes != 0 ? stats.size_in_use_bytes : stats.size_bytes);
  const raft::ConfState& conf = opened.meta.conf;
  raftpb::ConfState& out = *response.mutable_conf_state();
  out.mutable_voters()->Add(conf.voters.begin(), conf.voters.end());
  out.mutable_learners()->Add(conf.learners.begin(), conf.learners.end());
  out.mutable_voters_outgoing()->Add(conf.voters_outgoing.begin(), conf.voters_outgoing.end());
  out.mutable_learners_next()->Add(conf.learners_next.begin(), conf.learners_next.end());
  out.set_auto_leave(conf.auto_leave);
  return response.SerializeAsString();
}

// ---- reading ----

Result<std::string> StateSource::Read(const std::string& bytes) {
  tenonpb::ReadStateRequest request;
  if (!request.ParseFromString(bytes)) return Malformed();
  const auto found = sessions_.find(request.session());
  if (found == sessions_.end()) return Ended(request.session());
  Session& session = found->second;
  session.read_ns = parts_.clock.MonoNs();
  const bool again = request.offset() == session.offset && !session.piece.empty();
  if (!again) {
    if (request.offset() != session.offset + session.piece.size()) {
      return absl::OutOfRangeError(fmt::format("state: session {} is at offset {}, not {}", request.session(),
                                               session.offset + session.piece.size(), request.offset()));
    }
    const uint32_t max = request.max_bytes() == 0 ? kDefaultPiece : std::min(request.max_bytes(), kMaxPiece);
    if (const Status status = Advance(session, max); !status.ok()) {
      if (IsEngineError(status)) parts_.fatal(status);
      End(request.session());
      return status;
    }
  }
  tenonpb::ReadStateResponse response;
  response.set_data(session.piece);
  response.set_end(session.read_all());
  return response.SerializeAsString();
}

Status StateSource::Advance(Session& session, size_t max_bytes) {
  if (session.rest.size() - session.rest_begin < max_bytes && !session.ended) {
    session.rest.erase(0, std::exchange(session.rest_begin, 0));
    ASSIGN_OR_RETURN(session.ended, session.stream->Produce(session.rest, max_bytes - session.rest.size()));
    if (session.ended) {
      session.stream.reset();
      session.rows.reset();  // all of them are here
    }
  }
  session.offset += session.piece.size();
  session.piece = session.rest.substr(session.rest_begin, max_bytes);
  session.rest_begin += session.piece.size();
  return Ok();
}

// ---- ending ----

Result<std::string> StateSource::Close(const std::string& bytes) {
  tenonpb::CloseStateRequest request;
  if (!request.ParseFromString(bytes)) return Malformed();
  End(request.session());  // twice does no harm: the first answer was lost
  return tenonpb::Nothing().SerializeAsString();
}

void StateSource::End(uint64_t id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  const MemberId member = found->second.member;
  const bool read = found->second.read_all();
  Forget(id);
  parts_.ended(member, read);
}

void StateSource::Forget(uint64_t id) {
  const auto found = sessions_.find(id);
  std::lock_guard lock(mutex_);
  readers_.erase(std::find(readers_.begin(), readers_.end(), found->second.member));
  sessions_.erase(found);
}

void StateSource::EndIdle() {
  watching_ = false;
  const uint64_t now = parts_.clock.MonoNs();
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    const uint64_t id = it->first;
    const bool idle = now - it->second.read_ns >= kIdleNs;
    const MemberId member = it->second.member;
    ++it;
    if (!idle) continue;
    LOG_WARN("a member has stopped fetching this member's state", LogField::Hex("member", member), {"session", id});
    End(id);
  }
  if (sessions_.empty()) return;
  watching_ = true;
  parts_.executor.PostAfter(kLookNs, [this] { EndIdle(); });
}

}  // namespace tenon::snapshot
