// The table of a peer module, and what such modules check alike.
//
// Module: constructed from the host and its TENON_HOST_PEER; Check, Listen, BoundUrl, client(), Start, Drain and Stop
// as PeerModule of the transports has them; kName.
#pragma once
#include <exception>

#include "plugins/transport-common/abi_error.h"
#include "plugins/transport-common/peer_client.h"
#include "plugins/transport-common/slice.h"
#include "tenon/abi/peer.h"

namespace tenon::transport {

// A listener of members as one of clients, which is what the transport's server takes.
inline tenon_listener AsGrpcListener(const tenon_listener& listener) {
  tenon_listener grpc = listener;
  grpc.roles = TENON_LISTEN_GRPC;
  grpc.size = sizeof grpc;
  return grpc;
}

// `server`: the server's own check of one listener.
template <class F>
Status CheckPeerListeners(const char* name, const tenon_listener* listeners, size_t n, F server) {
  auto* at = reinterpret_cast<const char*>(listeners);
  for (size_t i = 0; i < n; ++i, at += listeners->size) {
    const auto& listener = *reinterpret_cast<const tenon_listener*>(at);
    if (listener.roles != TENON_LISTEN_PEER) {
      return absl::UnimplementedError(ToAbsl(
          fmt::format("{} serves members only: not roles {:#x} of {}", name, listener.roles, View(listener.url))));
    }
    RETURN_IF_ERROR(server(AsGrpcListener(listener)));
  }
  return Ok();
}

// Nothing may unwind across the border.
template <class Module>
struct PeerTable {
  static Module& Self(void* self) { return *static_cast<Module*>(self); }

  template <class F>
  static tenon_status Guarded(tenon_error* error, F body) {
    try {
      return ToAbi(body(), error);
    } catch (const std::exception& e) {
      return ToAbi(absl::InternalError(ToAbsl(fmt::format("{}: {}", Module::kName, e.what()))), error);
    }
  }

  static constexpr tenon_peer_v1 Make() {
    return {
        .m = {.size = sizeof(tenon_peer_v1),
              .minor = 0,
              .flags = 0,
              .features = 0,
              .create =
                  [](const tenon_host* host, const tenon_cfg*, void** self, tenon_error* error) {
                    return Guarded(error, [&]() -> Status {
                      auto* peer = static_cast<const tenon_host_peer_v1*>(host->get(host, TENON_HOST_PEER));
                      if (peer == nullptr) {
                        return absl::UnimplementedError(
                            ToAbsl(fmt::format("{}: this kernel offers no {}", Module::kName, TENON_HOST_PEER)));
                      }
                      *self = new Module(host, peer);
                      return Ok();
                    });
                  },
              .start = [](void* self,
                          tenon_error* error) { return Guarded(error, [&] { return Self(self).Start(); }); },
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
        .call =
            [](void* self, uint64_t to, tenon_slice url, tenon_slice method, tenon_bufs request, int64_t timeout_ns,
               tenon_done done) { Self(self).client().Call(to, View(url), View(method), request, timeout_ns, done); },
        .active_since_ns = [](void* self, uint64_t id) { return Self(self).client().ActiveSinceNs(id); },
        .drain = [](void* self, int64_t grace_ns, tenon_done done) { Self(self).Drain(grace_ns, done); },
        .reload_tls = nullptr,
    };
  }
};

}  // namespace tenon::transport
