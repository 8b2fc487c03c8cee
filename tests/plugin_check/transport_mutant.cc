// A transport with one planted mistake, for tenon-plugin-check to find: transport-h2 between whom and the host
// something goes wrong. MUTANT chooses what.
#include <cstdlib>
#include <cstring>
#include <utility>

#include "plugins/transport-h2/transport.h"
#include "tests/plugin_check/mutant.h"

#define DROPS_LAST 1      // the last message of a stream never goes out
#define IGNORES_CANCEL 2  // a client that goes away is not reported
#define IGNORES_AGAIN 3   // the host is never told to hold
#define CRASHES 4         // the process dies at drain

namespace {

const tenon_transport_v1* Original() {
  return reinterpret_cast<const tenon_transport_v1*>(tenon::transport_h2::kPlugin.modules[0].vt);
}

struct Host {
  tenon_host as_seen;  // first: what the module gets
  const tenon_host* real;
  const tenon_host_dispatch_v1* dispatch;
};
const Host& Of(const tenon_host* host) { return *reinterpret_cast<const Host*>(host); }

// Between the host and the transport's end of a stream.
struct Out {
  tenon_call_out inner;
  tenon_bufs waits{};
  bool has = false;
};

Out& Self(void* self) { return *static_cast<Out*>(self); }

tenon_status Message(void* self, tenon_bufs bufs) {
  Out& out = Self(self);
#if MUTANT == DROPS_LAST
  std::swap(out.waits, bufs);
  const bool first = !out.has;
  out.has = true;
  return first ? static_cast<tenon_status>(TENON_OK) : out.inner.fn->message(out.inner.self, bufs);
#elif MUTANT == IGNORES_AGAIN
  const tenon_status status = out.inner.fn->message(out.inner.self, bufs);
  return status == TENON_AGAIN ? static_cast<tenon_status>(TENON_OK) : status;
#else
  return out.inner.fn->message(out.inner.self, bufs);
#endif
}

const tenon_call_out_v1 kOut = {
    .size = sizeof(tenon_call_out_v1),
    .headers = [](void* self, const tenon_kv* kv,
                  size_t n) { Self(self).inner.fn->headers(Self(self).inner.self, kv, n); },
    .message = Message,
    .readable = [](void* self) { Self(self).inner.fn->readable(Self(self).inner.self); },
    .finish =
        [](void* self, tenon_status status, const tenon_error* error, const tenon_kv* trailers, size_t n) {
          if (Self(self).has) TENON_RELEASE(Self(self).waits);
          Self(self).inner.fn->finish(Self(self).inner.self, status, error, trailers, n);
          delete &Self(self);
        },
};

const tenon_host_dispatch_v1 kDispatch = {
    .size = sizeof(tenon_host_dispatch_v1),
    .method = [](const tenon_host* host, tenon_slice name,
                 uint32_t* flags) { return Of(host).dispatch->method(Of(host).real, name, flags); },
    .unary = [](const tenon_host* host, const tenon_call_info* info, tenon_bufs request,
                tenon_done done) { return Of(host).dispatch->unary(Of(host).real, info, request, done); },
    .unary_cancel =
        [](const tenon_host* host, uint64_t call) {
          if (MUTANT != IGNORES_CANCEL) Of(host).dispatch->unary_cancel(Of(host).real, call);
        },
    .stream = [](const tenon_host* host, const tenon_call_info* info, tenon_call_out out,
                 tenon_call_in* in) -> tenon_status {
      auto* between = new Out{.inner = out};
      const tenon_status status = Of(host).dispatch->stream(Of(host).real, info, {&kOut, between}, in);
      if (status != TENON_OK) delete between;
      return status;
    },
    .http = [](const tenon_host* host, const tenon_http_info* info, tenon_bufs body, tenon_call_out out,
               tenon_call_in* in) { return Of(host).dispatch->http(Of(host).real, info, body, out, in); },
    .descriptors = [](const tenon_host* host) { return Of(host).dispatch->descriptors(Of(host).real); },
};

const void* Get(const tenon_host* host, const char* id) {
  if (strcmp(id, TENON_HOST_DISPATCH) == 0) return &kDispatch;
  return strcmp(id, TENON_HOST_CONFIG) == 0 ? Of(host).real->get(Of(host).real, id) : nullptr;
}

tenon_status Create(const tenon_host* real, const tenon_cfg* config, void** self, tenon_error* error) {
  // As long as the process: the module keeps the host, and a case is a process.
  auto* host = new Host{*real, real, static_cast<const tenon_host_dispatch_v1*>(real->get(real, TENON_HOST_DISPATCH))};
  host->as_seen.get = Get;
  return Original()->m.create(&host->as_seen, config, self, error);
}

void Drain(void* self, int64_t grace_ns, tenon_done done) {
  if (MUTANT == CRASHES) abort();
  Original()->drain(self, grace_ns, done);
}

}  // namespace

TENON_EXPORT const tenon_plugin* tenon_plugin_query_v1(void) TENON_NOEXCEPT {
  static const tenon_transport_v1 table = [] {
    tenon_transport_v1 mutant = *Original();
    mutant.m.create = Create;
    mutant.drain = Drain;
    return mutant;
  }();
  return MutantPlugin(TENON_KIND_TRANSPORT, &table.m);
}
