// etcd's two policies of automatic compaction. Source: etcd server/etcdserver/api/v3compactor/.
//
// Periodic: the revision is sampled ten times a period, or each six minutes of a longer one. After one whole period the
// first compaction goes to the revision that was the newest then; from then on there is one a period, or one an hour,
// to the oldest of the samples kept. One that failed is tried again at the next sample. Revision: each five minutes all
// but the last N revisions go. A compaction to the revision of the last one is not asked for, so an idle server is left
// alone.
#include "plugins/compactor/compactor.h"

#include <tenon/sdk/sdk.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

namespace tenon::compactor {
namespace {

constexpr uint64_t kHourMs = 3'600'000;
constexpr uint64_t kRevisionEveryMs = 300'000;
constexpr uint64_t kSamplesPerPeriod = 10;

class Compactor {
 public:
  Compactor(const sdk::Host& host, const sdk::Config& config) : host_(host) {
    const std::string mode = config.Str("mode", "periodic");
    const std::string text = config.Str("retention", "0");
    periodic_ = mode == "periodic";
    if (!periodic_) {
      retention_ = config.I64("retention", 0);
      if (retention_ < 0) throw config.Wrong("retention", "must be a number of revisions");
      every_ms_ = retention_ == 0 ? 0 : kRevisionEveryMs;
      return;
    }
    // A bare number is hours, as for the flag.
    const bool hours = !text.empty() && text.size() <= 7 && text.find_first_not_of("0123456789") == text.npos;
    const std::chrono::nanoseconds duration = hours ? std::chrono::nanoseconds(0) : config.Duration("retention", {});
    if (duration.count() < 0) throw config.Wrong("retention", "must not be negative");
    period_ms_ = hours ? std::stoull(text) * kHourMs : static_cast<uint64_t>(duration.count() / 1'000'000);
    interval_ms_ = std::min(period_ms_, kHourMs);
    if (period_ms_ == 0) return;
    every_ms_ = std::max<uint64_t>(interval_ms_ / kSamplesPerPeriod, 1);
    keep_ = static_cast<uint32_t>(std::min<uint64_t>(period_ms_ / every_ms_ + 1, UINT32_MAX));
    wait_ms_ = period_ms_;
  }

  void Schedule(uint64_t* every_ms, uint32_t* keep) const {
    *every_ms = every_ms_;
    *keep = keep_;
  }

  int64_t Decide(const tenon_compact_in& in) {
    const int64_t target = periodic_ ? DecidePeriodic(in) : in.revision - retention_;
    if (target <= 0 || target == last_revision_) return 0;
    asked_ms_ = in.now_ms;
    wait_ms_ = interval_ms_;  // the first one waited for the whole period
    Say(TENON_LOG_INFO, periodic_ ? "starting auto periodic compaction" : "starting auto revision compaction", target);
    return target;
  }

  void Result(int64_t target, tenon_status status) {
    if (status != TENON_OK && status != TENON_RANGE) {
      Say(TENON_LOG_WARN, periodic_ ? "failed auto periodic compaction" : "failed auto revision compaction", target);
      return;
    }
    last_revision_ = target;
    last_success_ms_ = asked_ms_;
    Say(TENON_LOG_INFO, periodic_ ? "completed auto periodic compaction" : "completed auto revision compaction",
        target);
  }

 private:
  int64_t DecidePeriodic(const tenon_compact_in& in) const {
    // Half a turn early counts: ten turns of whole milliseconds may be a little less than the period.
    if (in.n == 0 || in.now_ms - last_success_ms_ + every_ms_ / 2 < wait_ms_) return 0;
    return in.rev[in.n - std::min<size_t>(in.n, keep_)];
  }
  void Say(int level, std::string_view what, int64_t revision) const {
    host_.Log(level, what, {{"revision", std::to_string(revision)}});
  }

  const sdk::Host host_;
  bool periodic_ = true;
  int64_t retention_ = 0;  // revisions
  uint64_t period_ms_ = 0, interval_ms_ = 0, every_ms_ = 0;
  uint32_t keep_ = 0;

  uint64_t wait_ms_ = 0;  // from one success, or the start, to the next compaction
  uint64_t asked_ms_ = 0, last_success_ms_ = 0;
  int64_t last_revision_ = 0;
};

Compactor& Of(void* self) { return *static_cast<Compactor*>(self); }

}  // namespace

const tenon_compactor_v1 kTable = {
    sdk::ModuleVt<Compactor>(sizeof(tenon_compactor_v1), 0, TENON_F_SWAPPABLE),
    [](void* self, uint64_t* every_ms, uint32_t* keep) { Of(self).Schedule(every_ms, keep); },
    [](void* self, const tenon_compact_in* in, int64_t* target, tenon_error* error) noexcept -> tenon_status {
      return sdk::Guard(error, [&] { *target = Of(self).Decide(*in); });
    },
    [](void* self, int64_t target, tenon_status status) { Of(self).Result(target, status); },
};

const char kConfigSchema[] = R"({"type":"object","additionalProperties":false,"properties":{
  "mode":{"type":"string","enum":["periodic","revision"],"description":"default: --auto-compaction-mode"},
  "retention":{"type":["string","integer"],"description":"a duration, hours or revisions"}}})";

}  // namespace tenon::compactor
