// etcd's metrics of what members send each other.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "plugins/transport-common/peer_wire.h"
#include "tenon/abi/host.h"

namespace tenon::transport {

// Handles are the host's; 0 counts nothing. [any]
class PeerMetrics {
 public:
  explicit PeerMetrics(const tenon_host* host)
      : host_(host), table_(static_cast<const tenon_host_metrics_v1*>(host->get(host, TENON_HOST_METRICS))) {}

  // What goes to a member.
  struct Sent {
    uint32_t bytes = 0, failures = 0, round_trip = 0, active = 0, broken = 0;
  };
  Sent To(uint64_t local, uint64_t remote) const {
    const std::string us = PeerId(local), it = PeerId(remote);
    std::array<double, 16> bounds;
    for (size_t i = 0; i < bounds.size(); ++i) bounds[i] = 0.0001 * static_cast<double>(1u << i);
    const char* to[] = {"To", it.c_str()};
    const char* both[] = {"Local", us.c_str(), "Remote", it.c_str()};
    Sent made;
    made.bytes =
        Define(TENON_COUNTER, "etcd_network_peer_sent_bytes_total", "The total number of bytes sent to peers.", to, 1);
    made.failures = Define(TENON_COUNTER, "etcd_network_peer_sent_failures_total",
                           "The total number of send failures from peers.", to, 1);
    made.round_trip = Define(TENON_HISTOGRAM, "etcd_network_peer_round_trip_time_seconds",
                             "Round-Trip-Time histogram between peers", to, 1, bounds.data(), bounds.size());
    made.active =
        Define(TENON_GAUGE, "etcd_network_active_peers", "The current number of active peer connections.", both, 2);
    made.broken = Define(TENON_COUNTER, "etcd_network_disconnected_peers_total",
                         "The total number of disconnected peers.", both, 2);
    return made;
  }
  // What comes from a member.
  struct Received {
    uint32_t bytes = 0, failures = 0;
  };
  Received From(uint64_t remote) const {
    const std::string it = PeerId(remote);
    const char* from[] = {"From", it.c_str()};
    Received made;
    made.bytes = Define(TENON_COUNTER, "etcd_network_peer_received_bytes_total",
                        "The total number of bytes received from peers.", from, 1);
    made.failures = Define(TENON_COUNTER, "etcd_network_peer_received_failures_total",
                           "The total number of receive failures from peers.", from, 1);
    return made;
  }

  void Add(uint32_t handle, double value) const {
    if (handle != 0) table_->add(host_, handle, value);
  }
  void Observe(uint32_t handle, double value) const {
    if (handle != 0) table_->observe(host_, handle, value);
  }

 private:
  uint32_t Define(int type, const char* name, const char* help, const char* const* labels, size_t n,
                  const double* buckets = nullptr, size_t n_buckets = 0) const {
    return table_ == nullptr ? 0 : table_->define(host_, type, name, help, labels, n, buckets, n_buckets);
  }

  const tenon_host* const host_;
  const tenon_host_metrics_v1* const table_;
};

}  // namespace tenon::transport
