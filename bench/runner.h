// Drives a server with a workload: warm-up, the measured part, and what was seen.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/histogram.h"
#include "bench/workload.h"
#include "kernel/base/status.h"

namespace tenon::bench {

enum class Order { kSequential, kRandom };

struct Plan {
  std::vector<std::string> endpoints{"127.0.0.1:2379"};  // connections take turns over them
  Shape shape;
  Order order = Order::kRandom;
  uint64_t seed = 1;
  size_t clients = 1;      // requests in flight, each client waits for its answer
  size_t connections = 1;  // clients take turns over them
  uint64_t total = 0;      // measured requests; 0: as many as `duration_ns` allows
  int64_t duration_ns = 10'000'000'000;
  int64_t warmup_ns = 1'000'000'000;  // the same requests, not counted
  double rate = 0;                    // requests per second; 0: as fast as the clients get answers
  pid_t server = 0;                   // whose CPU and context switches to count; 0: nobody's
  bool allow_errors = false;          // false: the first error ends the run
};

struct ServerUse {
  double user_us = 0;
  double system_us = 0;
  uint64_t switches = 0;
  uint64_t rss_bytes = 0;  // at the end
  uint64_t rss_anon_bytes = 0;
};

struct Outcome {
  Histogram latency_ns;           // of the good answers; with a rate, from when the request was due
  std::vector<uint64_t> each_ns;  // the first 100 of them in their order
  std::map<StatusCode, uint64_t> errors;
  std::string first_error;
  double seconds = 0;  // from the end of the warm-up to the last answer
  double own_cpu_us = 0;
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  uint64_t keys = 0;            // that the answers held
  uint64_t answered_at_ns = 0;  // CLOCK_MONOTONIC of the last answer
  std::optional<ServerUse> server;

  uint64_t requests() const { return latency_ns.count(); }
};

// Fails when it cannot connect. Errors of requests, and a lost connection, are in the outcome.
Result<Outcome> RunPlan(const Plan& plan);

}  // namespace tenon::bench
