#include "kernel/snapshot/state_fetch.h"

#include <algorithm>
#include <utility>

#include "kernel/base/log.h"
#include "kernel/base/units.h"
#include "kernel/snapshot/stream.h"
#include "proto/peer.pb.h"

namespace tenon::snapshot {

StateFetch::StateFetch(Disk& disk, Clock& clock, Executor& executor, std::string directory, Call call, Options options)
    : disk_(disk),
      clock_(clock),
      executor_(executor),
      directory_(std::move(directory)),
      call_(std::move(call)),
      options_(options) {}

bool StateFetch::Start(MemberId from, Index least, Done done) {
  {
    std::lock_guard lock(mutex_);
    if (busy_ || stopped_) return false;
    busy_ = true;
  }
  executor_.Post([this, from, least, done = std::move(done)]() mutable {
    const uint64_t now = clock_.MonoNs();
    fetch_ = Fetch{
        .from = from, .least = least, .done = std::move(done), .begin_ns = now, .answer_ns = now, .report_ns = now};
    Begin(++id_);
  });
  return true;
}

void StateFetch::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  executor_.Post([this] {
    if (fetch_) End(absl::CancelledError("state: this member stops"));
  });
}

// ---- opening ----

void StateFetch::Begin(uint64_t id) {
  const Status prepared = [&]() -> Status {
    ASSIGN_OR_RETURN(const std::vector<uint64_t> former, ListNumbered(disk_, directory_, kFetchedSuffix));
    for (const uint64_t index : former) {
      RETURN_IF_ERROR(disk_.Remove(directory_ + "/" + NumberedName(index, kFetchedSuffix)));
    }
    ASSIGN_OR_RETURN(fetch_->file, NewFile::Create(disk_, directory_, kFetchedSuffix));
    return Ok();
  }();
  if (!prepared.ok()) return End(prepared);
  Open(id);
}

void StateFetch::Open(uint64_t id) {
  if (!Is(id)) return;
  tenonpb::OpenStateRequest request;
  request.set_least_index(fetch_->least.value);
  Ask(id, "OpenState", request.SerializeAsString(), &StateFetch::Opened);
}

void StateFetch::Ask(uint64_t id, std::string_view method, std::string request,
                     void (StateFetch::*take)(uint64_t, const Status&, const std::string&)) {
  call_(fetch_->from, method, std::move(request), options_.call_timeout_ns,
        [this, id, take](Status status, std::string answer) {
          executor_.Post([this, id, take, status = std::move(status), answer = std::move(answer)] {
            if (Is(id)) (this->*take)(id, status, answer);
          });
        });
}

void StateFetch::Opened(uint64_t id, const Status& status, const std::string& answer) {
  if (Failed(id, status, &StateFetch::Open)) return;
  tenonpb::OpenStateResponse response;
  if (!response.ParseFromString(answer)) return End(absl::InternalError("state: a malformed answer to OpenState"));
  raft::SnapshotMeta& meta = fetch_->meta;
  meta.index = Index(response.index());
  meta.term = Term(response.term());
  const raftpb::ConfState& conf = response.conf_state();
  meta.conf.voters.assign(conf.voters().begin(), conf.voters().end());
  meta.conf.learners.assign(conf.learners().begin(), conf.learners().end());
  meta.conf.voters_outgoing.assign(conf.voters_outgoing().begin(), conf.voters_outgoing().end());
  meta.conf.learners_next.assign(conf.learners_next().begin(), conf.learners_next().end());
  meta.conf.auto_leave = conf.auto_leave();
  if (meta.index < fetch_->least || meta.term == Term(0) || meta.conf.voters.empty()) {
    return End(absl::InternalError(
        fmt::format("state: offered index {}, term {}, {} voters; index {} at least was asked for", meta.index.value,
                    meta.term.value, meta.conf.voters.size(), fetch_->least.value)));
  }
  fetch_->session = response.session();
  fetch_->size = response.size();
  LOG_INFO("fetching the state of another member", LogField::Hex("from", fetch_->from), {"index", meta.index},
           {"about-bytes", fetch_->size});
  Read(id);
}

// ---- reading ----

void StateFetch::Read(uint64_t id) {
  if (!Is(id)) return;
  tenonpb::ReadStateRequest request;
  request.set_session(fetch_->session);
  request.set_offset(fetch_->offset);
  request.set_max_bytes(options_.piece_bytes);
  Ask(id, "ReadState", request.SerializeAsString(), &StateFetch::TakePiece);
}

void StateFetch::TakePiece(uint64_t id, const Status& status, const std::string& answer) {
  if (Failed(id, status, &StateFetch::Read)) return;
  bool end = false;
  if (const Status taken = Take(answer, end); !taken.ok()) return End(taken);
  Report();
  if (end) {
    const Status finished = Finish();
    return End(finished.ok() ? Result<raft::SnapshotMeta>(fetch_->meta) : finished);
  }
  const uint64_t now = clock_.MonoNs();
  if (fetch_->next_ns <= now) return Read(id);
  executor_.PostAfter(fetch_->next_ns - now, [this, id] { Read(id); });
}

Status StateFetch::Take(const std::string& answer, bool& end) {
  tenonpb::ReadStateResponse response;
  if (!response.ParseFromString(answer) || response.data().empty()) {
    return absl::InternalError("state: a malformed answer to ReadState");
  }
  RETURN_IF_ERROR(fetch_->file->Append(response.data()));
  fetch_->offset += response.data().size();
  if (options_.bytes_per_s > 0) {
    // Slow answers are not caught up with: that would be a burst.
    const auto take_ns = static_cast<uint64_t>(static_cast<double>(response.data().size()) * 1e9 /
                                               static_cast<double>(options_.bytes_per_s));
    fetch_->next_ns = std::max(fetch_->next_ns, fetch_->answer_ns) + take_ns;
  }
  fetch_->answer_ns = clock_.MonoNs();
  end = response.end();
  return Ok();
}

Status StateFetch::Finish() {
  // As it lies in the file: damage on the way here and on the way to the disk are found alike.
  const Result<Index> index = CheckStream(FileSource(fetch_->file->file()));
  if (!index.ok()) {
    return Status(index.status().code(),
                  ToAbsl(fmt::format("state: what member {:x} sent is {}", fetch_->from, Message(index.status()))));
  }
  if (*index != fetch_->meta.index) {
    return absl::DataLossError(fmt::format("state: member {:x} offered index {} and sent {}", fetch_->from,
                                           fetch_->meta.index.value, index->value));
  }
  return fetch_->file->Commit(index->value);
}

// ---- ending ----

bool StateFetch::Failed(uint64_t id, const Status& status, void (StateFetch::*again)(uint64_t)) {
  if (status.ok()) return false;
  const bool lost = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
  const uint64_t silent_ns = clock_.MonoNs() - fetch_->answer_ns;
  if (!lost || silent_ns >= options_.give_up_ns) {
    End(Status(status.code(), ToAbsl(fmt::format("state: member {:x} does not give it, {} bytes have come: {}",
                                                 fetch_->from, fetch_->offset, Message(status)))));
    return true;
  }
  executor_.PostAfter(options_.retry_ns, [this, id, again] { (this->*again)(id); });
  return true;
}

void StateFetch::Report() {
  const uint64_t now = clock_.MonoNs();
  if (now - fetch_->report_ns < options_.report_ns) return;
  fetch_->report_ns = now;
  LOG_INFO("fetching the state of another member", LogField::Hex("from", fetch_->from), {"index", fetch_->meta.index},
           {"bytes", fetch_->offset}, {"about-bytes", fetch_->size});
}

void StateFetch::End(Result<raft::SnapshotMeta> result) {
  Fetch fetch = *std::move(fetch_);
  fetch_.reset();
  fetch.file.reset();  // unfinished: it goes
  if (fetch.session != 0) {
    tenonpb::CloseStateRequest request;
    request.set_session(fetch.session);
    call_(fetch.from, "CloseState", request.SerializeAsString(), options_.call_timeout_ns, [](Status, std::string) {});
  }
  if (result.ok()) {
    LOG_INFO("fetched the state of another member", LogField::Hex("from", fetch.from), {"index", result->index},
             {"bytes", fetch.offset}, {"took", FormatDurationNs(int64_t(clock_.MonoNs() - fetch.begin_ns))});
  } else {
    LOG_WARN("cannot fetch the state of another member", LogField::Hex("from", fetch.from), {"error", result.status()});
  }
  {
    std::lock_guard lock(mutex_);
    busy_ = false;
  }
  fetch.done(std::move(result));
}

}  // namespace tenon::snapshot
