// The peer module as the kernel sees it: the C table of tenon/abi/peer.h as Peers, and the host table behind it.
//
//   peer::Module peers;
//   Instance::Create(module, "peer", services, config, [&](plugin::Host& host) {
//     host.set_context(&peers);
//     host.Provide(TENON_HOST_PEER, &peer::Module::kHostTable);
//   });
//   peers.Attach(instance->Table<tenon_peer_v1>(), instance->self());
//   peers.Listen(listener);   peers.SetSelf(cluster, member);   peers.Serve(&handler);   instance->Start();
//   ...   peers.Drain(grace_ns);   peers.Serve(nullptr);   instance->Stop();
#pragma once
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/ports/peers.h"
#include "tenon/abi/peer.h"

namespace tenon::peer {

class Module final : public Peers {
 public:
  // For Host::Provide; the host's context must be a Module.
  static const tenon_host_peer_v1 kHostTable;

  // An instance that the caller created with kHostTable, starts, stops and destroys. Before anything else. [main]
  void Attach(const tenon_peer_v1& table, void* self) { table_ = table, self_ = self; }
  // Who we are, once that is known: every request says so, and what is meant for others is refused. [any]
  void SetSelf(uint64_t cluster_id, MemberId member_id);

  // Could the module serve all of them? [main]
  Status Check(std::span<const tenon_listener> listeners);
  // The address with its real port. [main]
  Result<std::string> Listen(const tenon_listener& listener);
  // No new calls and connections; sends what is queued, waits for calls, at most so long. [main]
  void Drain(uint64_t grace_ns);

  void Serve(PeerHandler* handler) override;
  void Set(MemberId id, const std::vector<std::string>& urls) override;
  void Send(std::vector<PeerMessage> messages) override;
  void Call(MemberId to, std::string_view url, std::string_view method, std::string request, uint64_t timeout_ns,
            Done done) override;
  uint64_t ActiveSinceNs(MemberId id) override;

 private:
  class Visit;

  tenon_status Deliver(const tenon_peer_from& from, tenon_bufs* messages, size_t n);
  void Answer(const tenon_peer_from& from, std::string_view method, Bufs request, tenon_done done);
  void Unreachable(MemberId id);

  tenon_peer_v1 table_{};
  void* self_ = nullptr;
  std::atomic<uint64_t> cluster_id_{0}, member_id_{0};
  std::atomic<PeerHandler*> handler_{nullptr};
  std::atomic<uint32_t> visits_{0};  // calls of the handler under way, or finding out that there is none
};

}  // namespace tenon::peer
