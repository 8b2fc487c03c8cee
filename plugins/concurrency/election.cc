// v3election's unary methods: Campaign, Proclaim, Leader, Resign. Source: etcd client/v3/concurrency/election.go,
// server/etcdserver/api/v3election.
//
// As a lock, with a value: the holder's value is what the leader proclaims.
#include "plugins/concurrency/conversation.h"
#include "plugins/concurrency/requests.h"
#include "proto/v3election.pb.h"

namespace tenon::concurrency {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file
using v3electionpb::LeaderKey;

constexpr std::string_view kTxn = "/etcdserverpb.KV/Txn";
constexpr std::string_view kNotLeader = "election: not leader";
constexpr std::string_view kNoLeaderKey = "\"leader\" field must be provided";

class Campaign : public Conversation {
 public:
  using Conversation::Conversation;

 private:
  void Start(const std::string& bytes) override {
    if (!request_.ParseFromString(bytes)) return Finish(CannotParse(), {});
    prefix_ = request_.name() + "/";
    WithLease(request_.lease(), [this](int64_t lease) { TakePartWith(lease); });
  }

  void TakePartWith(int64_t lease) {
    if (cancelled()) return Fail("context canceled");
    lease_ = lease;
    key_ = SessionKey(prefix_, lease);
    Ask<TxnResponse>(kTxn, TakePart(key_, request_.value(), lease), [this](const TxnResponse& taken) {
      header_ = taken.header();
      revision_ = taken.header().revision();
      if (!taken.succeeded()) {
        const mvccpb::KeyValue& ours = taken.responses(0).response_range().kvs(0);
        revision_ = ours.create_revision();
        if (ours.value() != request_.value()) return ProclaimFirst();
      }
      Await();
    });
  }

  // The session campaigned before, with another value.
  void ProclaimFirst() {
    Ask<TxnResponse>(
        kTxn, PutIfOurs(key_, revision_, request_.value(), lease_),
        [this](const TxnResponse& put) {
          if (!put.succeeded()) return Resign({TENON_UNKNOWN, std::string(kNotLeader)});
          Await();
        },
        [this](const Failure& failure) { Resign(failure); });
  }

  void Await() {
    AwaitDeletes(
        prefix_, revision_ - 1,
        [this] {
          v3electionpb::CampaignResponse response;
          *response.mutable_header() = header_;
          LeaderKey* leader = response.mutable_leader();
          leader->set_name(request_.name());
          leader->set_key(key_);
          leader->set_rev(revision_);
          leader->set_lease(lease_);
          Reply(response);
        },
        [this](const Failure& failure) {
          // A candidate whose client is gone must not become leader.
          if (cancelled()) return Resign(failure);
          Fail(failure);
        });
  }

  void Resign(const Failure& why) {
    Ask<TxnResponse>(
        kTxn, DeleteIfOurs(key_, revision_), [this, why](const TxnResponse&) { Fail(why); },
        [this, why](const Failure&) { Fail(why); });
  }

  void OnCancel() override { StopWaiting(); }

  v3electionpb::CampaignRequest request_;
  std::string prefix_, key_;
  int64_t lease_ = 0, revision_ = 0;
  ResponseHeader header_;
};

class Proclaim : public Conversation {
 public:
  using Conversation::Conversation;

 private:
  void Start(const std::string& bytes) override {
    if (!request_.ParseFromString(bytes)) return Finish(CannotParse(), {});
    if (!request_.has_leader()) return Fail(kNoLeaderKey);
    WithLease(request_.leader().lease(), [this](int64_t lease) {
      const LeaderKey& leader = request_.leader();
      Ask<TxnResponse>(kTxn, PutIfOurs(leader.key(), leader.rev(), request_.value(), lease),
                       [this](const TxnResponse& put) {
                         if (!put.succeeded()) return Fail(kNotLeader);
                         v3electionpb::ProclaimResponse response;
                         *response.mutable_header() = put.header();
                         Reply(response);
                       });
    });
  }

  v3electionpb::ProclaimRequest request_;
};

class Leader : public Conversation {
 public:
  using Conversation::Conversation;

 private:
  void Start(const std::string& bytes) override {
    v3electionpb::LeaderRequest request;
    if (!request.ParseFromString(bytes)) return Finish(CannotParse(), {});
    Ask<RangeResponse>("/etcdserverpb.KV/Range", FirstCreated(request.name() + "/"),
                       [this](const RangeResponse& found) {
                         if (found.kvs().empty()) return Fail("election: no leader");
                         v3electionpb::LeaderResponse response;
                         *response.mutable_header() = found.header();
                         *response.mutable_kv() = found.kvs(0);
                         Reply(response);
                       });
  }
};

class Resign : public Conversation {
 public:
  using Conversation::Conversation;

 private:
  void Start(const std::string& bytes) override {
    v3electionpb::ResignRequest request;
    if (!request.ParseFromString(bytes)) return Finish(CannotParse(), {});
    if (!request.has_leader()) return Fail(kNoLeaderKey);
    // etcd grants a lease here if none is named, and uses it for nothing.
    Ask<TxnResponse>(kTxn, DeleteIfOurs(request.leader().key(), request.leader().rev()),
                     [this](const TxnResponse& deleted) {
                       v3electionpb::ResignResponse response;
                       *response.mutable_header() = deleted.header();
                       Reply(response);
                     });
  }
};

}  // namespace

std::shared_ptr<Conversation> MakeCampaign(Client& client, Conversation::Answer answer) {
  return std::make_shared<Campaign>(client, std::move(answer));
}
std::shared_ptr<Conversation> MakeProclaim(Client& client, Conversation::Answer answer) {
  return std::make_shared<Proclaim>(client, std::move(answer));
}
std::shared_ptr<Conversation> MakeLeader(Client& client, Conversation::Answer answer) {
  return std::make_shared<Leader>(client, std::move(answer));
}
std::shared_ptr<Conversation> MakeResign(Client& client, Conversation::Answer answer) {
  return std::make_shared<Resign>(client, std::move(answer));
}

}  // namespace tenon::concurrency
