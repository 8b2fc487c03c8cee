#include "kernel/listeners.h"

#include "kernel/base/log.h"
#include "kernel/storage/engine.h"

namespace tenon {
namespace {

tenon_status Ask(const std::vector<Listener>& listeners, const tenon_transport_v1& transport, void* self,
                 tenon_error& error) {
  error = {};
  error.size = sizeof error;
  std::vector<tenon_listener> raw;
  for (const Listener& l : listeners) raw.push_back(ToAbi(l));
  return transport.check(self, raw.data(), raw.size(), &error);
}

}  // namespace

std::vector<Listener> WantedListeners(const Config& config) {
  std::vector<Listener> all;
  const auto add = [&](const std::vector<Url>& urls, uint32_t roles) {
    for (const Url& url : urls) all.push_back({url.text, roles});
  };
  const bool split = !config.listen_client_http_urls.empty();
  add(config.listen_client_urls, TENON_LISTEN_GRPC | (split ? 0u : uint32_t{TENON_LISTEN_HTTP}));
  add(config.listen_client_http_urls, TENON_LISTEN_HTTP);
  add(config.listen_metrics_urls, TENON_LISTEN_METRICS);
  return all;
}

tenon_listener ToAbi(const Listener& listener) {
  tenon_listener raw{};
  raw.size = sizeof raw;
  raw.roles = listener.roles;
  raw.fd = -1;
  raw.url = storage::Slice(listener.url);
  return raw;
}

Result<std::vector<Listener>> AgreedListeners(const Config& config, const tenon_transport_v1& transport, void* self) {
  std::vector<Listener> listeners = WantedListeners(config);
  tenon_error error;
  tenon_status answer = Ask(listeners, transport, self, error);
  if (answer == TENON_UNIMPLEMENTED && config.listen_client_http_urls.empty()) {
    for (Listener& l : listeners) {
      if (l.roles & TENON_LISTEN_GRPC) l.roles = TENON_LISTEN_GRPC;
    }
    answer = Ask(listeners, transport, self, error);
    if (answer == TENON_OK) {
      LOG_WARN("the transport speaks gRPC only: /health, /metrics and /version are not served on the client URLs",
               {"transport", config.modules.transports[0].use});
    }
  }
  if (answer != TENON_OK) return storage::ToStatus(answer, &error, "transport: check");
  return listeners;
}

}  // namespace tenon
