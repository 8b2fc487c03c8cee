// grpc_server_* and the bytes of client calls: etcd's names, counted beside the handlers, whatever the transport.
//
// Each method has a block of its own, found with the method, so that a call costs a few relaxed increments: no lookup,
// no lock, no text. Texts are made when somebody scrapes.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "kernel/base/status.h"
#include "kernel/metrics/metrics.h"

namespace tenon::api {

// The counters of one method. [any]
class alignas(64) MethodMetrics {
 public:
  void Started() { Increment(started_); }
  void Received(size_t bytes) {
    Increment(received_);
    received_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }
  void Sent(size_t bytes) {
    Increment(sent_);
    sent_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }
  void Handled(StatusCode code, uint64_t took_ns) {
    const auto c = static_cast<size_t>(code);
    Increment(handled_[c < handled_.size() ? c : static_cast<size_t>(StatusCode::kUnknown)]);
    seconds_.Observe(static_cast<double>(took_ns) * 1e-9);
  }

 private:
  friend class CallMetrics;
  using Cell = std::atomic<uint64_t>;
  static void Increment(Cell& cell) { cell.fetch_add(1, std::memory_order_relaxed); }

  Cell started_{0}, received_{0}, sent_{0}, received_bytes_{0}, sent_bytes_{0};
  std::array<Cell, 17> handled_{};  // by code
  metrics::Histogram seconds_;      // swallows, unless metrics are extensive
  std::string labels_;              // grpc_method="Put",...
};

// How many calls came from which version of etcd's client (metadata client-api-version).
//
// The texts come from strangers: only the first few versions that are seen get a series of their own.
class ClientVersions {
 public:
  void Count(std::string_view version, bool stream);

 private:
  friend class CallMetrics;
  static constexpr size_t kMost = 16, kLongest = 32;
  struct Slot {
    std::atomic<int> state{0};  // 0 free, 1 being written, 2 readable
    std::array<char, kLongest> text{};
    size_t length = 0;
    std::atomic<uint64_t> unary{0}, stream{0};
    std::string_view view() const { return {text.data(), length}; }
  };
  std::array<Slot, kMost> slots_;
  Slot others_;
};

class CallMetrics {
 public:
  CallMetrics(metrics::Registry& registry, bool extensive);
  ~CallMetrics();

  // A block for "/etcdserverpb.KV/Put" with its TENON_METHOD_* flags; before the first scrape. [main]
  MethodMetrics& Add(std::string_view name, uint32_t flags);
  ClientVersions& versions() { return versions_; }

 private:
  void RegisterPerMethod(const char* name, const char* help, std::atomic<uint64_t> MethodMetrics::*cell);
  void RegisterTotal(const char* name, const char* help, std::atomic<uint64_t> MethodMetrics::*cell);

  metrics::Registry& registry_;
  const bool extensive_;
  std::deque<MethodMetrics> methods_;
  ClientVersions versions_;
};

}  // namespace tenon::api
