// The sending half of the peer module: the members, what other threads want of them, and who is reachable.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernel/base/status.h"
#include "plugins/transport-common/dial.h"
#include "plugins/transport-common/peer_loop.h"
#include "plugins/transport-common/peer_metrics.h"
#include "tenon/abi/peer.h"

namespace tenon::transport {

// Other threads leave their wishes in a mailbox, which the loop empties in one go; nothing else is shared but the times
// since which members are reachable.
class PeerClient final {
 public:
  PeerClient(const tenon_host* host, const tenon_host_peer_v1* peer, const PeerMetrics& metrics);
  ~PeerClient();

  void Start(PeerLoop& loop) { loop_ = &loop; }  // [main]; the loop outlives what is called
  // No new connections and calls; sends what is queued. Before the loop's own Drain. [main]
  void Drain();

  // ---- the table's, from Start on [any]
  Status SetPeer(uint64_t id, const tenon_slice* urls, size_t n);
  void Send(tenon_peer_msg* messages, size_t n);
  void Call(uint64_t to, std::string_view url, std::string_view method, tenon_bufs request, int64_t timeout_ns,
            tenon_done done);
  uint64_t ActiveSinceNs(uint64_t id);

  // ---- for links [loop]
  PeerLoop& loop() { return *loop_; }
  const tenon_host* host() const { return host_; }
  void Self(uint64_t* cluster_id, uint64_t* member_id) const { peer_->self(host_, cluster_id, member_id); }
  // `then` on the loop's thread, later.
  void Resolve(const Address& address, std::function<void(const Result<std::vector<Endpoint>>&)> then);
  void SetActive(uint64_t id, uint64_t since_ns);
  void SetInactive(uint64_t id);
  // The kernel hears of it at the end of the turn, once for all that was lost in it.
  void Lost(uint64_t id);
  void CountSent(uint64_t id, size_t bytes);
  void CountFailures(uint64_t id, size_t messages);
  void CountRoundTrip(uint64_t id, uint64_t ns);
  void GuestEnded(PeerLink* link);

 private:
  struct Member {
    std::shared_ptr<PeerLink> urgent, bulk;
    PeerMetrics::Sent metrics;
  };
  struct Change {
    uint64_t id;
    std::vector<Address> addresses;  // none: the member is gone
  };
  struct Letter {
    uint64_t to;
    bool urgent;
    tenon_bufs bytes;
  };
  struct Wish {
    uint64_t to;
    Address address;  // with to == 0
    PeerCall* call;
  };
  struct Mail {
    std::vector<Change> changes;
    std::vector<Letter> letters;
    std::vector<Wish> calls;
  };
  void EmptyMailbox();
  template <class F>
  void Post(F fill);  // under the lock
  void Apply(Change change);
  void Deliver(const Letter& letter);
  void Carry(const Wish& wish);
  void Report();
  Member* Find(uint64_t id);

  const tenon_host* const host_;
  const tenon_host_peer_v1* const peer_;
  const tenon_host_exec_v1* const exec_;
  const PeerMetrics& metrics_;
  PeerLoop* loop_ = nullptr;

  std::mutex mutex_;
  Mail mail_;                   // under mutex_
  size_t mail_bytes_ = 0;       // under mutex_: of the letters
  std::vector<uint64_t> full_;  // under mutex_: members whose letters did not fit
  bool posted_ = false;         // under mutex_

  // The loop's.
  Mail taken_;
  std::unordered_map<uint64_t, Member> members_;
  std::vector<std::shared_ptr<PeerLink>> guests_;
  std::vector<uint64_t> lost_;
  bool draining_ = false;

  std::mutex active_mutex_;
  std::unordered_map<uint64_t, uint64_t> active_since_ns_;  // under active_mutex_
};

}  // namespace tenon::transport
