#include "tests/concurrency/fake_server.h"

#include <algorithm>
#include <cstring>

namespace tenon::testing {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

const char* const kMethods[] = {"",
                                "/etcdserverpb.KV/Range",
                                "/etcdserverpb.KV/Txn",
                                "/etcdserverpb.KV/DeleteRange",
                                "/etcdserverpb.Lease/LeaseGrant",
                                "/etcdserverpb.Watch/Watch"};

std::string Flat(tenon_bufs bufs) {
  std::string out;
  for (size_t i = 0; i < bufs.n; i++) out.append(reinterpret_cast<const char*>(bufs.part[i].p), bufs.part[i].n);
  TENON_RELEASE(bufs);
  return out;
}

bool Covers(const std::string& key, const std::string& end, const std::string& candidate) {
  return end.empty() ? candidate == key : candidate >= key && candidate < end;
}

// A message that is only lent for the call: nobody but the callee may need it longer.
struct Lent {
  explicit Lent(const std::string& bytes) : part{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()} {}
  tenon_bufs bufs() { return {&part, 1, nullptr, nullptr}; }
  tenon_slice part;
};

}  // namespace

const tenon_host_call_v1 FakeServer::kCall = {
    sizeof(tenon_host_call_v1),
    [](const tenon_host*, tenon_slice name, uint32_t* flags) -> uint32_t {
      *flags = 0;
      for (uint32_t i = 1; i < std::size(kMethods); i++) {
        if (std::string_view(reinterpret_cast<const char*>(name.p), name.n) == kMethods[i]) return i;
      }
      return 0;
    },
    [](const tenon_host* host, const tenon_identity*, const tenon_call_info* info, tenon_bufs request,
       tenon_done done) -> uint64_t {
      std::string reply, text;
      const tenon_status status = Of(host).Serve(kMethods[info->method], Flat(request), &reply, &text);
      tenon_error error{};
      error.size = sizeof error;
      std::strncpy(error.msg, text.c_str(), sizeof error.msg - 1);
      Lent lent(reply);
      done.fn(done.ctx, status, status == TENON_OK ? nullptr : &error, status == TENON_OK ? lent.bufs() : tenon_bufs{});
      return 0;
    },
    [](const tenon_host*, uint64_t) {},
    [](const tenon_host* host, const tenon_identity*, const tenon_call_info*, tenon_call_out out,
       tenon_call_in* in) -> tenon_status {
      const std::scoped_lock lock(Of(host).mutex_);
      Stream& stream = Of(host).streams_.emplace_back(Stream{&Of(host), out, "", ""});
      *in = {&kIn, &stream};
      return TENON_OK;
    }};

const tenon_call_in_v1 FakeServer::kIn = {sizeof(tenon_call_in_v1),
                                          [](void* self, tenon_bufs message) -> tenon_status {
                                            auto& stream = *static_cast<Stream*>(self);
                                            WatchRequest request;
                                            request.ParseFromString(Flat(message));
                                            stream.server->Begin(stream, request.create_request());
                                            return TENON_OK;
                                          },
                                          [](void*) {},
                                          [](void*) {},
                                          [](void* self) {
                                            auto& stream = *static_cast<Stream*>(self);
                                            const std::scoped_lock lock(stream.server->mutex_);
                                            stream.open = false;
                                            if (!std::exchange(stream.finished, true)) {
                                              stream.out.fn->finish(stream.out.self, TENON_CANCELLED, nullptr, nullptr,
                                                                    0);
                                            }
                                          },
                                          [](void* self) {
                                            auto& stream = *static_cast<Stream*>(self);
                                            FakeServer& server = *stream.server;
                                            const std::scoped_lock lock(server.mutex_);
                                            server.streams_.remove_if([&](const Stream& s) { return &s == &stream; });
                                          }};

const tenon_host_exec_v1 FakeServer::kExec = {
    sizeof(tenon_host_exec_v1),
    [](const tenon_host* host, int, void (*fn)(void*), void* ctx) -> tenon_status {
      const std::scoped_lock lock(Of(host).work_mutex_);
      Of(host).tasks_.push_back([fn, ctx] { fn(ctx); });
      Of(host).work_.notify_one();
      return TENON_OK;
    },
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr};

FakeServer::FakeServer()
    : host_{sizeof host_,
            TENON_ABI_MAJOR,
            TENON_ABI_MINOR,
            this,
            [](const tenon_host*, const char* id) -> const void* {
              if (std::string_view(id) == TENON_HOST_CALL) return &kCall;
              if (std::string_view(id) == TENON_HOST_EXEC) return &kExec;
              return nullptr;
            },
            nullptr,
            nullptr},
      pool_([this] { Work(); }) {}

FakeServer::~FakeServer() {
  {
    const std::scoped_lock lock(work_mutex_);
    stopping_ = true;
    work_.notify_one();
  }
  pool_.join();
}

void FakeServer::Work() {
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(work_mutex_);
      work_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

std::string FakeServer::Get(const std::string& key) {
  const std::scoped_lock lock(mutex_);
  const auto it = keys_.find(key);
  return it == keys_.end() ? "" : it->second.value();
}

std::vector<std::string> FakeServer::Keys() {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [key, kv] : keys_) out.push_back(key);
  return out;
}

void FakeServer::Delete(const std::string& key) {
  const std::scoped_lock lock(mutex_);
  DeleteRange(key, "");
  Publish();
}

void FakeServer::AddLease(int64_t id) {
  const std::scoped_lock lock(mutex_);
  leases_.insert(id);
}

size_t FakeServer::watches() {
  const std::scoped_lock lock(mutex_);
  return static_cast<size_t>(std::count_if(streams_.begin(), streams_.end(), [](const Stream& s) { return s.open; }));
}

void FakeServer::CompactBeforeNextWatch() {
  const std::scoped_lock lock(mutex_);
  compact_ = true;
}

void FakeServer::EndWatches() {
  const std::scoped_lock lock(mutex_);
  for (Stream& s : streams_) {
    s.open = false;
    if (std::exchange(s.finished, true)) continue;
    tenon_error error{};
    error.size = sizeof error;
    std::strncpy(error.msg, "etcdserver: server stopped", sizeof error.msg - 1);
    s.out.fn->finish(s.out.self, TENON_UNAVAILABLE, &error, nullptr, 0);
  }
}

RangeResponse FakeServer::Range(const RangeRequest& r) {
  RangeResponse out;
  std::vector<mvccpb::KeyValue> found;
  for (const auto& [key, kv] : keys_) {
    if (!Covers(r.key(), r.range_end(), key)) continue;
    if (r.max_create_revision() != 0 && kv.create_revision() > r.max_create_revision()) continue;
    found.push_back(kv);
  }
  if (r.sort_target() == RangeRequest::CREATE) {
    std::sort(found.begin(), found.end(), [&](const auto& a, const auto& b) {
      return r.sort_order() == RangeRequest::DESCEND ? a.create_revision() > b.create_revision()
                                                     : a.create_revision() < b.create_revision();
    });
  }
  if (r.limit() > 0 && found.size() > static_cast<size_t>(r.limit())) found.resize(static_cast<size_t>(r.limit()));
  for (auto& kv : found) *out.add_kvs() = kv;
  out.mutable_header()->set_revision(revision_);
  return out;
}

tenon_status FakeServer::Put(const PutRequest& r, std::string* error) {
  if (r.lease() != 0 && !leases_.contains(r.lease())) {
    *error = "etcdserver: requested lease not found";
    return TENON_NOT_FOUND;
  }
  mvccpb::KeyValue& kv = keys_[r.key()];
  kv.set_key(r.key());
  kv.set_value(r.value());
  kv.set_lease(r.lease());
  kv.set_mod_revision(revision_ + 1);
  if (kv.create_revision() == 0) kv.set_create_revision(revision_ + 1);
  mvccpb::Event event;
  *event.mutable_kv() = kv;
  events_.push_back(event);
  return TENON_OK;
}

int64_t FakeServer::DeleteRange(const std::string& key, const std::string& end) {
  int64_t n = 0;
  for (auto it = keys_.begin(); it != keys_.end();) {
    if (!Covers(key, end, it->first)) {
      ++it;
      continue;
    }
    mvccpb::Event event;
    event.set_type(mvccpb::Event::DELETE);
    event.mutable_kv()->set_key(it->first);
    event.mutable_kv()->set_mod_revision(revision_ + 1);
    events_.push_back(event);
    it = keys_.erase(it);
    n++;
  }
  return n;
}

void FakeServer::Publish() {
  if (events_.empty()) return;
  revision_++;
  for (Stream& stream : streams_) {
    if (!stream.open) continue;
    WatchResponse response;
    response.mutable_header()->set_revision(revision_);
    for (const auto& event : events_) {
      if (Covers(stream.key, stream.end, event.kv().key())) *response.add_events() = event;
    }
    if (response.events_size() > 0) Send(stream, response);
  }
  history_.insert(history_.end(), events_.begin(), events_.end());
  events_.clear();
}

void FakeServer::Send(Stream& stream, const WatchResponse& response) {
  const std::string bytes = response.SerializeAsString();
  Lent lent(bytes);
  stream.out.fn->message(stream.out.self, lent.bufs());
}

void FakeServer::Begin(Stream& stream, const WatchCreateRequest& create) {
  const std::scoped_lock lock(mutex_);
  if (stream.finished) return;
  WatchResponse response;
  response.mutable_header()->set_revision(revision_);
  response.set_created(true);
  Send(stream, response);
  response.set_created(false);
  if (std::exchange(compact_, false)) {
    response.set_canceled(true);
    response.set_compact_revision(revision_);
    return Send(stream, response);
  }
  stream.key = create.key();
  stream.end = create.range_end();
  stream.open = true;
  for (const auto& event : history_) {
    if (event.kv().mod_revision() >= create.start_revision() && Covers(stream.key, stream.end, event.kv().key())) {
      *response.add_events() = event;
    }
  }
  if (response.events_size() > 0) Send(stream, response);
}

tenon_status FakeServer::Serve(const std::string& method, const std::string& request, std::string* reply,
                               std::string* error) {
  const std::scoped_lock lock(mutex_);
  if (method == kMethods[1]) {
    RangeRequest r;
    r.ParseFromString(request);
    *reply = Range(r).SerializeAsString();
    return TENON_OK;
  }
  if (method == kMethods[2]) {
    TxnRequest r;
    r.ParseFromString(request);
    const Compare& compare = r.compare(0);
    const auto it = keys_.find(compare.key());
    TxnResponse response;
    response.set_succeeded((it == keys_.end() ? 0 : it->second.create_revision()) == compare.create_revision());
    for (const RequestOp& op : response.succeeded() ? r.success() : r.failure()) {
      ResponseOp* answer = response.add_responses();
      if (op.has_request_put()) {
        if (const tenon_status s = Put(op.request_put(), error); s != TENON_OK) return s;
        answer->mutable_response_put();
      } else if (op.has_request_range()) {
        *answer->mutable_response_range() = Range(op.request_range());
      } else {
        answer->mutable_response_delete_range()->set_deleted(DeleteRange(op.request_delete_range().key(), ""));
      }
    }
    Publish();
    response.mutable_header()->set_revision(revision_);
    *reply = response.SerializeAsString();
    return TENON_OK;
  }
  if (method == kMethods[3]) {
    DeleteRangeRequest r;
    r.ParseFromString(request);
    if (r.key().empty()) {
      *error = "etcdserver: key is not provided";
      return TENON_INVALID;
    }
    DeleteRangeResponse response;
    response.set_deleted(DeleteRange(r.key(), r.range_end()));
    Publish();
    response.mutable_header()->set_revision(revision_);
    *reply = response.SerializeAsString();
    return TENON_OK;
  }
  LeaseGrantRequest r;
  r.ParseFromString(request);
  LeaseGrantResponse response;
  response.set_id(++next_lease_);
  response.set_ttl(r.ttl());
  leases_.insert(response.id());
  *reply = response.SerializeAsString();
  return TENON_OK;
}

}  // namespace tenon::testing
