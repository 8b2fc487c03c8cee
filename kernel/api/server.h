// What the services reach, and the steps that several of them take.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/api/dispatcher.h"
#include "kernel/api/responder.h"
#include "kernel/apply/alarms.h"
#include "kernel/apply/applier.h"
#include "kernel/apply/parse.h"
#include "kernel/apply/quota.h"
#include "kernel/apply/request.h"
#include "kernel/apply/response.h"
#include "kernel/cluster/ids.h"
#include "kernel/cluster/membership.h"
#include "kernel/mvcc/store.h"
#include "kernel/mvcc/watch_hub.h"
#include "kernel/node/node.h"
#include "kernel/node/peer_desk.h"
#include "kernel/ports/executor.h"
#include "kernel/ports/peers.h"
#include "kernel/storage/engine.h"
#include "proto/rpc.pb.h"

namespace tenon::lease {
class Module;
}

namespace tenon::api {

struct Limits {
  uint64_t max_request_bytes = 1536 * 1024;
  uint64_t max_txn_ops = 128;
  int64_t quota_bytes = 2ll << 30;  // shown by Status
  int64_t min_lease_ttl_s = 2;      // shorter ones become so long
};

// Read pool: each reader thread is an executor; calls take turns.
class ReadPool {
 public:
  explicit ReadPool(std::vector<Executor*> threads) : threads_(std::move(threads)) {}
  void Post(Task task) { Next().Post(std::move(task)); }
  Executor& Next() { return *threads_[next_.fetch_add(1, std::memory_order_relaxed) % threads_.size()]; }

 private:
  std::vector<Executor*> threads_;
  std::atomic<size_t> next_{0};
};

struct Server {
  node::Node& node;
  apply::Applier& applier;
  apply::Alarms& alarms;
  mvcc::Store& store;
  storage::Engine& engine;
  cluster::Membership& membership;
  cluster::RequestIds& ids;
  ReadPool& readers;
  Clock& clock;
  Executor& worker;                           // slow jobs
  std::function<bool(uint64_t bytes)> admit;  // is there room on the disk for a request that adds so much?
  apply::Quota* quota;                        // null: there is none
  std::function<void(absl::AnyInvocable<void()> done)> raise_no_space;  // as Member::RaiseNoSpace
  Limits limits;
  lease::Module* leases = nullptr;  // null: no such module
  Peers* peers = nullptr;           // null: this member is alone
  node::PeerDesk* peer_desk = nullptr;
  // As Member::ProposeChange.
  std::function<void(cluster::MemberChange, absl::AnyInvocable<void(Status)> done)> change_members;
  bool strict_reconfig = true;  // --strict-reconfig-check
  uint64_t request_timeout_ns = 7'000'000'000;

  apply::ResponseHeader Header() const { return applier.header(); }
  // Fills a message's header with this member's ids, term and the newest revision.
  void Fill(etcdserverpb::ResponseHeader* header) const;
  // Without the revision, as the Cluster service's headers are.
  void FillCluster(etcdserverpb::ResponseHeader* header) const;

  // Does the quota have room for the request? If not it is answered, as in etcd when the alarm is up. Before anything
  // else is checked, as in etcd.
  template <class Message>
  bool FitsQuota(std::string_view method, const Message& request, Responder& respond) const {
    if (quota == nullptr) return true;
    apply::Quota::Answer answer = quota->Admit(method, request);
    if (answer.status.ok()) return true;
    if (answer.full) {
      raise_no_space(
          [status = std::move(answer.status), respond = std::move(respond)]() mutable { respond.Error(status); });
    } else {
      respond.Error(answer.status);
    }
    return false;
  }

  // Proposes the request (its wire bytes and the decoded form) and answers with what apply says.
  void Propose(apply::Field field, std::string_view bytes, apply::Operation operation, Responder respond) const;
};

// Asks whoever leads by a peer call, again while nobody does or the answer is lost, for as long as a request may take:
// etcd's timeout then. What the leader refuses is final. `done` may come on any thread, or inside. [any]
void AskLeader(Server& server, std::string method, std::string request, PeerHandler::Done done);

// Reads one key as a client's range does, and forgets it: for the health checks. `done` may come on any thread. [any]
void ProbeRead(Server& server, bool serializable, absl::AnyInvocable<void(Status)> done);

// Are these whole fields of protobuf's wire format, whatever is in them?
bool IsWellFormed(std::string_view bytes);

// grpc-go's words for bytes that are not the message.
inline Status CannotParse() {
  return absl::InternalError("grpc: error unmarshalling request: proto: cannot parse invalid wire-format data");
}

// Decodes, or answers as gRPC does when it cannot. Only a transaction may nest deeper than protobuf's own limit.
template <class Message>
bool Parse(std::string_view bytes, Message& message, Responder& respond) {
  if constexpr (std::is_same_v<Message, etcdserverpb::TxnRequest>) {
    if (apply::ParseNested(bytes, message, apply::kMaxRequestDepth)) return true;
  } else {
    if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return true;
  }
  respond.Error(CannotParse());
  return false;
}

// The same for messages with text in them, which has to be UTF-8.
template <class Message>
bool ParseText(std::string_view bytes, Message& message, Responder& respond) {
  if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return true;
  const char* what =
      IsWellFormed(bytes) ? "string field contains invalid UTF-8" : "proto: cannot parse invalid wire-format data";
  respond.Error(Status(StatusCode::kInternal, fmt::format("grpc: error unmarshalling request: {}", what)));
  return false;
}

void RegisterKv(Dispatcher& dispatcher, Server& server);
void RegisterWatch(Dispatcher& dispatcher, Server& server, mvcc::WatchHub& hub);
void RegisterMaintenance(Dispatcher& dispatcher, Server& server);
void RegisterCluster(Dispatcher& dispatcher, Server& server);
void RegisterLease(Dispatcher& dispatcher, Server& server);  // which has a lease module
void RegisterHealth(Dispatcher& dispatcher, Server& server);
void RegisterReflection(Dispatcher& dispatcher);
// Services of modules that are not configured, or of parts that this version has not got.
void RegisterAbsent(Dispatcher& dispatcher, const Server& server);

}  // namespace tenon::api
