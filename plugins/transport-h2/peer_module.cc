#include "plugins/transport-h2/peer_module.h"

#include "plugins/transport-common/peer_table.h"
#include "plugins/transport-common/peer_wire.h"
#include "plugins/transport-h2/peer_call.h"
#include "plugins/transport-h2/peer_link.h"

namespace tenon::transport_h2 {
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

}  // namespace

PeerModule::PeerModule(const tenon_host* host, const tenon_host_peer_v1* peer)
    : metrics_(host),
      service_(host, peer, metrics_),
      client_(host, peer, metrics_),
      server_(service_.host(), &transport::PeerService::kDispatch, ServerOptions(), "peer") {}

transport::PeerCall* PeerModule::Thread::NewCall(std::string method, tenon_bufs request, uint64_t deadline_ns,
                                                 tenon_done done) {
  return new PeerCall(std::move(method), request, deadline_ns, done);
}

std::shared_ptr<transport::PeerLink> PeerModule::Thread::NewLink(transport::PeerClient& client, uint64_t id,
                                                                 bool urgent) {
  return std::make_shared<PeerLink>(client, id, urgent, loop());
}

Status PeerModule::Check(const tenon_listener* listeners, size_t n) const {
  return transport::CheckPeerListeners(kName, listeners, n,
                                       [this](const tenon_listener& one) { return server_.Check(&one, 1); });
}

Result<uint32_t> PeerModule::Listen(const tenon_listener& listener) {
  RETURN_IF_ERROR(Check(&listener, 1));
  return server_.Listen(transport::AsGrpcListener(listener));
}

Status PeerModule::Start() {
  RETURN_IF_ERROR(server_.Start());
  client_.Start(thread_);
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

const tenon_peer_v1 kPeerTable = transport::PeerTable<PeerModule>::Make();

}  // namespace tenon::transport_h2
