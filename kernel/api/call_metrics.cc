#include "kernel/api/call_metrics.h"

#include <algorithm>

#include "tenon/abi/transport.h"

namespace tenon::api {
namespace {

using Kind = metrics::Registry::Kind;

constexpr std::string_view kCodes[] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

std::string_view TypeOf(uint32_t flags) {
  switch (flags & (TENON_METHOD_CLIENT_STREAM | TENON_METHOD_SERVER_STREAM)) {
    case 0: return "unary";
    case TENON_METHOD_CLIENT_STREAM: return "client_stream";
    case TENON_METHOD_SERVER_STREAM: return "server_stream";
    default: return "bidi_stream";
  }
}

constexpr const char* kHandled = "grpc_server_handled_total";
constexpr const char* kClientRequests = "etcd_server_client_requests_total";
constexpr const char* kNames[] = {"grpc_server_started_total",
                                  "grpc_server_msg_received_total",
                                  "grpc_server_msg_sent_total",
                                  "etcd_network_client_grpc_received_bytes_total",
                                  "etcd_network_client_grpc_sent_bytes_total",
                                  kHandled,
                                  kClientRequests};

}  // namespace

void ClientVersions::Count(std::string_view version, bool stream) {
  const auto count = [&](Slot& slot) { (stream ? slot.stream : slot.unary).fetch_add(1, std::memory_order_relaxed); };
  if (version.size() > kLongest) return count(others_);
  for (Slot& slot : slots_) {
    int state = slot.state.load(std::memory_order_acquire);
    if (state == 0 && slot.state.compare_exchange_strong(state, 1, std::memory_order_acquire)) {
      std::copy(version.begin(), version.end(), slot.text.begin());
      slot.length = version.size();
      slot.state.store(2, std::memory_order_release);
      return count(slot);
    }
    // A slot that another thread is naming just now may be ours: one call among the others is no harm.
    if (state == 1) return count(others_);
    if (slot.view() == version) return count(slot);
  }
  count(others_);
}

CallMetrics::CallMetrics(metrics::Registry& registry, bool extensive) : registry_(registry), extensive_(extensive) {
  using M = MethodMetrics;
  RegisterPerMethod(kNames[0], "Total number of RPCs started on the server.", &M::started_);
  RegisterPerMethod(kNames[1], "Total number of RPC stream messages received on the server.", &M::received_);
  RegisterPerMethod(kNames[2], "Total number of gRPC stream messages sent by the server.", &M::sent_);
  RegisterTotal(kNames[3], "The total number of bytes received from grpc clients.", &M::received_bytes_);
  RegisterTotal(kNames[4], "The total number of bytes sent to grpc clients.", &M::sent_bytes_);
  registry_.RegisterSeries(
      Kind::kCounter, kHandled, "Total number of RPCs completed on the server, regardless of success or failure.",
      [this](metrics::Samples& samples) {
        std::string labels;
        for (const MethodMetrics& method : methods_) {
          for (size_t code = 0; code < std::size(kCodes); code++) {
            labels.clear();
            fmt::format_to(std::back_inserter(labels), "grpc_code=\"{}\",{}", kCodes[code], method.labels_);
            samples.Add(labels, method.handled_[code].load(std::memory_order_relaxed));
          }
        }
      });
  registry_.RegisterSeries(
      Kind::kCounter, kClientRequests, "The total number of client requests per client version.",
      [this](metrics::Samples& samples) {
        const auto write = [&](const ClientVersions::Slot& slot, const std::string& version) {
          for (const bool stream : {false, true}) {
            const uint64_t n = (stream ? slot.stream : slot.unary).load(std::memory_order_relaxed);
            if (n == 0) continue;
            samples.Add(metrics::LabelText({{"client_api_version", version}, {"type", stream ? "stream" : "unary"}}),
                        n);
          }
        };
        for (const ClientVersions::Slot& slot : versions_.slots_) {
          if (slot.state.load(std::memory_order_acquire) == 2) write(slot, std::string(slot.view()));
        }
        write(versions_.others_, "other");
      });
}

CallMetrics::~CallMetrics() {
  for (const char* name : kNames) registry_.Forget(name);
}

void CallMetrics::RegisterPerMethod(const char* name, const char* help, std::atomic<uint64_t> MethodMetrics::*cell) {
  registry_.RegisterSeries(Kind::kCounter, name, help, [this, cell](metrics::Samples& samples) {
    for (const MethodMetrics& m : methods_) samples.Add(m.labels_, (m.*cell).load(std::memory_order_relaxed));
  });
}

void CallMetrics::RegisterTotal(const char* name, const char* help, std::atomic<uint64_t> MethodMetrics::*cell) {
  registry_.RegisterSeries(Kind::kCounter, name, help, [this, cell](metrics::Samples& samples) {
    uint64_t total = 0;
    for (const MethodMetrics& m : methods_) total += (m.*cell).load(std::memory_order_relaxed);
    samples.Add("", total);
  });
}

MethodMetrics& CallMetrics::Add(std::string_view name, uint32_t flags) {
  const size_t slash = name.rfind('/');
  const metrics::Labels labels = {{"grpc_method", std::string(name.substr(slash + 1))},
                                  {"grpc_service", std::string(name.substr(1, slash - 1))},
                                  {"grpc_type", std::string(TypeOf(flags))}};
  MethodMetrics& method = methods_.emplace_back();
  method.labels_ = metrics::LabelText(labels);
  if (extensive_) {
    method.seconds_ = registry_.NewHistogram(
        "grpc_server_handling_seconds",
        "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.",
        {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}, labels);
  }
  return method;
}

}  // namespace tenon::api
