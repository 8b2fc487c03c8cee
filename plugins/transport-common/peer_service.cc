#include "plugins/transport-common/peer_service.h"

#include <memory>
#include <vector>

#include "plugins/transport-common/abi_error.h"
#include "plugins/transport-common/peer_wire.h"

namespace tenon::transport {
namespace {

enum MethodId : uint32_t { kNone = 0, kMessages = 1, kCall = 2 };

PeerService& Of(const tenon_host* host) { return *static_cast<PeerService*>(host->priv); }

// The kernel knows which calls there are; here a name only has to look like one.
bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
}

Status Refused(std::string text) { return absl::FailedPreconditionError(ToAbsl(text)); }

}  // namespace

struct PeerService::Sender {
  uint64_t cluster_id = 0, member_id = 0;
  std::string remote_addr;

  tenon_peer_from abi() const {
    return {.size = sizeof(tenon_peer_from),
            .flags = 0,
            .cluster_id = cluster_id,
            .member_id = member_id,
            .remote_addr = Slice(remote_addr),
            .cert = nullptr};
  }
};

// One member's messages to us. Its `in` functions come one at a time; Drain may end it beside them.
class PeerService::Stream {
 public:
  Stream(PeerService& service, Sender sender, tenon_call_out out)
      : service_(service), sender_(std::move(sender)), out_(out) {}

  static const tenon_call_in_v1 kIn;

  // What the sender hears once it may send.
  void Accept(uint64_t our_id) {
    const std::string id = PeerId(our_id);
    const tenon_kv from = {Slice(kFromKey), Slice(id)};
    out_.fn->headers(out_.self, &from, 1);
  }

  tenon_status Message(tenon_bufs bufs) {
    if (ended_.load(std::memory_order_acquire)) {
      TENON_RELEASE(bufs);
      return TENON_CANCELLED;
    }
    const auto bytes = static_cast<double>(Length(bufs));
    const tenon_peer_from from = sender_.abi();
    const tenon_status status = service_.peer_->deliver(service_.host_, &from, &bufs, 1);
    if (status != TENON_OK && status != TENON_AGAIN) {
      tenon_error error{.size = sizeof error};
      ToAbi(Status(static_cast<StatusCode>(status), Reason(status)), &error);
      service_.Log(sender_, error.msg);
      End(status, &error);
      return TENON_CANCELLED;
    }
    // Only now: an id that anybody may claim is no reason for a series.
    if (!counted_) received_ = service_.metrics_.From(sender_.member_id);
    counted_ = true;
    service_.metrics_.Add(received_.bytes, bytes);
    if (status == TENON_AGAIN) service_.metrics_.Add(received_.failures, 1);
    return TENON_OK;
  }

  // The first one to end it says how. Behind this the transport may release it.
  void End(tenon_status status, const tenon_error* error) {
    const tenon_call_out out = out_;
    if (!ended_.exchange(true, std::memory_order_acq_rel)) out.fn->finish(out.self, status, error, nullptr, 0);
  }
  // The same for Drain, which holds the lock that keeps the stream alive: true, the caller is to call finish.
  bool Claim(tenon_call_out* out) {
    *out = out_;
    return !ended_.exchange(true, std::memory_order_acq_rel);
  }

 private:
  static const char* Reason(tenon_status status) {
    switch (status) {
      case TENON_NOT_FOUND: return "peer: the sender was removed from this cluster";
      case TENON_PRECONDITION: return "peer: the message is another cluster's";
      case TENON_DENIED: return "peer: the sender's certificate is not accepted";
      default: return "peer: the message was refused";
    }
  }
  void Release() {
    {
      std::lock_guard lock(service_.mutex_);
      service_.streams_.erase(this);
    }
    delete this;
  }

  PeerService& service_;
  const Sender sender_;
  const tenon_call_out out_;
  std::atomic<bool> ended_{false};
  bool counted_ = false;
  PeerMetrics::Received received_;
};

const tenon_call_in_v1 PeerService::Stream::kIn = {
    .size = sizeof(tenon_call_in_v1),
    .message = [](void* self, tenon_bufs bufs) { return static_cast<Stream*>(self)->Message(bufs); },
    .writable = [](void*) {},
    .half_close = [](void* self) { static_cast<Stream*>(self)->End(TENON_OK, nullptr); },
    .cancel = [](void* self) { static_cast<Stream*>(self)->End(TENON_CANCELLED, nullptr); },
    .release = [](void* self) { static_cast<Stream*>(self)->Release(); },
};

PeerService::PeerService(const tenon_host* host, const tenon_host_peer_v1* peer, const PeerMetrics& metrics)
    : host_(host), peer_(peer), metrics_(metrics), refusals_(host) {
  shim_ = *host;
  shim_.size = sizeof shim_;
  shim_.priv = this;
  shim_.get = [](const tenon_host*, const char*) -> const void* { return nullptr; };
}

void PeerService::Log(const Sender& sender, std::string_view why) {
  refusals_.Warn("refused a peer's request", {{"remote-member-id", PeerId(sender.member_id)},
                                              {"remote-cluster-id", PeerId(sender.cluster_id)},
                                              {"remote-addr", sender.remote_addr},
                                              {"error", std::string(why)}});
}

Result<PeerService::Sender> PeerService::Admit(const tenon_call_info& info, bool messages) {
  Sender sender;
  if (info.cred != nullptr) sender.remote_addr = Text(info.cred->remote_addr);
  std::optional<uint64_t> cluster, from, to;
  for (size_t i = 0; i < info.n_meta; ++i) {
    const std::string_view key = View(info.meta[i].key), value = View(info.meta[i].val);
    if (key == kClusterKey) cluster = ParsePeerId(value);
    if (key == kFromKey) from = ParsePeerId(value);
    if (key == kToKey) to = ParsePeerId(value);
  }
  sender.cluster_id = cluster.value_or(0);
  sender.member_id = from.value_or(0);
  const auto judge = [&]() -> Status {
    if (!cluster || !from || !to) {
      return absl::InvalidArgumentError(ToAbsl(
          fmt::format("peer: the request has to say {}, {} and {}, in hexadecimal", kClusterKey, kFromKey, kToKey)));
    }
    uint64_t our_cluster = 0, our_id = 0;
    peer_->self(host_, &our_cluster, &our_id);
    if (messages && (*from == 0 || *to == 0)) return Refused("peer: messages are from a member, to a member");
    if (messages && our_cluster == 0) return absl::UnavailableError("peer: this member does not know its cluster yet");
    // Who joins knows nobody's id; and whoever has an id knows which cluster it is of.
    if (our_cluster != 0 && *cluster != our_cluster && (*cluster != 0 || *from != 0)) {
      return Refused(fmt::format("peer: cluster ID mismatch: this is a member of {:x}", our_cluster));
    }
    if (*to != 0 && *to != our_id) {
      return Refused(fmt::format("peer: the request is for member {:x}, this is {:x}", *to, our_id));
    }
    std::lock_guard lock(mutex_);
    return draining_ ? absl::UnavailableError("peer: this member is stopping") : Ok();
  };
  const Status verdict = judge();
  if (verdict.ok()) return sender;
  if (!absl::IsUnavailable(verdict)) Log(sender, tenon::Message(verdict));
  return verdict;
}

uint64_t PeerService::Unary(const tenon_call_info& info, tenon_bufs request, tenon_done done) {
  if (View(info.name) == kPeerPing) {  // whoever asks, and whatever we are about to do: the way is whole
    TENON_RELEASE(request);
    done.fn(done.ctx, TENON_OK, nullptr, {});
    return 0;
  }
  const Result<Sender> sender = Admit(info, false);
  if (!sender.ok()) {
    TENON_RELEASE(request);
    tenon_error error{.size = sizeof error};
    const tenon_status status = ToAbi(sender.status(), &error);
    done.fn(done.ctx, status, &error, {});
    return 0;
  }
  const tenon_peer_from from = sender->abi();
  peer_->call(host_, &from, Slice(View(info.name).substr(kPeerService.size())), request, done);
  return 1;  // there is nothing to cancel: whoever asked waits no longer, and the kernel answers soon
}

tenon_status PeerService::Open(const tenon_call_info& info, tenon_call_out out, tenon_call_in* in) {
  Result<Sender> sender = Admit(info, true);
  // Refused with its text, which a status of this function does not carry: as a stream that ends at once.
  const Status verdict = sender.status();
  auto* stream = new Stream(*this, sender.ok() ? *std::move(sender) : Sender(), out);
  *in = {&Stream::kIn, stream};
  if (!verdict.ok()) {
    tenon_error error{.size = sizeof error};
    const tenon_status status = ToAbi(verdict, &error);
    stream->End(status, &error);
    return TENON_OK;
  }
  uint64_t our_cluster = 0, our_id = 0;
  peer_->self(host_, &our_cluster, &our_id);
  stream->Accept(our_id);
  bool draining;
  {
    std::lock_guard lock(mutex_);
    draining = draining_;
    if (!draining) streams_.insert(stream);
  }
  if (draining) stream->End(TENON_UNAVAILABLE, nullptr);
  return TENON_OK;
}

void PeerService::Drain() {
  std::vector<tenon_call_out> open;
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
    tenon_call_out out;
    for (Stream* stream : streams_) {
      if (stream->Claim(&out)) open.push_back(out);
    }
  }
  tenon_error error{.size = sizeof error};
  const tenon_status status = ToAbi(absl::UnavailableError("peer: this member is stopping"), &error);
  for (const tenon_call_out& out : open) out.fn->finish(out.self, status, &error, nullptr, 0);
}

const tenon_host_dispatch_v1 PeerService::kDispatch = {
    .size = sizeof(tenon_host_dispatch_v1),
    .method = [](const tenon_host*, tenon_slice path, uint32_t* flags) -> uint32_t {
      const std::string_view name = View(path);
      *flags = 0;
      if (name == kPeerMessages) {
        *flags = TENON_METHOD_CLIENT_STREAM;
        return kMessages;
      }
      return name.starts_with(kPeerService) && IsName(name.substr(kPeerService.size())) ? kCall : kNone;
    },
    .unary = [](const tenon_host* host, const tenon_call_info* info, tenon_bufs request,
                tenon_done done) { return Of(host).Unary(*info, request, done); },
    .unary_cancel = [](const tenon_host*, uint64_t) {},
    .stream = [](const tenon_host* host, const tenon_call_info* info, tenon_call_out out,
                 tenon_call_in* in) { return Of(host).Open(*info, out, in); },
    .http = nullptr,
    .descriptors = nullptr,
};

}  // namespace tenon::transport
