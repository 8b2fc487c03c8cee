#include "plugins/concurrency/conversation.h"

#include <utility>

#include "plugins/concurrency/requests.h"

namespace tenon::concurrency {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

Conversation::Conversation(Client& client, Answer answer)
    : client_(client), strand_(std::make_shared<Strand>(client)), answer_(std::move(answer)) {}

void Conversation::Begin(std::string request) {
  self_ = shared_from_this();
  client_.Began();
  strand_->Post([self = self_, request = std::move(request)] { self->Start(request); });
}

void Conversation::Cancel() {
  strand_->Post([self = shared_from_this()] {
    if (self->answer_ == nullptr || std::exchange(self->cancelled_, true)) return;
    self->OnCancel();
  });
}

void Conversation::Finish(const Failure& failure, std::string reply) {
  if (answer_ == nullptr) return;
  if (watch_) std::exchange(watch_, nullptr)->Close();
  const Answer answer = std::exchange(answer_, nullptr);
  answer(failure, std::move(reply));
  deleted_ = nullptr;  // they hold what they belong to
  not_deleted_ = nullptr;
  client_.Ended();
  self_.reset();
}

void Conversation::WithLease(int64_t lease, std::function<void(int64_t)> then) {
  if (lease != 0) return then(lease);
  LeaseGrantRequest grant;
  grant.set_ttl(kSessionTtlSeconds);
  Ask<LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", grant,
                          [then = std::move(then)](const LeaseGrantResponse& granted) { then(granted.id()); });
}

void Conversation::AwaitDeletes(const std::string& prefix, int64_t revision, std::function<void()> then,
                                std::function<void(const Failure&)> otherwise) {
  deleted_ = std::move(then);
  not_deleted_ = std::move(otherwise);
  if (cancelled_) return NotDeleted({TENON_CANCELLED, "context canceled"});
  // The last one before us: when it goes there may be others before that one.
  Ask<RangeResponse>(
      "/etcdserverpb.KV/Range", LastCreated(prefix, revision),
      [this, prefix, revision](const RangeResponse& found) {
        if (cancelled_) return NotDeleted({TENON_CANCELLED, "context canceled"});
        if (found.kvs().empty()) return std::exchange(deleted_, nullptr)();
        AwaitDelete(found.kvs(0).key(), found.header().revision(), prefix, revision);
      },
      [this](const Failure& failure) { NotDeleted(failure); });
}

// The function may end the conversation, which forgets it.
void Conversation::NotDeleted(const Failure& why) { std::exchange(not_deleted_, nullptr)(why); }

void Conversation::AwaitDelete(const std::string& key, int64_t revision, const std::string& prefix, int64_t before) {
  const auto look_again = [this, self = shared_from_this(), prefix, before] {
    std::exchange(watch_, nullptr)->Close();
    AwaitDeletes(prefix, before, std::move(deleted_), std::move(not_deleted_));
  };
  // The revision of the range itself: a delete that came with it would have been seen there.
  watch_ =
      Watch::Open(client_, strand_, key, "", revision,
                  {[look_again](const WatchResponse& response) {
                     if (response.canceled()) return look_again();  // compacted: what was missed shows in a range
                     for (const mvccpb::Event& event : response.events()) {
                       if (event.type() == mvccpb::Event::DELETE) return look_again();
                     }
                   },
                   [this, self = shared_from_this()](const Failure& failure) {
                     watch_.reset();
                     NotDeleted(failure.ok() ? Failure{TENON_UNKNOWN, "lost watcher waiting for delete"} : failure);
                   }});
}

void Conversation::StopWaiting() {
  if (!watch_) return;
  std::exchange(watch_, nullptr)->Close();
  NotDeleted({TENON_CANCELLED, "context canceled"});
}

}  // namespace tenon::concurrency
