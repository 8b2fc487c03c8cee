#include "plugins/transport-grpc/peer_module.h"

#include <algorithm>

#include "plugins/transport-common/peer_log.h"
#include "plugins/transport-common/peer_table.h"
#include "plugins/transport-common/peer_wire.h"

namespace tenon::transport_grpc {
namespace {

// One thread for both directions: what a member sends and what it is sent are answers to each other.
Options ServerOptions() {
  Options options;
  options.threads = 1;
  options.max_request_bytes = transport::kMaxPeerMessage;
  options.any_pings = true;  // peers ask each other all the time whether they are there
  options.keepalive_interval_ns = options.keepalive_timeout_ns = static_cast<int64_t>(transport::kSilenceNs);
  options.stream_window_bytes = transport::kPeerStreamWindow;
  return options;
}

}  // namespace

PeerModule::PeerModule(const tenon_host* host, const tenon_host_peer_v1* peer)
    : metrics_(host),
      service_(host, peer, metrics_),
      client_(host, peer, metrics_),
      server_(service_.host(), &transport::PeerService::kDispatch, ServerOptions()) {}

Status PeerModule::Check(const tenon_listener* listeners, size_t n) const {
  return transport::CheckPeerListeners(kName, listeners, n,
                                       [](const tenon_listener& one) { return Transport::Check(&one, 1); });
}

Result<uint32_t> PeerModule::Listen(const tenon_listener& listener) {
  RETURN_IF_ERROR(Check(&listener, 1));
  return server_.Listen(transport::AsGrpcListener(listener));
}

Status PeerModule::Start() {
  RETURN_IF_ERROR(server_.Start());
  loop_.Start(server_.queue());
  client_.Start(loop_);
  started_ = true;
  return Ok();
}

void PeerModule::DrainOurs(int64_t grace_ns) {
  if (!started_) return;
  client_.Drain();
  service_.Drain();
  loop_.Drain(transport::MonoNs() + static_cast<uint64_t>(std::max<int64_t>(grace_ns, 0)));
}

void PeerModule::Drain(int64_t grace_ns, tenon_done done) {
  DrainOurs(grace_ns);
  server_.Drain(grace_ns, done);
}

void PeerModule::Stop() {
  DrainOurs(0);
  server_.Stop();
  if (started_) loop_.Finish();
  started_ = false;
}

const tenon_peer_v1 kPeerTable = transport::PeerTable<PeerModule>::Make();

}  // namespace tenon::transport_grpc
