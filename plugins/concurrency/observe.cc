#include "plugins/concurrency/observe.h"

#include <utility>

#include "plugins/concurrency/requests.h"
#include "proto/v3election.pb.h"

namespace tenon::concurrency {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

namespace {
Observe& Of(void* self) { return *static_cast<Observe*>(self); }
const Failure kCancelled = {TENON_CANCELLED, "context canceled"};
}  // namespace

const tenon_call_in_v1 Observe::kIn = {
    sizeof(tenon_call_in_v1),
    [](void* self, tenon_bufs message) -> tenon_status {
      Of(self).strand_->Post([o = Of(self).shared_from_this(), bytes = FromBufs(message)] { o->Start(bytes); });
      return TENON_OK;
    },
    [](void* self) {
      Of(self).strand_->Post([o = Of(self).shared_from_this()] {
        o->slow_ = false;
        if (o->watch_) o->watch_->Hold(false);
      });
    },
    [](void* self) {
      Of(self).strand_->Post([o = Of(self).shared_from_this()] {
        if (!o->asked_) o->Finish({TENON_INTERNAL, "etcdserver: Observe takes one request"});
      });
    },
    [](void* self) { Of(self).Cancel(); },
    // The last one out: `held` dies at the end of this function.
    [](void* self) { const std::shared_ptr<Observe> held = std::move(Of(self).held_by_client_); },
};

Observe::Observe(Client& client, tenon_call_out out)
    : client_(client), strand_(std::make_shared<Strand>(client)), out_(out) {}

void Observe::Open(tenon_call_in* in) {
  held_by_client_ = self_ = shared_from_this();
  client_.Began();
  *in = {&kIn, this};
}

void Observe::Cancel() {
  strand_->Post([o = shared_from_this()] { o->Finish(kCancelled); });
}

void Observe::Finish(const Failure& failure) {
  if (std::exchange(finished_, true)) return;
  StopWatching();
  if (failure.ok()) {
    out_.fn->finish(out_.self, TENON_OK, nullptr, nullptr, 0);
  } else {
    tenon_error error{};
    error.size = sizeof error;
    sdk::Fail(&error, failure.code, failure.text.c_str());
    out_.fn->finish(out_.self, failure.code, &error, nullptr, 0);
  }
  client_.Ended();
  self_.reset();
}

void Observe::StopWatching() {
  if (watch_) std::exchange(watch_, nullptr)->Close();
}

void Observe::Start(const std::string& bytes) {
  if (std::exchange(asked_, true)) return;
  v3electionpb::LeaderRequest request;
  if (!request.ParseFromString(bytes)) return Finish(CannotParse());
  prefix_ = request.name() + "/";
  FindLeader();
}

void Observe::FindLeader() {
  StopWatching();
  client_.Ask("/etcdserverpb.KV/Range", FirstCreated(prefix_),
              [o = shared_from_this()](const Failure& failure, const std::string& reply) {
                o->strand_->Post([o, failure, reply] {
                  if (o->finished_) return;
                  RangeResponse found;
                  // As in etcd: an observer that cannot go on ends without a word, and the client begins anew.
                  if (!failure.ok() || !found.ParseFromString(reply)) return o->Finish({});
                  if (found.kvs().empty()) return o->AwaitLeader(found.header().revision());
                  o->Send(found.header(), found.kvs(0));
                  o->Follow(found.kvs(0).key(), found.header().revision() + 1);
                });
              });
}

// Nobody leads: the first key that is put under the prefix is a leader's.
void Observe::AwaitLeader(int64_t revision) {
  watch_ = Watch::Open(client_, strand_, prefix_, PrefixEnd(prefix_), revision,
                       {[this, o = shared_from_this()](const WatchResponse& response) {
                          if (response.canceled()) return FindLeader();  // compacted
                          for (const mvccpb::Event& event : response.events()) {
                            if (event.type() != mvccpb::Event::PUT) continue;
                            const mvccpb::KeyValue kv = event.kv();
                            ResponseHeader header = response.header();
                            header.set_revision(kv.mod_revision());
                            Send(header, kv);
                            StopWatching();
                            return Follow(kv.key(), kv.mod_revision() + 1);
                          }
                        },
                        [this, o = shared_from_this()](const Failure&) {
                          watch_.reset();
                          Finish({});
                        }});
  watch_->Hold(slow_);
}

// The leader's key, until it goes.
void Observe::Follow(const std::string& key, int64_t revision) {
  watch_ = Watch::Open(client_, strand_, key, "", revision,
                       {[this, o = shared_from_this()](const WatchResponse& response) {
                          if (response.canceled()) return FindLeader();
                          for (const mvccpb::Event& event : response.events()) {
                            if (event.type() == mvccpb::Event::DELETE) return FindLeader();
                            Send(response.header(), event.kv());
                          }
                        },
                        [this, o = shared_from_this()](const Failure&) {
                          watch_.reset();
                          Finish({});
                        }});
  watch_->Hold(slow_);
}

void Observe::Send(const ResponseHeader& header, const mvccpb::KeyValue& kv) {
  if (finished_) return;
  v3electionpb::LeaderResponse response;
  *response.mutable_header() = header;
  *response.mutable_kv() = kv;
  if (out_.fn->message(out_.self, ToBufs(response.SerializeAsString())) == TENON_AGAIN) {
    slow_ = true;
    if (watch_) watch_->Hold(true);
  }
}

}  // namespace tenon::concurrency
