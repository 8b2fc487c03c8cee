// Lock and election over a server that is a map: who gets it when, and what is left behind by those who go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "plugins/concurrency/service.h"
#include "proto/v3election.pb.h"
#include "proto/v3lock.pb.h"
#include "tests/concurrency/fake_server.h"

namespace tenon::concurrency {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

enum Method : uint32_t { kLock, kUnlock, kCampaign, kProclaim, kLeader, kResign, kObserve };
constexpr auto kPatience = std::chrono::seconds(60);

// A call under way: what came back, when it did.
class Call {
 public:
  tenon_done done() {
    return {this, [](void* ctx, tenon_status status, const tenon_error* error, tenon_bufs result) {
              auto& call = *static_cast<Call*>(ctx);
              const std::scoped_lock lock(call.mutex_);
              for (size_t i = 0; i < result.n; i++) {
                call.reply_.append(reinterpret_cast<const char*>(result.part[i].p), result.part[i].n);
              }
              TENON_RELEASE(result);
              call.status_ = status;
              call.text_ = error == nullptr ? "" : error->msg;
              call.ended_ = true;
              call.changed_.notify_all();
            }};
  }
  bool ended() {
    const std::scoped_lock lock(mutex_);
    return ended_;
  }
  // "OK", or the code and the text.
  std::string Await() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [this] { return ended_; })) return "no answer";
    return status_ == TENON_OK ? "OK" : std::to_string(status_) + " " + text_;
  }
  template <class Response>
  Response Reply() {
    EXPECT_EQ(Await(), "OK");
    Response response;
    EXPECT_TRUE(response.ParseFromString(reply_));
    return response;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  tenon_status status_ = TENON_OK;
  std::string text_, reply_;
};

// A client that observes: values as they come, then "end".
class Observer {
 public:
  tenon_call_out out() { return {&kOut, this}; }
  tenon_call_in in{};

  std::vector<std::string> Await(size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return values_.size() >= n; });
    return values_;
  }

 private:
  static Observer& Of(void* self) { return *static_cast<Observer*>(self); }
  void Add(std::string value) {
    const std::scoped_lock lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  static const tenon_call_out_v1 kOut;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> values_;
};

const tenon_call_out_v1 Observer::kOut = {
    sizeof(tenon_call_out_v1),
    [](void*, const tenon_kv*, size_t) {},
    [](void* self, tenon_bufs message) -> tenon_status {
      std::string bytes;
      for (size_t i = 0; i < message.n; i++) {
        bytes.append(reinterpret_cast<const char*>(message.part[i].p), message.part[i].n);
      }
      TENON_RELEASE(message);
      v3electionpb::LeaderResponse response;
      EXPECT_TRUE(response.ParseFromString(bytes));
      Of(self).Add(response.kv().value());
      return TENON_OK;
    },
    [](void*) {},
    [](void* self, tenon_status, const tenon_error*, const tenon_kv*, size_t) {
      Of(self).in.fn->release(Of(self).in.self);
      Of(self).Add("end");
    },
};

class ConcurrencyTest : public ::testing::Test {
 protected:
  ConcurrencyTest() {
    EXPECT_EQ(kTable.m.create(server.host(), nullptr, &self, nullptr), TENON_OK);
    EXPECT_EQ(kTable.m.start(self, nullptr), TENON_OK);
    for (const int64_t lease : {1, 2, 3, 255}) server.AddLease(lease);
  }
  ~ConcurrencyTest() override {
    kTable.m.stop(self);
    kTable.m.destroy(self);
  }

  std::unique_ptr<Call> Send(Method method, const google::protobuf::MessageLite& request) {
    auto call = std::make_unique<Call>();
    const std::string bytes = request.SerializeAsString();
    tenon_slice part{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
    kTable.unary(self, ++last_id, method, nullptr, nullptr, {&part, 1, nullptr, nullptr}, call->done());
    return call;
  }
  std::unique_ptr<Call> Lock(const std::string& name, int64_t lease) {
    v3lockpb::LockRequest request;
    request.set_name(name);
    request.set_lease(lease);
    return Send(kLock, request);
  }
  std::string Unlock(const std::string& key) {
    v3lockpb::UnlockRequest request;
    request.set_key(key);
    return Send(kUnlock, request)->Await();
  }
  std::unique_ptr<Call> Campaign(int64_t lease, const std::string& value) {
    v3electionpb::CampaignRequest request;
    request.set_name("e");
    request.set_lease(lease);
    request.set_value(value);
    return Send(kCampaign, request);
  }
  std::string Proclaim(const v3electionpb::LeaderKey& leader, const std::string& value) {
    v3electionpb::ProclaimRequest request;
    *request.mutable_leader() = leader;
    request.set_value(value);
    return Send(kProclaim, request)->Await();
  }
  std::string Resign(const v3electionpb::LeaderKey& leader) {
    v3electionpb::ResignRequest request;
    *request.mutable_leader() = leader;
    return Send(kResign, request)->Await();
  }
  std::unique_ptr<Call> Leader() {
    v3electionpb::LeaderRequest request;
    request.set_name("e");
    return Send(kLeader, request);
  }
  void StartObserving(Observer& observer) {
    ASSERT_EQ(kTable.stream(self, kObserve, nullptr, nullptr, observer.out(), &observer.in), TENON_OK);
    v3electionpb::LeaderRequest request;
    request.set_name("e");
    const std::string bytes = request.SerializeAsString();
    tenon_slice part{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
    observer.in.fn->message(observer.in.self, {&part, 1, nullptr, nullptr});
  }
  // So many wait.
  void AwaitWatches(size_t n) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (server.watches() != n && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    ASSERT_EQ(server.watches(), n);
  }

  testing::FakeServer server;
  void* self = nullptr;
  uint64_t last_id = 0;
};

TEST_F(ConcurrencyTest, AFreeLockIsTakenAtOnce) {
  const auto reply = Lock("n", 255)->Reply<v3lockpb::LockResponse>();
  EXPECT_EQ(reply.key(), "n/ff");
  EXPECT_EQ(reply.header().revision(), 2);
  EXPECT_EQ(Lock("n", 255)->Reply<v3lockpb::LockResponse>().key(), "n/ff") << "who has it gets it again";
  EXPECT_EQ(Unlock("n/ff"), "OK");
  EXPECT_THAT(server.Keys(), IsEmpty());
}

TEST_F(ConcurrencyTest, TheOthersWaitInTheirOrder) {
  EXPECT_EQ(Lock("n", 3)->Await(), "OK");
  auto second = Lock("n", 2);
  AwaitWatches(1);
  auto third = Lock("n", 1);
  AwaitWatches(2);
  EXPECT_FALSE(second->ended());
  EXPECT_EQ(Unlock("n/3"), "OK");
  EXPECT_EQ(second->Await(), "OK");
  EXPECT_FALSE(third->ended());
  EXPECT_EQ(Unlock("n/2"), "OK");
  EXPECT_EQ(third->Await(), "OK");
  EXPECT_THAT(server.Keys(), ElementsAre("n/1"));
}

TEST_F(ConcurrencyTest, AWaiterThatGoesLeavesNoKeyAndLetsTheNextOneThrough) {
  EXPECT_EQ(Lock("n", 1)->Await(), "OK");
  auto second = Lock("n", 2);
  const uint64_t id = last_id;
  AwaitWatches(1);
  auto third = Lock("n", 3);
  AwaitWatches(2);
  kTable.unary_cancel(self, id);
  EXPECT_EQ(second->Await(), "2 context canceled");
  EXPECT_THAT(server.Keys(), ElementsAre("n/1", "n/3"));
  EXPECT_EQ(Unlock("n/1"), "OK");
  EXPECT_EQ(third->Await(), "OK");
  kTable.unary_cancel(self, id);  // it ended long ago
}

TEST_F(ConcurrencyTest, AnExpiredSessionIsToldSo) {
  EXPECT_EQ(Lock("n", 1)->Await(), "OK");
  auto second = Lock("n", 2);
  AwaitWatches(1);
  server.Delete("n/2");
  server.Delete("n/1");
  EXPECT_EQ(second->Await(), "2 mutex: session is expired");
}

TEST_F(ConcurrencyTest, ACompactionWhileItWaitsDoesNoHarm) {
  EXPECT_EQ(Lock("n", 1)->Await(), "OK");
  server.CompactBeforeNextWatch();
  auto second = Lock("n", 2);
  AwaitWatches(1);
  EXPECT_FALSE(second->ended());
  EXPECT_EQ(Unlock("n/1"), "OK");
  EXPECT_EQ(second->Await(), "OK");
}

TEST_F(ConcurrencyTest, AWatchThatEndsEndsTheWait) {
  EXPECT_EQ(Lock("n", 1)->Await(), "OK");
  auto second = Lock("n", 2);
  AwaitWatches(1);
  server.EndWatches();
  EXPECT_EQ(second->Await(), "2 etcdserver: server stopped");
  EXPECT_THAT(server.Keys(), ElementsAre("n/1"));
}

TEST_F(ConcurrencyTest, ErrorsAreTheServersWordsWithoutItsCode) {
  EXPECT_EQ(Lock("n", 77)->Await(), "2 etcdserver: requested lease not found");
  EXPECT_EQ(Unlock(""), "2 etcdserver: key is not provided");
  EXPECT_EQ(Campaign(77, "v")->Await(), "2 etcdserver: requested lease not found");
  EXPECT_EQ(Leader()->Await(), "2 election: no leader");
  EXPECT_EQ(Send(kProclaim, v3electionpb::ProclaimRequest())->Await(), "2 \"leader\" field must be provided");
  EXPECT_EQ(Send(kResign, v3electionpb::ResignRequest())->Await(), "2 \"leader\" field must be provided");
}

TEST_F(ConcurrencyTest, WithoutALeaseOneIsGranted) {
  EXPECT_EQ(Lock("n", 0)->Reply<v3lockpb::LockResponse>().key(), "n/3e9");
}

TEST_F(ConcurrencyTest, WhatIsNoMessageIsRefusedAsByGrpc) {
  auto call = std::make_unique<Call>();
  const uint8_t bad[] = {0xff, 0xff};
  tenon_slice part{bad, sizeof bad};
  kTable.unary(self, ++last_id, kLock, nullptr, nullptr, {&part, 1, nullptr, nullptr}, call->done());
  EXPECT_EQ(call->Await(), "13 grpc: error unmarshalling request: proto: cannot parse invalid wire-format data");
}

TEST_F(ConcurrencyTest, LeadersFollowEachOther) {
  const auto first = Campaign(1, "one")->Reply<v3electionpb::CampaignResponse>();
  EXPECT_EQ(first.leader().name(), "e");
  EXPECT_EQ(first.leader().key(), "e/1");
  EXPECT_EQ(first.leader().rev(), 2);
  EXPECT_EQ(first.leader().lease(), 1);
  EXPECT_EQ(Leader()->Reply<v3electionpb::LeaderResponse>().kv().value(), "one");
  auto second = Campaign(2, "two");
  AwaitWatches(1);
  EXPECT_EQ(Proclaim(first.leader(), "one again"), "OK");
  EXPECT_EQ(Leader()->Reply<v3electionpb::LeaderResponse>().kv().value(), "one again");
  EXPECT_FALSE(second->ended());
  EXPECT_EQ(Resign(first.leader()), "OK");
  EXPECT_EQ(second->Reply<v3electionpb::CampaignResponse>().leader().key(), "e/2");
  EXPECT_EQ(Proclaim(first.leader(), "too late"), "2 election: not leader");
  EXPECT_EQ(Resign(first.leader()), "OK") << "no harm to who leads now";
  EXPECT_EQ(server.Get("e/2"), "two");
}

TEST_F(ConcurrencyTest, ALeaderThatCampaignsAgainProclaimsItsNewValue) {
  EXPECT_EQ(Campaign(1, "one")->Await(), "OK");
  EXPECT_EQ(Campaign(1, "other")->Reply<v3electionpb::CampaignResponse>().leader().rev(), 2);
  EXPECT_EQ(server.Get("e/1"), "other");
}

TEST_F(ConcurrencyTest, ACandidateThatGoesResigns) {
  EXPECT_EQ(Campaign(1, "one")->Await(), "OK");
  auto second = Campaign(2, "two");
  AwaitWatches(1);
  kTable.unary_cancel(self, last_id);
  EXPECT_EQ(second->Await(), "2 context canceled");
  EXPECT_THAT(server.Keys(), ElementsAre("e/1"));
}

TEST_F(ConcurrencyTest, AnObserverSeesEachLeaderAndWhatItProclaims) {
  Observer observer;
  StartObserving(observer);
  AwaitWatches(1);  // nobody leads yet
  const auto first = Campaign(1, "one")->Reply<v3electionpb::CampaignResponse>();
  EXPECT_THAT(observer.Await(1), ElementsAre("one"));
  EXPECT_EQ(Proclaim(first.leader(), "one again"), "OK");
  EXPECT_THAT(observer.Await(2), ElementsAre("one", "one again"));
  auto second = Campaign(2, "two");
  AwaitWatches(2);
  EXPECT_EQ(Resign(first.leader()), "OK");
  EXPECT_THAT(observer.Await(3), ElementsAre("one", "one again", "two"));
  EXPECT_EQ(second->Await(), "OK");
  observer.in.fn->cancel(observer.in.self);
  EXPECT_THAT(observer.Await(4), ElementsAre("one", "one again", "two", "end"));
}

TEST_F(ConcurrencyTest, StopAnswersAllThatWait) {
  EXPECT_EQ(Lock("n", 1)->Await(), "OK");
  auto waiting = Lock("n", 2);
  Observer observer;
  StartObserving(observer);
  AwaitWatches(2);
  kTable.m.stop(self);
  EXPECT_TRUE(waiting->ended());
  EXPECT_THAT(observer.Await(1), ElementsAre("end"));
  EXPECT_EQ(server.watches(), 0u);
  EXPECT_THAT(server.Keys(), ElementsAre("n/1"));
}

}  // namespace
}  // namespace tenon::concurrency
