// The module's configuration.
#pragma once
#include <cstdint>

#include "kernel/base/status.h"
#include "tenon/abi/host.h"

namespace tenon::transport_grpc {

// Names and defaults are etcd's, so that its top-level keys can be handed on unchanged.
struct Options {
  int64_t threads = 0;  // of the completion queue. 0: two, one on a single core
  uint64_t max_request_bytes = 1536 * 1024;
  int64_t max_concurrent_streams = UINT32_MAX;
  int64_t keepalive_min_time_ns = 5'000'000'000;
  int64_t keepalive_interval_ns = 7'200'000'000'000;
  int64_t keepalive_timeout_ns = 20'000'000'000;
  uint64_t stream_buffer_bytes = 512 * 1024;  // replies queued in one stream before its server is told to hold

  // Not in the file: what members need of each other.
  bool any_pings = false;           // clients may ask at any time whether we are there
  int32_t stream_window_bytes = 0;  // of a request, that a client may send ahead; 0: gRPC's
};

extern const char kConfigSchema[];

// `node` may be NULL: all defaults. The text of an error begins with file and line.
Result<Options> ReadOptions(const tenon_host_config_v1* config, const tenon_cfg* node);

}  // namespace tenon::transport_grpc
