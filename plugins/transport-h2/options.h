// The module's configuration.
#pragma once
#include <cstdint>

#include "kernel/base/status.h"
#include "tenon/abi/host.h"

namespace tenon::transport_h2 {

// Names and defaults are etcd's, so that its top-level keys can be handed on unchanged.
struct Options {
  int64_t loops = 0;  // 0: one below four cores, two from there on
  uint64_t max_request_bytes = 1536 * 1024;
  int64_t max_concurrent_streams = UINT32_MAX;
  int64_t keepalive_min_time_ns = 5'000'000'000;
  int64_t keepalive_interval_ns = 7'200'000'000'000;
  int64_t keepalive_timeout_ns = 20'000'000'000;
  uint64_t stream_buffer_bytes = 512 * 1024;  // replies queued in one stream before its server is told to hold

  int32_t stream_window_bytes = 256 * 1024;  // of a request, that a client may send ahead; not in the file

  // etcd's allowance for what is around a request of max-request-bytes.
  size_t max_message_bytes() const { return max_request_bytes + 512 * 1024; }
};

extern const char kConfigSchema[];

// `node` may be NULL: all defaults. The text of an error begins with file and line.
Result<Options> ReadOptions(const tenon_host_config_v1* config, const tenon_cfg* node);

}  // namespace tenon::transport_h2
