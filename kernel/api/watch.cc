// Watch: requests go to the hub (kernel/mvcc/watch_hub.h), which answers on its own thread.
#include <cstring>
#include <new>

#include "kernel/api/server.h"
#include "kernel/base/check.h"
#include "kernel/base/coding.h"
#include "kernel/base/errors.h"
#include "kernel/mvcc/fragments.h"
#include "kernel/mvcc/watch_hub.h"

namespace tenon::api {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

// etcd allows a response so much more than a request before it is split.
constexpr size_t kOverhead = 512 * 1024;

mvcc::WatchRequest FromProto(const WatchCreateRequest& r) {
  mvcc::WatchRequest out;
  out.range = {r.key().empty() ? std::string(1, '\0') : r.key(), r.range_end()};
  out.start = r.start_revision();
  out.id = r.watch_id();
  out.prev_kv = r.prev_kv();
  out.progress = r.progress_notify();
  out.fragment = r.fragment();
  for (const int filter : r.filters()) {
    out.no_put = out.no_put || filter == WatchCreateRequest::NOPUT;
    out.no_delete = out.no_delete || filter == WatchCreateRequest::NODELETE;
  }
  return out;
}

// A message of two parts in one allocation: `head`, and `body`, which is shared.
Bufs Message(std::string_view head, const Block& body) {
  struct Shared {
    tenon_slice parts[2];
    Block body;
  };
  static constexpr size_t kCopyUpTo = 1024;  // a part of its own costs more
  if (body.size() <= kCopyUpTo) {
    const size_t size = head.size() + body.size();
    void* memory = ::operator new(sizeof(tenon_slice) + size);
    auto* bytes = static_cast<char*>(memory) + sizeof(tenon_slice);
    std::memcpy(bytes, head.data(), head.size());
    if (body) std::memcpy(bytes + head.size(), body.view().data(), body.size());
    auto* part = new (memory) tenon_slice{reinterpret_cast<const uint8_t*>(bytes), size};
    return Bufs({part, 1, memory, [](void* m) { ::operator delete(m); }});
  }
  void* memory = ::operator new(sizeof(Shared) + head.size());
  auto* bytes = static_cast<char*>(memory) + sizeof(Shared);
  std::memcpy(bytes, head.data(), head.size());
  auto* shared = new (memory) Shared{{}, body};
  shared->parts[0] = {reinterpret_cast<const uint8_t*>(bytes), head.size()};
  shared->parts[1] = {reinterpret_cast<const uint8_t*>(body.view().data()), body.size()};
  return Bufs({shared->parts, 2, shared, [](void* m) {
                 static_cast<Shared*>(m)->~Shared();
                 ::operator delete(m);
               }});
}

// Everything of a WatchResponse but its events, which are the last field.
class Head {
 public:
  Head(const mvcc::WatchResponse& r, apply::ResponseHeader header, bool fragment) {
    header.revision = r.revision;
    Int(kHeader, Size(header));
    Int(0x08, header.cluster_id);
    Int(0x10, header.member_id);
    Int(0x18, static_cast<uint64_t>(header.revision));
    Int(0x20, header.raft_term);
    Int(0x10, static_cast<uint64_t>(r.id));
    Int(0x18, r.created);
    Int(0x20, r.canceled);
    Int(0x28, static_cast<uint64_t>(r.compact_revision));
    if (!r.cancel_reason.empty()) {
      Int(0x32, r.cancel_reason.size());
      CHECK_LE(r.cancel_reason.size(), sizeof bytes_ - size());
      to_ += r.cancel_reason.copy(to_, r.cancel_reason.size());
    }
    Int(0x38, fragment);
  }
  std::string_view view() const { return {bytes_, size()}; }

 private:
  static constexpr uint8_t kHeader = 0x0a;
  size_t size() const { return static_cast<size_t>(to_ - bytes_); }
  static size_t Size(uint64_t value) { return value == 0 ? 0 : 1 + VarintSize(value); }
  static uint64_t Size(const apply::ResponseHeader& h) {
    return Size(h.cluster_id) + Size(h.member_id) + Size(static_cast<uint64_t>(h.revision)) + Size(h.raft_term);
  }
  void Int(uint8_t tag, uint64_t value) {  // as protobuf: a zero is left out, but for a length
    if (value == 0 && (tag & 7) == 0) return;
    *to_++ = static_cast<char>(tag);
    to_ = PutVarint(to_, value);
  }
  char bytes_[224];
  char* to_ = bytes_;
};

class WatchCall : public ServerCall, public mvcc::WatchStream {
 public:
  WatchCall(Server& server, mvcc::WatchHub& hub) : server_(server), hub_(hub) {}

 private:
  // ---- the client's side; any thread ----

  bool OnMessage(Bufs message) override {
    if (!std::exchange(opened_, true)) hub_.Open(Self());
    std::string scratch;
    const std::string_view bytes = message.Flatten(scratch);
    etcdserverpb::WatchRequest request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      hub_.Close(Self(), CannotParse());
      return true;
    }
    const size_t waiting = waiting_.fetch_add(1) + 1;
    if (request.has_create_request()) {
      hub_.Create(Self(), FromProto(request.create_request()));
    } else if (request.has_cancel_request()) {
      hub_.Cancel(Self(), request.cancel_request().watch_id());
    } else if (request.has_progress_request()) {
      hub_.Progress(Self());
    } else {
      hub_.Ignore(Self());
    }
    if (waiting < kMostWaiting) return true;
    held_ = true;
    return waiting_ <= kFewWaiting && held_.exchange(false);  // they may have been handled before that was seen
  }
  void OnWritable() override { hub_.Writable(Self()); }
  void OnAbort(const Status& why) override {
    if (!std::exchange(opened_, true)) hub_.Open(Self());
    hub_.Close(Self(), why);
  }

  // ---- the hub's side; its thread ----

  bool Send(const mvcc::WatchResponse& r) override {
    const apply::ResponseHeader header = server_.Header();
    const size_t limit = server_.limits.max_request_bytes + kOverhead;
    if (!r.may_split || r.events.size() + Head(r, header, false).view().size() < limit) {
      return ServerCall::Send(Message(Head(r, header, false).view(), r.events));
    }
    bool go_on = true;
    const size_t head = Head(r, header, true).view().size();
    for (std::string_view rest = r.events.view(); !rest.empty();) {
      const size_t size = mvcc::EncodedEventsWithin(rest, limit - head - 1);
      const Head part(r, header, size < rest.size());
      go_on = ServerCall::Send(Message(part.view(), Block::Copy(rest.substr(0, size))));
      rest.remove_prefix(size);
    }
    return go_on;
  }
  void Handled(size_t requests) override {
    if (waiting_.fetch_sub(requests) - requests <= kFewWaiting && held_.exchange(false)) Readable();
  }
  void End(const Status& status) override { Finish(status); }

  std::shared_ptr<mvcc::WatchStream> Self() { return std::static_pointer_cast<WatchCall>(shared_from_this()); }

  static constexpr size_t kMostWaiting = 64, kFewWaiting = 16;
  Server& server_;
  mvcc::WatchHub& hub_;
  bool opened_ = false;             // [client]
  std::atomic<size_t> waiting_{0};  // requests that the hub has not dealt with
  std::atomic<bool> held_{false};   // the client holds the next ones
};

}  // namespace

void RegisterWatch(Dispatcher& d, Server& server, mvcc::WatchHub& hub) {
  d.AddStream("/etcdserverpb.Watch/Watch", TENON_METHOD_CLIENT_STREAM | TENON_METHOD_SERVER_STREAM,
              [&server, &hub] { return std::make_shared<WatchCall>(server, hub); });
}

}  // namespace tenon::api
