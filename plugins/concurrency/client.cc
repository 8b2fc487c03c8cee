#include "plugins/concurrency/client.h"

#include <utility>

namespace tenon::concurrency {
namespace {

template <class Table>
const Table* Need(const sdk::Host& host, const char* id) {
  const auto* table = host.Get<Table>(id);
  if (table == nullptr) throw sdk::Error(TENON_PRECONDITION, std::string("concurrency: the server has no ") + id);
  return table;
}

std::string TextOf(tenon_status status, const tenon_error* error) {
  return error != nullptr && error->msg[0] != '\0' ? std::string(error->msg) : "status " + std::to_string(status);
}

}  // namespace

tenon_bufs ToBufs(std::string bytes) {
  struct Owned {
    std::string bytes;
    tenon_slice part;
  };
  auto* owned = new Owned{std::move(bytes), {}};
  owned->part = sdk::Slice(owned->bytes);
  return {&owned->part, 1, owned, [](void* ctx) { delete static_cast<Owned*>(ctx); }};
}

std::string FromBufs(tenon_bufs bufs) {
  std::string out;
  for (size_t i = 0; i < bufs.n; i++) out += sdk::View(bufs.part[i]);
  TENON_RELEASE(bufs);
  return out;
}

Failure CannotParse() {
  return {TENON_INTERNAL, "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data"};
}

// ---- Client ----

Client::Client(const sdk::Host& host)
    : host_(host),
      call_(Need<tenon_host_call_v1>(host, TENON_HOST_CALL)),
      exec_(Need<tenon_host_exec_v1>(host, TENON_HOST_EXEC)) {}

uint32_t Client::Method(std::string_view name) const {
  uint32_t flags = 0;
  return call_->method(host(), sdk::Slice(name), &flags);
}

void Client::Ask(std::string_view method, const google::protobuf::MessageLite& request, Done done) {
  struct Pending {
    Client& client;
    Done done;
    tenon_call_info info;
  };
  auto* pending = new Pending{*this, std::move(done), {}};
  pending->info.size = sizeof pending->info;
  pending->info.method = Method(method);
  Began();
  call_->unary_as(host(), nullptr, &pending->info, ToBufs(request.SerializeAsString()),
                  {pending, [](void* ctx, tenon_status status, const tenon_error* error, tenon_bufs result) {
                     const std::unique_ptr<Pending> p(static_cast<Pending*>(ctx));
                     Failure failure;
                     if (status != TENON_OK) failure = {status, TextOf(status, error)};
                     Client& client = p->client;
                     client.Post([done = std::move(p->done), failure = std::move(failure), reply = FromBufs(result)] {
                       done(failure, reply);
                     });
                     client.Ended();  // what was posted has been counted
                   }});
}

void Client::Post(std::function<void()> fn) {
  struct Posted {
    Client& client;
    std::function<void()> fn;
  };
  auto* posted = new Posted{*this, std::move(fn)};
  Began();
  const auto run = [](void* ctx) {
    Posted* p = static_cast<Posted*>(ctx);
    Client& client = p->client;
    p->fn();
    delete p;
    client.Ended();
  };
  if (exec_->post(host(), 0, run, posted) == TENON_OK) return;
  // The queue is full: later, then.
  exec_->timer(
      host(), 5'000'000, 0,
      [](void* ctx, uint64_t) {
        Posted* p = static_cast<Posted*>(ctx);
        Client& client = p->client;
        p->fn();
        delete p;
        client.Ended();
      },
      posted);
}

void Client::Began() {
  const std::scoped_lock lock(mutex_);
  under_way_++;
}

void Client::Ended() {
  const std::scoped_lock lock(mutex_);
  if (--under_way_ == 0) idle_.notify_all();
}

void Client::WaitIdle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return under_way_ == 0; });
}

// ---- Strand ----

void Strand::Post(std::function<void()> fn) {
  {
    const std::scoped_lock lock(mutex_);
    waiting_.push_back(std::move(fn));
    if (std::exchange(running_, true)) return;
  }
  client_.Post([self = shared_from_this()] { self->Run(); });
}

void Strand::Run() {
  for (;;) {
    std::vector<std::function<void()>> now;
    {
      const std::scoped_lock lock(mutex_);
      if (waiting_.empty()) {
        running_ = false;
        return;
      }
      now.swap(waiting_);
    }
    for (auto& fn : now) fn();
  }
}

// ---- Watch ----

const tenon_call_out_v1 Watch::kOut = {
    sizeof(tenon_call_out_v1),
    [](void*, const tenon_kv*, size_t) {},
    [](void* self, tenon_bufs message) -> tenon_status {
      Watch& w = Of(self);
      auto response = std::make_shared<etcdserverpb::WatchResponse>();
      if (!response->ParseFromString(FromBufs(message))) return TENON_OK;  // the server's own bytes
      w.strand_->Post([watch = w.shared_from_this(), response] {
        if (watch->closed_) return;
        if (response->events_size() > 0 || response->canceled()) watch->sink_.response(*response);
      });
      if (!w.hold_) return TENON_OK;
      w.told_to_hold_ = true;
      if (w.hold_) return TENON_AGAIN;
      // Given free just now, perhaps before it was seen that there was something to free.
      return w.told_to_hold_.exchange(false) ? TENON_OK : TENON_AGAIN;
    },
    [](void*) {},
    [](void* self, tenon_status status, const tenon_error* error, const tenon_kv*, size_t) {
      Watch& w = Of(self);
      Failure failure{status, status == TENON_OK ? "" : TextOf(status, error)};
      w.strand_->Post([watch = w.shared_from_this(), failure] { watch->Finished(failure); });
    },
};

Watch::Watch(Client& client, std::shared_ptr<Strand> strand, Sink sink)
    : client_(client), strand_(std::move(strand)), sink_(std::move(sink)) {}

std::shared_ptr<Watch> Watch::Open(Client& client, std::shared_ptr<Strand> strand, std::string_view key,
                                   std::string_view range_end, int64_t revision, Sink sink) {
  etcdserverpb::WatchRequest request;
  auto* create = request.mutable_create_request();
  create->set_key(std::string(key));
  create->set_range_end(std::string(range_end));
  create->set_start_revision(revision);
  auto watch = std::make_shared<Watch>(client, std::move(strand), std::move(sink));
  watch->Start(request);
  return watch;
}

void Watch::Start(const etcdserverpb::WatchRequest& request) {
  info_.size = sizeof info_;
  info_.method = client_.Method("/etcdserverpb.Watch/Watch");
  self_ = shared_from_this();
  client_.Began();
  const tenon_status status = client_.call().call_as(client_.host(), nullptr, &info_, {&kOut, this}, &in_);
  if (status != TENON_OK) {
    in_.fn = nullptr;
    strand_->Post([watch = shared_from_this(), status] { watch->Finished({status, "etcdserver: cannot watch"}); });
    return;
  }
  in_.fn->message(in_.self, ToBufs(request.SerializeAsString()));
}

void Watch::Close() {
  if (std::exchange(closed_, true)) return;
  if (!finished_ && in_.fn != nullptr) in_.fn->cancel(in_.self);
}

void Watch::Hold(bool hold) {
  hold_ = hold;
  if (!hold && told_to_hold_.exchange(false) && !finished_ && in_.fn != nullptr) in_.fn->writable(in_.self);
}

void Watch::Finished(const Failure& failure) {
  if (std::exchange(finished_, true)) return;
  if (in_.fn != nullptr) in_.fn->release(in_.self);
  if (!std::exchange(closed_, true)) sink_.ended(failure);
  sink_ = {};
  client_.Ended();
  self_.reset();
}

}  // namespace tenon::concurrency
