// KV: Range, RangeStream, Put, DeleteRange, Txn, Compact.
#include <algorithm>
#include <mutex>
#include <optional>

#include "kernel/api/server.h"
#include "kernel/api/validate.h"
#include "kernel/apply/range.h"
#include "kernel/apply/txn.h"
#include "kernel/base/errors.h"
#include "kernel/mvcc/read_view.h"

namespace tenon::api {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file
using apply::Field;

// An engine failure is not a client's business to understand, but it must not look like an answer.
Status ForClient(const Status& status) {
  return apply::IsClientError(status) ? status : absl::InternalError(fmt::format("etcdserver: {}", Message(status)));
}

// Tries to answer without the engine. False: `respond` is still the caller's.
bool AnswerFromCache(Server& server, const RangeRequest& r, Responder& respond) {
  const bool plain = r.range_end().empty() && r.revision() <= 0 && !apply::HasRevisionFilters(r) && r.limit() == 0;
  if (!plain) return false;
  std::optional<mvcc::KeyIndex::Hit> hit;
  int64_t revision;
  if (!server.store.TryCached(r.key(), hit, revision)) return false;
  apply::RangeAnswer answer;
  answer.revision = revision;
  answer.count = hit.has_value();
  if (hit && !r.count_only()) answer.kvs.push_back(r.keys_only() ? apply::WithoutValue(*hit) : std::move(hit->record));
  respond.Ok(Encode(answer, server.Header()));
  return true;
}

void ServeRange(Server& server, const RangeRequest& request, Responder& respond) {
  mvcc::ReadView view = server.store.View();
  Result<apply::RangeAnswer> answer = apply::Range(view, request);
  if (!answer.ok()) return respond.Error(ForClient(answer.status()));
  respond.Ok(Encode(*answer, server.Header()));
}

// From here on the state is recent enough; runs on a transport's, the node's or the apply thread.
void StartRange(Server& server, RangeRequest request, Responder respond) {
  if (AnswerFromCache(server, request, respond)) return;
  server.readers.Post([&server, request = std::move(request), respond = std::move(respond)]() mutable {
    ServeRange(server, request, respond);
  });
}

void HandleRange(Server& server, std::string_view bytes, Responder respond) {
  RangeRequest request;
  if (!Parse(bytes, request, respond)) return;
  if (const Status bad = Check(request); !bad.ok()) return respond.Error(bad);
  if (request.serializable()) return StartRange(server, std::move(request), std::move(respond));
  server.node.ReadBarrier([&server, request = std::move(request), respond = std::move(respond)](Status status) mutable {
    if (!status.ok()) return respond.Error(status);
    StartRange(server, std::move(request), std::move(respond));
  });
}

void HandlePut(Server& server, std::string_view bytes, Responder respond) {
  PutRequest request;
  if (!Parse(bytes, request, respond)) return;
  if (!server.FitsQuota("/etcdserverpb.KV/Put", request, respond)) return;
  if (const Status bad = Check(request); !bad.ok()) return respond.Error(bad);
  if (!server.admit(bytes.size())) return respond.Error(errors::NoSpace());
  server.Propose(Field::kPut, bytes, std::move(request), std::move(respond));
}

void HandleDeleteRange(Server& server, std::string_view bytes, Responder respond) {
  DeleteRangeRequest request;
  if (!Parse(bytes, request, respond)) return;
  if (const Status bad = Check(request); !bad.ok()) return respond.Error(bad);
  server.Propose(Field::kDeleteRange, bytes, std::move(request), std::move(respond));
}

void HandleTxn(Server& server, std::string_view bytes, Responder respond) {
  TxnRequest request;
  if (!Parse(bytes, request, respond)) return;
  if (!server.FitsQuota("/etcdserverpb.KV/Txn", request, respond)) return;
  if (const Status bad = Check(request, static_cast<int64_t>(server.limits.max_txn_ops)); !bad.ok())
    return respond.Error(bad);
  if (!apply::IsReadOnly(request)) {
    if (apply::Grows(request) && !server.admit(bytes.size())) return respond.Error(errors::NoSpace());
    return server.Propose(Field::kTxn, bytes, std::move(request), std::move(respond));
  }
  const bool serializable = apply::IsSerializable(request);
  auto serve = [&server, request = std::move(request), respond = std::move(respond)](Status status) mutable {
    if (!status.ok()) return respond.Error(status);
    server.readers.Post([&server, request = std::move(request), respond = std::move(respond)]() mutable {
      mvcc::ReadView view = server.store.View();
      const Result<apply::TxnAnswer> answer = apply::ReadOnlyTxn(view, request);
      if (!answer.ok()) return respond.Error(ForClient(answer.status()));
      respond.Ok(Encode(*answer, server.Header()));
    });
  };
  if (serializable) return serve(Ok());
  server.node.ReadBarrier(std::move(serve));
}

void HandleCompact(Server& server, std::string_view bytes, Responder respond) {
  CompactionRequest request;
  if (!Parse(bytes, request, respond)) return;
  server.Propose(Field::kCompaction, bytes, std::move(request), std::move(respond));
}

// ---- RangeStream ----

// Rows of a pinned revision, found once, loaded and sent in pieces that grow from 10 rows towards max_request_bytes.
// Everything but the three On... runs on one reader thread. With an order or filters of etcd's Range (which etcd's
// RangeStream refuses) the whole answer is made first.
class RangeStream : public ServerCall {
 public:
  explicit RangeStream(Server& server) : server_(server), reader_(server.readers.Next()) {}

 private:
  bool OnMessage(Bufs message) override {
    // The first request is being served on another thread by now.
    if (std::exchange(asked_, true)) {
      End(Status(StatusCode::kInternal, "etcdserver: a RangeStream takes one request"));
      return true;
    }
    std::string scratch;
    const std::string_view bytes = message.Flatten(scratch);
    if (!request_.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      End(CannotParse());
    } else if (const Status bad = Check(request_); !bad.ok()) {
      End(bad);
    } else if (request_.serializable()) {
      Post([](RangeStream& s) { s.Start(); });
    } else {
      server_.node.ReadBarrier([self = Self()](const Status& status) {
        if (!status.ok()) return self->End(status);
        self->Post([](RangeStream& s) { s.Start(); });
      });
    }
    return true;
  }
  void OnHalfClose() override {
    if (!asked_) End(Status(StatusCode::kInternal, "etcdserver: a RangeStream takes one request"));
  }
  void OnWritable() override {
    Post([](RangeStream& s) { s.Pump(); });
  }
  void OnAbort(const Status& why) override { End(why); }

  std::shared_ptr<RangeStream> Self() { return std::static_pointer_cast<RangeStream>(shared_from_this()); }
  template <class Fn>
  void Post(Fn fn) {
    reader_.Post([self = Self(), fn] { fn(*self); });
  }
  // Finish and Send must not overlap: both happen on the reader.
  void End(const Status& status) {
    Post([status](RangeStream& s) { s.Finish(status); });
  }

  void Start() {
    if (finished()) return;  // cancelled while it waited
    view_.emplace(server_.store);
    const apply::Interval interval = apply::Interval::Of(request_.key(), request_.range_end());
    // Without an order etcd streams in key order, whatever the target; so do we.
    const bool ordered = !apply::IsDefaultOrder(request_) || apply::HasRevisionFilters(request_);
    limit_ = std::max<int64_t>(request_.limit(), 0);
    if (ordered) {
      Result<apply::RangeAnswer> answer = apply::Range(*view_, request_);
      if (!answer.ok()) return Finish(ForClient(answer.status()));
      ready_ = std::move(answer->kvs);
      total_ = ready_.size();
      more_ = answer->more;
      count_ = answer->count;
      whole_ = true;
    } else {
      mvcc::RangeOptions options;
      options.revision = request_.revision();
      options.limit = limit_ > 0 && limit_ < std::numeric_limits<int64_t>::max() ? limit_ + 1 : 0;
      options.count_only = request_.count_only();
      if (const Status bad = view_->Find(interval.key, interval.end, interval.single, options, found_); !bad.ok()) {
        return Finish(ForClient(bad));
      }
      count_ = found_.count;
      total_ = found_.hits.size();
      more_ = limit_ > 0 && total_ > static_cast<size_t>(limit_);
      if (more_) total_ = static_cast<size_t>(limit_);
    }
    Pump();
  }

  // The next row.
  Result<Block> Take() {
    if (whole_) return std::move(ready_[made_]);
    if (made_ == loaded_) RETURN_IF_ERROR(LoadMore());
    mvcc::KeyIndex::Hit& hit = found_.hits[made_];
    return request_.keys_only() ? apply::WithoutValue(hit) : std::move(hit.record);
  }

  // Some rows ahead: as many as make up kLoadBytes, if they are like the last ones.
  Status LoadMore() {
    const size_t n = std::min(load_, total_ - made_);
    RETURN_IF_ERROR(view_->Load(found_, made_, n, request_.keys_only()));
    loaded_ += n;
    size_t bytes = 0;
    for (size_t i = made_; i < loaded_; i++) bytes += found_.hits[i].record.size();
    if (bytes < kLoadBytes / 2) load_ = std::min<size_t>(load_ * 2, mvcc::KeyIndex::kStep);
    if (bytes > kLoadBytes) load_ = std::max<size_t>(load_ / 2, 1);
    return Ok();
  }

  // A piece is ready when the client wants it: the next one is made while the last one is being sent.
  void Pump() {
    if (!view_) return;  // not started
    bool go_on = true;
    while (!finished() && (next_ || MakeNext()) && go_on) {
      go_on = Send(*std::exchange(next_, std::nullopt));
      if (made_ == total_) return Finish(Ok());
    }  // OnWritable goes on
  }

  // False: it could not be read, and this is the end.
  bool MakeNext() {
    const uint64_t most = server_.limits.max_request_bytes;
    // A piece that has grown over small rows must not take as many large ones: its bytes end it too.
    const size_t n = std::min(piece_, total_ - made_);
    std::vector<Block> rows;
    size_t bytes = 0;
    while (rows.size() < n && bytes <= most) {
      Result<Block> row = Take();
      if (!row.ok()) {
        Finish(ForClient(row.status()));
        return false;
      }
      bytes += row->size();
      rows.push_back(*std::move(row));
      made_++;
    }
    apply::ResponseHeader header = server_.Header();
    header.revision = view_->revision();
    const bool last = made_ == total_;
    next_ = EncodeStreamPart(rows, 0, rows.size(), last ? &header : nullptr, more_, count_);
    if (bytes * 2 <= most) {
      piece_ *= 2;
    } else if (bytes > most) {
      piece_ = std::max<size_t>(piece_ / 2, 1);
    }
    return true;
  }

  Server& server_;
  Executor& reader_;
  RangeRequest request_;
  std::optional<mvcc::ReadView> view_;
  mvcc::RangeHits found_;
  std::vector<Block> ready_;
  std::optional<Bufs> next_;  // made, not sent
  static constexpr size_t kLoadBytes = 1 << 20;
  bool asked_ = false;  // a request came [client]
  bool whole_ = false;
  bool more_ = false;
  int64_t limit_ = 0, count_ = 0;
  size_t total_ = 0, loaded_ = 0, made_ = 0, piece_ = 10, load_ = 64;
};

}  // namespace

void ProbeRead(Server& server, bool serializable, absl::AnyInvocable<void(Status)> done) {
  auto read = [&server, done = std::move(done)](const Status& status) mutable {
    if (!status.ok()) return done(status);
    server.readers.Post([&server, done = std::move(done)]() mutable {
      RangeRequest request;  // etcd's: the empty key, which nobody can have
      request.set_keys_only(true);
      request.set_limit(1);
      mvcc::ReadView view = server.store.View();
      const Result<apply::RangeAnswer> answer = apply::Range(view, request);
      done(answer.ok() ? Ok() : ForClient(answer.status()));
    });
  };
  if (serializable) return read(Ok());
  server.node.ReadBarrier(std::move(read));
}

void RegisterKv(Dispatcher& d, Server& server) {
  const auto add = [&](const char* method, void (*handler)(Server&, std::string_view, Responder)) {
    d.AddUnary(fmt::format("/etcdserverpb.KV/{}", method),
               [&server, handler](std::string_view request, Responder respond) {
                 handler(server, request, std::move(respond));
               });
  };
  add("Range", HandleRange);
  add("Put", HandlePut);
  add("DeleteRange", HandleDeleteRange);
  add("Txn", HandleTxn);
  add("Compact", HandleCompact);
  d.AddStream("/etcdserverpb.KV/RangeStream", TENON_METHOD_SERVER_STREAM,
              [&server] { return std::make_shared<RangeStream>(server); });
}

}  // namespace tenon::api
