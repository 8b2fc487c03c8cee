#include "plugins/transport-h2/replies.h"

#include <algorithm>

#include "kernel/base/check.h"
#include "plugins/transport-common/slice.h"

namespace tenon::transport_h2 {

using transport::Text;

const tenon_call_out_v1 Replies::kOut = {
    .size = sizeof(tenon_call_out_v1),
    .headers = [](void* self, const tenon_kv* kv, size_t n) { static_cast<Replies*>(self)->Headers(kv, n); },
    .message = [](void* self, tenon_bufs bufs) { return static_cast<Replies*>(self)->Message(bufs); },
    .readable = [](void* self) { static_cast<Replies*>(self)->Readable(); },
    .finish = [](void* self, tenon_status status, const tenon_error* error, const tenon_kv* trailers,
                 size_t n) { static_cast<Replies*>(self)->Finish(status, error, trailers, n); },
};

namespace {

Fields Copy(const tenon_kv* kv, size_t n) {
  Fields fields;
  fields.reserve(n);
  for (size_t i = 0; i < n; ++i) fields.emplace_back(Text(kv[i].key), Text(kv[i].val));
  return fields;
}

}  // namespace

void Replies::Begin(bool framed, size_t budget) {
  framed_ = framed;
  budget_ = budget;
}

void Replies::Reset() {
  CHECK(waiting_.empty() && arrived_.empty());
  bytes_ = queued_ = 0;
  headers_.clear();
  new_headers_.clear();
  end_ = End();
  news_ = News();
  posted_ = dead_ = finishing_ = inside_used_ = holding_ = false;
}

// ---- the loop's end -------------------------------------------------------------------------------------------------

Replies::News Replies::Take() {
  ReplyQueue arrived;
  News news;
  {
    std::lock_guard lock(mutex_);
    posted_ = false;
    std::swap(news, news_);
    std::swap(arrived, arrived_);
    if (news.headers) headers_.swap(new_headers_);
    if (news.finished) end_ = std::move(new_end_);
  }
  while (!arrived.empty()) Wait(arrived.Pop());
  return news;
}

void Replies::Wait(Reply* reply) {
  reply->Hold();
  if (reply->home != nullptr) reply->home->Hold();
  if (reply->bytes == 0) return reply->Drop();
  bytes_ += reply->bytes;
  waiting_.Push(reply);
}

void Replies::Add(tenon_bufs bufs) { Wait(NewReply(bufs)); }

void Replies::Send(size_t n, Output* output) {
  CHECK_LE(n, bytes_);
  bytes_ -= n;
  for (size_t left = n; left > 0;) {
    Reply* reply = waiting_.first;
    size_t take = std::min(left, reply->bytes);
    output->Take(reply, take);
    left -= take;
    if (reply->bytes == 0) waiting_.Pop()->Drop();
  }
  if (budget_ == 0) return;
  bool post = false;
  {
    std::lock_guard lock(mutex_);
    queued_ -= n;
    if (holding_ && !finishing_ && queued_ <= budget_ / 2) {
      holding_ = false;
      news_.writable = true;
      post = !std::exchange(posted_, true);
    }
  }
  if (post) loop_.Post(owner_);
}

void Replies::Kill() {
  ReplyQueue arrived;
  {
    std::lock_guard lock(mutex_);
    dead_ = true;
    holding_ = false;
    std::swap(arrived, arrived_);
  }
  while (!arrived.empty()) Wait(arrived.Pop());  // so that each is dropped in the same way
  while (!waiting_.empty()) waiting_.Pop()->Drop();
  bytes_ = 0;
}

Reply* Replies::NewReply(tenon_bufs bufs) {
  Reply* reply;
  if (inside_used_) {
    reply = new Reply;
  } else {
    inside_used_ = true;
    reply = &inside_;
    reply->home = owner_;
  }
  reply->Set(bufs, framed_);
  return reply;
}

// ---- the host's end -------------------------------------------------------------------------------------------------

void Replies::Headers(const tenon_kv* kv, size_t n) {
  Fields fields = Copy(kv, n);
  bool post;
  {
    std::lock_guard lock(mutex_);
    if (dead_ || finishing_) return;
    new_headers_ = std::move(fields);
    news_.headers = true;
    post = !std::exchange(posted_, true);
  }
  if (post) loop_.Post(owner_);
}

tenon_status Replies::Message(tenon_bufs bufs) {
  bool hold, post;
  {
    std::unique_lock lock(mutex_);
    if (dead_ || finishing_) {
      lock.unlock();
      TENON_RELEASE(bufs);
      return TENON_CANCELLED;
    }
    Reply* reply = NewReply(bufs);
    arrived_.Push(reply);
    queued_ += reply->bytes;
    hold = queued_ > budget_;
    holding_ |= hold;
    post = !std::exchange(posted_, true);
  }
  if (post) loop_.Post(owner_);
  return hold ? TENON_AGAIN : TENON_OK;
}

void Replies::Readable() {
  bool post;
  {
    std::lock_guard lock(mutex_);
    if (dead_ || finishing_) return;
    news_.readable = true;
    post = !std::exchange(posted_, true);
  }
  if (post) loop_.Post(owner_);
}

void Replies::Finish(tenon_status status, const tenon_error* error, const tenon_kv* trailers, size_t n) {
  End end{status, status == TENON_OK || error == nullptr ? "" : error->msg, Copy(trailers, n)};
  bool post;
  {
    std::lock_guard lock(mutex_);
    new_end_ = std::move(end);
    finishing_ = true;
    news_.finished = true;
    post = !std::exchange(posted_, true);
  }
  if (post) loop_.Post(owner_);  // behind this the owner may serve another call
}

}  // namespace tenon::transport_h2
