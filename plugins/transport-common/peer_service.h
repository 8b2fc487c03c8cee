// The receiving half of a peer module: tenonpb.Peer as a dispatch table, so that any transport of clients serves it.
//
//   PeerService service(host, peer, metrics);
//   Transport server(service.host(), &PeerService::kDispatch, options);
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_set>

#include "kernel/base/status.h"
#include "plugins/transport-common/peer_log.h"
#include "plugins/transport-common/peer_metrics.h"
#include "tenon/abi/peer.h"
#include "tenon/abi/transport.h"

namespace tenon::transport {

// Refuses what is not for this member of this cluster, and hands the rest to the kernel.
class PeerService {
 public:
  PeerService(const tenon_host* host, const tenon_host_peer_v1* peer, const PeerMetrics& metrics);

  // What the functions of kDispatch want as their host.
  const tenon_host* host() const { return &shim_; }
  static const tenon_host_dispatch_v1 kDispatch;

  // Ends the streams of messages, which have no end of their own, and takes nothing new. [any]
  void Drain();

 private:
  class Stream;
  struct Sender;

  // Who sent the request, if it is for us.
  Result<Sender> Admit(const tenon_call_info& info, bool messages);
  void Log(const Sender& sender, std::string_view why);

  uint64_t Unary(const tenon_call_info& info, tenon_bufs request, tenon_done done);
  tenon_status Open(const tenon_call_info& info, tenon_call_out out, tenon_call_in* in);

  const tenon_host* const host_;
  const tenon_host_peer_v1* const peer_;
  const PeerMetrics& metrics_;
  tenon_host shim_{};
  PeerLog refusals_;
  std::mutex mutex_;
  bool draining_ = false;                // under mutex_
  std::unordered_set<Stream*> streams_;  // under mutex_
};

}  // namespace tenon::transport
