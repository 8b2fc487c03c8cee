// Log lines of what may happen again and again: one now and then, with how many were kept back.
#pragma once
#include <time.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "plugins/transport-common/slice.h"
#include "tenon/abi/host.h"

namespace tenon::transport {

inline uint64_t MonoNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// One subject, such as what we refuse of peers. [any]
class PeerLog {
 public:
  using Fields = std::vector<std::pair<std::string_view, std::string>>;

  explicit PeerLog(const tenon_host* host)
      : host_(host), log_(static_cast<const tenon_host_log_v1*>(host->get(host, TENON_HOST_LOG))) {}

  void Warn(std::string_view text, const Fields& fields) { Seldom(TENON_LOG_WARN, text, fields); }
  void Info(std::string_view text, const Fields& fields) { Seldom(TENON_LOG_INFO, text, fields); }

 private:
  static constexpr uint64_t kPauseNs = 10'000'000'000;

  void Seldom(int level, std::string_view text, const Fields& fields) {
    uint64_t kept_back;
    {
      std::lock_guard lock(mutex_);
      const uint64_t now = MonoNs();
      if (last_ns_ != 0 && now - last_ns_ < kPauseNs) {
        ++kept_back_;
        return;
      }
      last_ns_ = now;
      kept_back = std::exchange(kept_back_, 0);
    }
    Write(level, text, fields, kept_back);
  }
  void Write(int level, std::string_view text, const Fields& fields, uint64_t kept_back) const {
    if (log_ == nullptr || !log_->enabled(host_, level)) return;
    std::vector<tenon_kv> kv;
    for (const auto& [key, value] : fields) kv.push_back({Slice(key), Slice(value)});
    const std::string more = fmt::format("{}", kept_back);
    if (kept_back > 0) kv.push_back({Slice("lines-kept-back"), Slice(more)});
    log_->write(host_, level, Slice(text), kv.data(), kv.size());
  }

  const tenon_host* const host_;
  const tenon_host_log_v1* const log_;
  std::mutex mutex_;
  uint64_t last_ns_ = 0, kept_back_ = 0;
};

}  // namespace tenon::transport
