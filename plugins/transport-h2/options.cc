#include "plugins/transport-h2/options.h"

#include "plugins/transport-common/options_reader.h"

namespace tenon::transport_h2 {

const char kConfigSchema[] = R"({
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "loops": {"type": "integer", "minimum": 0, "maximum": 64},
    "max-request-bytes": {},
    "max-concurrent-streams": {"type": "integer", "minimum": 1, "maximum": 4294967295},
    "grpc-keepalive-min-time": {"type": "string"},
    "grpc-keepalive-interval": {"type": "string"},
    "grpc-keepalive-timeout": {"type": "string"},
    "stream-buffer": {}
  }
})";

Result<Options> ReadOptions(const tenon_host_config_v1* config, const tenon_cfg* node) {
  Options options;
  if (node == nullptr) return options;
  if (config == nullptr) return absl::UnimplementedError("transport-h2: this kernel offers no " TENON_HOST_CONFIG);
  if (config->kind(node) == TENON_CFG_NULL) return options;
  constexpr int64_t kMaxNs = int64_t{INT32_MAX} * 1'000'000;  // transport-grpc's bound
  constexpr const char* kDuration = "a duration such as 5s";
  transport::OptionsReader reader(config, node);
  reader.Read<int64_t>("loops", config->i64, 0, 64, "a number of 0 to 64", &options.loops);
  reader.Read<uint64_t>("max-request-bytes", config->bytes, 1, INT32_MAX - 512 * 1024, "a size below 2GiB",
                        &options.max_request_bytes);
  reader.Read<int64_t>("max-concurrent-streams", config->i64, 1, UINT32_MAX, "a number of 1 to 4294967295",
                       &options.max_concurrent_streams);
  reader.Read<int64_t>("grpc-keepalive-min-time", config->duration_ns, 0, kMaxNs, kDuration,
                       &options.keepalive_min_time_ns);
  reader.Read<int64_t>("grpc-keepalive-interval", config->duration_ns, 0, kMaxNs, kDuration,
                       &options.keepalive_interval_ns);
  reader.Read<int64_t>("grpc-keepalive-timeout", config->duration_ns, 0, kMaxNs, kDuration,
                       &options.keepalive_timeout_ns);
  reader.Read<uint64_t>("stream-buffer", config->bytes, 1, 1u << 30, "a size up to 1GiB", &options.stream_buffer_bytes);
  if (!reader.status().ok()) return reader.status();
  // grpc-go's own values where etcd leaves them alone.
  if (options.keepalive_min_time_ns == 0) options.keepalive_min_time_ns = 300'000'000'000;
  if (options.keepalive_interval_ns == 0 || options.keepalive_timeout_ns == 0) {
    options.keepalive_interval_ns = 7'200'000'000'000;
    options.keepalive_timeout_ns = 20'000'000'000;
  }
  return options;
}

}  // namespace tenon::transport_h2
