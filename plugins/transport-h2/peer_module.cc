#include "plugins/transport-h2/peer_module.h"

#include "plugins/transport-common/abi_error.h"
#include "plugins/transport-common/peer_wire.h"
#include "plugins/transport-common/slice.h"

namespace tenon::transport_h2 {

using transport::ToAbi;
using transport::View;

namespace {

// One loop for both directions: what a member sends and what it is sent are answers to each other.
Options ServerOptions() {
  Options options;
  options.loops = 1;
  options.max_request_bytes = transport::kMaxPeerMessage;
  options.keepalive_min_time_ns = 0;  // peers ask each other all the time whether they are there
  options.keepalive_interval_ns = options.keepalive_timeout_ns = static_cast<int64_t>(transport::kSilenceNs);
  options.stream_window_bytes = transport::kPeerStreamWindow;
  return options;
}

Status Unimplemented(std::string text) { return absl::UnimplementedError(ToAbsl(text)); }

}  // namespace

Result<std::unique_ptr<PeerModule>> PeerModule::Create(const tenon_host* host) {
  auto* peer = static_cast<const tenon_host_peer_v1*>(host->get(host, TENON_HOST_PEER));
  if (peer == nullptr) return Unimplemented("peer-h2: this kernel offers no " TENON_HOST_PEER);
  return std::unique_ptr<PeerModule>(new PeerModule(host, peer));
}

PeerModule::PeerModule(const tenon_host* host, const tenon_host_peer_v1* peer)
    : metrics_(host),
      service_(host, peer, metrics_),
      client_(host, peer, metrics_),
      server_(service_.host(), &transport::PeerService::kDispatch, ServerOptions(), "peer") {}

Status PeerModule::Check(const tenon_listener* listeners, size_t n) const {
  auto* at = reinterpret_cast<const char*>(listeners);
  for (size_t i = 0; i < n; ++i, at += listeners->size) {
    const auto& listener = *reinterpret_cast<const tenon_listener*>(at);
    if (listener.roles != TENON_LISTEN_PEER) {
      return Unimplemented(
          fmt::format("peer-h2 serves members only: not roles {:#x} of {}", listener.roles, View(listener.url)));
    }
    tenon_listener grpc = listener;
    grpc.roles = TENON_LISTEN_GRPC;
    grpc.size = sizeof grpc;
    RETURN_IF_ERROR(server_.Check(&grpc, 1));
  }
  return Ok();
}

Result<uint32_t> PeerModule::Listen(const tenon_listener& listener) {
  RETURN_IF_ERROR(Check(&listener, 1));
  tenon_listener grpc = listener;
  grpc.roles = TENON_LISTEN_GRPC;
  grpc.size = sizeof grpc;
  return server_.Listen(grpc);
}

Status PeerModule::Start() {
  RETURN_IF_ERROR(server_.Start());
  client_.Start(server_.loop());
  started_ = true;
  return Ok();
}

void PeerModule::Drain(int64_t grace_ns, tenon_done done) {
  if (started_ && !draining_) {
    draining_ = true;
    client_.Drain();
    service_.Drain();
  }
  server_.Drain(grace_ns, done);
}

void PeerModule::Stop() {
  if (started_ && !draining_) {
    client_.Drain();
    service_.Drain();
  }
  started_ = false;
  server_.Stop();
}

// ---- the table ------------------------------------------------------------------------------------------------------

namespace {

PeerModule& Self(void* self) { return *static_cast<PeerModule*>(self); }

// Nothing may unwind across the border.
template <class F>
tenon_status Guarded(tenon_error* error, F body) {
  try {
    return ToAbi(body(), error);
  } catch (const std::exception& e) {
    return ToAbi(absl::InternalError(ToAbsl(fmt::format("peer-h2: {}", e.what()))), error);
  }
}

}  // namespace

const tenon_peer_v1 kPeerTable = {
    .m = {.size = sizeof(tenon_peer_v1),
          .minor = 0,
          .flags = 0,
          .features = 0,
          .create =
              [](const tenon_host* host, const tenon_cfg*, void** self, tenon_error* error) {
                return Guarded(error, [&]() -> Status {
                  ASSIGN_OR_RETURN(auto made, PeerModule::Create(host));
                  *self = made.release();
                  return Ok();
                });
              },
          .start = [](void* self, tenon_error* error) { return Guarded(error, [&] { return Self(self).Start(); }); },
          .stop = [](void* self) { Self(self).Stop(); },
          .destroy = [](void* self) { delete &Self(self); }},
    .check = [](void* self, const tenon_listener* listeners, size_t n,
                tenon_error* error) { return Guarded(error, [&] { return Self(self).Check(listeners, n); }); },
    .listen =
        [](void* self, const tenon_listener* listener, uint32_t* id, tenon_error* error) {
          return Guarded(error, [&]() -> Status {
            ASSIGN_OR_RETURN(*id, Self(self).Listen(*listener));
            return Ok();
          });
        },
    .bound_url = [](void* self, uint32_t id) { return Self(self).BoundUrl(id); },
    .set_peer =
        [](void* self, uint64_t id, const tenon_slice* urls, size_t n, tenon_error* error) {
          return Guarded(error, [&] { return Self(self).client().SetPeer(id, urls, n); });
        },
    .send = [](void* self, tenon_peer_msg* messages, size_t n) { Self(self).client().Send(messages, n); },
    .call = [](void* self, uint64_t to, tenon_slice url, tenon_slice method, tenon_bufs request, int64_t timeout_ns,
               tenon_done done) { Self(self).client().Call(to, View(url), View(method), request, timeout_ns, done); },
    .active_since_ns = [](void* self, uint64_t id) { return Self(self).client().ActiveSinceNs(id); },
    .drain = [](void* self, int64_t grace_ns, tenon_done done) { Self(self).Drain(grace_ns, done); },
    .reload_tls = nullptr,
};

}  // namespace tenon::transport_h2
