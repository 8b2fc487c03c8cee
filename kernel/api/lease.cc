// Lease: LeaseGrant, LeaseRevoke, LeaseKeepAlive, LeaseTimeToLive, LeaseLeases.
// Source: etcd server/etcdserver/v3_server.go, api/v3rpc/lease.go.
#include <deque>
#include <mutex>

#include "kernel/api/server.h"
#include "kernel/base/errors.h"
#include "kernel/lease/module.h"

namespace tenon::api {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file
using apply::Field;

void HandleGrant(Server& server, std::string_view bytes, Responder respond) {
  LeaseGrantRequest request;
  if (!Parse(bytes, request, respond)) return;
  if (!server.FitsQuota("/etcdserverpb.Lease/LeaseGrant", request, respond)) return;
  if (!server.admit(bytes.size())) return respond.Error(errors::NoSpace());
  // What may differ between members is decided here, once, and travels in the entry.
  while (request.id() == 0) request.set_id(static_cast<int64_t>(server.ids.Next() & INT64_MAX));
  if (request.ttl() < server.limits.min_lease_ttl_s) request.set_ttl(server.limits.min_lease_ttl_s);
  const std::string entry = request.SerializeAsString();
  server.Propose(Field::kLeaseGrant, entry, std::move(request), std::move(respond));
}

void HandleRevoke(Server& server, std::string_view bytes, Responder respond) {
  LeaseRevokeRequest request;
  if (!Parse(bytes, request, respond)) return;
  server.Propose(Field::kLeaseRevoke, bytes, std::move(request), std::move(respond));
}

LeaseTimeToLiveResponse TimeToLive(Server& server, const LeaseTimeToLiveRequest& request) {
  const std::optional<lease::Module::Info> info = server.leases->Lookup(request.id(), request.keys());
  LeaseTimeToLiveResponse answer;
  answer.set_id(request.id());
  answer.set_ttl(info ? info->remaining_ttl_s : -1);
  if (info) {
    answer.set_grantedttl(info->granted_ttl_s);
    for (const std::string& key : info->keys) answer.add_keys(key);
  }
  return answer;
}

void AnswerTimeToLive(Server& server, LeaseTimeToLiveResponse answer, Responder respond) {
  server.Fill(answer.mutable_header());
  respond.Ok(answer);
}

bool Leads(const Server& server) { return server.node.state().leader == server.membership.self(); }

void HandleTimeToLive(Server& server, std::string_view bytes, Responder respond) {
  LeaseTimeToLiveRequest request;
  if (!Parse(bytes, request, respond)) return;
  server.node.ReadBarrier([&server, request = std::move(request), respond = std::move(respond)](Status status) mutable {
    if (!status.ok()) return respond.Error(status);
    if (!Leads(server)) {  // whose clock counts
      return AskLeader(server, "LeaseTimeToLive", request.SerializeAsString(),
                       [&server, respond = std::move(respond)](const Status& status, const std::string& bytes) mutable {
                         LeaseTimeToLiveResponse answer;
                         if (!status.ok()) return respond.Error(status);
                         if (!answer.ParseFromString(bytes)) return respond.Error(errors::Timeout());
                         AnswerTimeToLive(server, std::move(answer), std::move(respond));
                       });
    }
    if (!request.keys()) return AnswerTimeToLive(server, TimeToLive(server, request), std::move(respond));
    server.readers.Post([&server, request = std::move(request), respond = std::move(respond)]() mutable {
      AnswerTimeToLive(server, TimeToLive(server, request), std::move(respond));
    });
  });
}

// ---- renewals ----

using RenewDone = absl::AnyInvocable<void(Result<int64_t> ttl)>;

// By this member's own clock, once a quorum has said that it still leads: who stood still while others led must not
// renew what they have ended. 0: there is no such lease, in etcd's words. Unavailable: another member's clock counts.
// What was granted and answered before is applied here by then.
void RenewHere(Server& server, int64_t id, RenewDone done) {
  server.node.ReadBarrier([&server, id, done = std::move(done)](const Status& status) mutable {
    if (!status.ok()) return done(status);
    server.leases->Renew(id, [done = std::move(done)](Result<int64_t> ttl) mutable {
      if (absl::IsNotFound(ttl.status())) ttl = 0;
      done(std::move(ttl));
    });
  });
}

// By whoever leads.
void Renew(Server& server, int64_t id, RenewDone done) {
  const auto ask = [&server, id](RenewDone done) {
    LeaseKeepAliveRequest request;
    request.set_id(id);
    AskLeader(server, "LeaseRenew", request.SerializeAsString(),
              [done = std::move(done)](const Status& status, const std::string& bytes) mutable {
                LeaseKeepAliveResponse answer;
                if (!status.ok()) return done(status);
                if (!answer.ParseFromString(bytes)) return done(errors::Timeout());
                done(answer.ttl());
              });
  };
  if (server.peers == nullptr) return RenewHere(server, id, std::move(done));
  if (!Leads(server)) return ask(std::move(done));
  RenewHere(server, id, [ask, done = std::move(done)](Result<int64_t> ttl) mutable {
    if (!absl::IsUnavailable(ttl.status())) return done(std::move(ttl));
    ask(std::move(done));  // we have lost the lead meanwhile
  });
}

void ServePeers(Server& server) {
  server.peer_desk->Add("LeaseRenew", [&server](const PeerSender&, std::string bytes, PeerHandler::Done done) {
    LeaseKeepAliveRequest request;
    if (!request.ParseFromString(bytes)) return done(absl::InvalidArgumentError("not a LeaseKeepAliveRequest"), {});
    RenewHere(server, request.id(), [id = request.id(), done = std::move(done)](Result<int64_t> ttl) mutable {
      if (!ttl.ok()) return done(ttl.status(), {});
      LeaseKeepAliveResponse answer;
      answer.set_id(id);
      answer.set_ttl(*ttl);
      done(Ok(), answer.SerializeAsString());
    });
  });
  server.peer_desk->Add("LeaseTimeToLive", [&server](const PeerSender&, std::string bytes, PeerHandler::Done done) {
    LeaseTimeToLiveRequest request;
    if (!request.ParseFromString(bytes)) return done(absl::InvalidArgumentError("not a LeaseTimeToLiveRequest"), {});
    server.readers.Post([&server, request = std::move(request), done = std::move(done)]() mutable {
      if (!Leads(server)) return done(errors::NotLeader(), {});
      done(Ok(), TimeToLive(server, request).SerializeAsString());
    });
  });
}

// This member's own list, as in etcd: not linearizable.
void HandleLeases(Server& server, std::string_view bytes, Responder respond) {
  LeaseLeasesRequest request;
  if (!Parse(bytes, request, respond)) return;
  server.readers.Post([&server, respond = std::move(respond)]() mutable {
    LeaseLeasesResponse answer;
    server.Fill(answer.mutable_header());
    for (const int64_t id : server.leases->List()) answer.add_leases()->set_id(id);
    respond.Ok(answer);
  });
}

// ---- LeaseKeepAlive ----

// One answer for each request, in their order. A renewal may wait (for a lease that is being revoked, for the log);
// those behind it wait too, as in etcd. Whoever finds the stream idle carries out what is to be done, one step at a
// time, and holds no lock meanwhile: what happens during a step is written down and comes next.
class KeepAlive : public ServerCall {
 public:
  explicit KeepAlive(Server& server) : server_(server) {}

 private:
  static constexpr size_t kMostWaiting = 64;  // requests that were read and not begun

  bool OnMessage(Bufs message) override {
    LeaseKeepAliveRequest request;
    std::string scratch;
    const std::string_view bytes = message.Flatten(scratch);
    const bool sound = request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
    bool more = true;
    {
      std::lock_guard lock(mutex_);
      if (sound) {
        waiting_.push_back(request.id());
        if (waiting_.size() >= kMostWaiting) more = !(held_ = true);
      } else {
        // grpc-go has other words where a stream receives than where a call begins.
        end_ = Status(StatusCode::kInternal,
                      "grpc: failed to unmarshal the received message: proto: cannot parse invalid wire-format data");
      }
    }
    Run();
    return more;
  }
  void OnHalfClose() override {
    Note([this] { half_closed_ = true; });
  }
  void OnWritable() override {
    Note([this] { blocked_ = false; });
  }
  void OnAbort(const Status& why) override {
    Note([&] { end_ = why; });
  }

  template <class Fn>
  void Note(Fn fn) {
    {
      std::lock_guard lock(mutex_);
      fn();
    }
    Run();
  }

  void Run() {
    std::unique_lock lock(mutex_);
    while (!running_ && !over_) {
      if (end_) {
        over_ = true;
        const Status status = *end_;
        Step(lock, [&] { Finish(status); });
      } else if (answer_ && !blocked_) {
        const LeaseKeepAliveResponse answer = *std::exchange(answer_, std::nullopt);
        bool go_on = true;
        blocked_ = true;  // unless we hear otherwise, even before Send returns
        Step(lock, [&] { go_on = Send(Serialize(answer)); });
        if (go_on) blocked_ = false;
      } else if (answer_ || renewing_) {
        return;
      } else if (!waiting_.empty()) {
        const int64_t id = waiting_.front();
        waiting_.pop_front();
        renewing_ = true;
        Step(lock, [&] { Renew(id); });
      } else if (std::exchange(held_, false)) {
        Step(lock, [&] { Readable(); });
      } else if (half_closed_) {
        end_ = Ok();
      } else {
        return;
      }
    }
  }

  template <class Fn>
  void Step(std::unique_lock<std::mutex>& lock, Fn fn) {
    running_ = true;
    lock.unlock();
    fn();
    lock.lock();
    running_ = false;
  }

  void Renew(int64_t id) {
    // Before it is renewed: a lease that is revoked at revision 3 must not seem to live at revision 4.
    LeaseKeepAliveResponse answer;
    server_.Fill(answer.mutable_header());
    answer.set_id(id);
    api::Renew(server_, id, [self = Self(), answer = std::move(answer)](Result<int64_t> ttl) mutable {
      self->Renewed(std::move(answer), std::move(ttl));
    });
  }

  void Renewed(LeaseKeepAliveResponse answer, Result<int64_t> ttl) {
    Note([&] {
      renewing_ = false;
      if (ttl.ok()) {
        answer.set_ttl(*ttl);
        answer_ = std::move(answer);
      } else if (!end_) {
        end_ = ttl.status();
      }
    });
  }

  std::shared_ptr<KeepAlive> Self() { return std::static_pointer_cast<KeepAlive>(shared_from_this()); }

  Server& server_;
  std::mutex mutex_;  // of all below
  std::deque<int64_t> waiting_;
  std::optional<LeaseKeepAliveResponse> answer_;
  std::optional<Status> end_;
  bool running_ = false;   // somebody carries out a step
  bool renewing_ = false;  // the module has one
  bool blocked_ = false;   // the client takes no answers now
  bool held_ = false;      // it was told to send no requests
  bool half_closed_ = false, over_ = false;
};

}  // namespace

void RegisterLease(Dispatcher& d, Server& server) {
  if (server.peer_desk != nullptr) ServePeers(server);
  const auto add = [&](const char* method, void (*handler)(Server&, std::string_view, Responder)) {
    d.AddUnary(fmt::format("/etcdserverpb.Lease/{}", method),
               [&server, handler](std::string_view request, Responder respond) {
                 handler(server, request, std::move(respond));
               });
  };
  add("LeaseGrant", HandleGrant);
  add("LeaseRevoke", HandleRevoke);
  add("LeaseTimeToLive", HandleTimeToLive);
  add("LeaseLeases", HandleLeases);
  d.AddStream("/etcdserverpb.Lease/LeaseKeepAlive", TENON_METHOD_CLIENT_STREAM | TENON_METHOD_SERVER_STREAM,
              [&server] { return std::make_shared<KeepAlive>(server); });
}

}  // namespace tenon::api
