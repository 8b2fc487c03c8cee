// v3lock: Lock and Unlock. Source: etcd client/v3/concurrency/mutex.go, server/etcdserver/api/v3lock.
//
// Each who wants the lock makes a key under the name, with its lease. The key that was created first holds the lock;
// the others wait until those before them are gone. The key dies with its lease, so a holder that is gone cannot keep
// it.
#include "plugins/concurrency/conversation.h"
#include "plugins/concurrency/requests.h"
#include "proto/v3lock.pb.h"

namespace tenon::concurrency {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

class Lock : public Conversation {
 public:
  using Conversation::Conversation;

 private:
  void Start(const std::string& bytes) override {
    v3lockpb::LockRequest request;
    if (!request.ParseFromString(bytes)) return Finish(CannotParse(), {});
    prefix_ = request.name() + "/";
    WithLease(request.lease(), [this](int64_t lease) { TakeIt(lease); });
  }

  void TakeIt(int64_t lease) {
    if (cancelled()) return Fail("context canceled");
    key_ = SessionKey(prefix_, lease);
    Ask<TxnResponse>("/etcdserverpb.KV/Txn", TakePart(key_, "", lease, prefix_), [this](const TxnResponse& taken) {
      // It may have been ours before: the session asks again for what it holds.
      const int64_t ours =
          taken.succeeded() ? taken.header().revision() : taken.responses(0).response_range().kvs(0).create_revision();
      if (cancelled() && taken.succeeded()) return GiveUp({TENON_CANCELLED, "context canceled"});
      const auto& owner = taken.responses(1).response_range();
      if (owner.kvs().empty() || owner.kvs(0).create_revision() == ours) return Locked(taken.header());
      AwaitDeletes(
          prefix_, ours - 1, [this] { SeeThatItIsThere(); }, [this](const Failure& failure) { GiveUp(failure); });
    });
  }

  void SeeThatItIsThere() {
    Ask<RangeResponse>(
        "/etcdserverpb.KV/Range", One(key_),
        [this](const RangeResponse& found) {
          if (found.kvs().empty()) return Fail("mutex: session is expired");
          if (cancelled()) return GiveUp({TENON_CANCELLED, "context canceled"});
          Locked(found.header());
        },
        [this](const Failure& failure) { GiveUp(failure); });
  }

  void Locked(const ResponseHeader& header) {
    v3lockpb::LockResponse response;
    *response.mutable_header() = header;
    response.set_key(key_);
    Reply(response);
  }

  // Nobody shall wait for a key whose owner does not.
  void GiveUp(const Failure& why) {
    DeleteRangeRequest request;
    request.set_key(key_);
    Ask<DeleteRangeResponse>(
        "/etcdserverpb.KV/DeleteRange", request, [this, why](const DeleteRangeResponse&) { Fail(why); },
        [this, why](const Failure&) { Fail(why); });
  }

  void OnCancel() override { StopWaiting(); }

  std::string prefix_, key_;
};

class Unlock : public Conversation {
 public:
  using Conversation::Conversation;

 private:
  void Start(const std::string& bytes) override {
    v3lockpb::UnlockRequest request;
    if (!request.ParseFromString(bytes)) return Finish(CannotParse(), {});
    DeleteRangeRequest del;
    del.set_key(request.key());
    Ask<DeleteRangeResponse>("/etcdserverpb.KV/DeleteRange", del, [this](const DeleteRangeResponse& deleted) {
      v3lockpb::UnlockResponse response;
      *response.mutable_header() = deleted.header();
      Reply(response);
    });
  }
};

}  // namespace

std::shared_ptr<Conversation> MakeLock(Client& client, Conversation::Answer answer) {
  return std::make_shared<Lock>(client, std::move(answer));
}
std::shared_ptr<Conversation> MakeUnlock(Client& client, Conversation::Answer answer) {
  return std::make_shared<Unlock>(client, std::move(answer));
}

}  // namespace tenon::concurrency
