#include "kernel/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "kernel/base/check.h"

namespace tenon::metrics {
namespace {

bool IsName(std::string_view text, bool colons) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (colons && c == ':');
  });
}

Status CheckNames(const std::string& name, const Labels& labels) {
  if (!IsName(name, true)) {
    return absl::InvalidArgumentError(fmt::format("\"{}\" is not a metric name: use letters, digits, _ and :", name));
  }
  for (const auto& [label, value] : labels) {
    if (!IsName(label, false) || label.starts_with("__") || label == "le") {
      return absl::InvalidArgumentError(fmt::format("metric {}: \"{}\" is not a label name", name, label));
    }
  }
  return Ok();
}

prometheus::Labels ToMap(const Labels& labels) { return {labels.begin(), labels.end()}; }

template <class T>
T Must(Result<T> result) {
  CHECK_MSG(result.ok(), std::string(Message(result.status())));
  return *std::move(result);
}

}  // namespace

struct HistogramCells {
  explicit HistogramCells(std::vector<double> upper)
      : bounds(std::move(upper)), counts(std::make_unique<std::atomic<uint64_t>[]>(bounds.size() + 1)) {}
  std::vector<double> bounds;
  std::unique_ptr<std::atomic<uint64_t>[]> counts;  // per bucket, not cumulative; the last is above all bounds
  std::atomic<double> sum{0};
};

struct Registry::Impl {
  enum class Type { kCounter, kGauge, kHistogram };
  struct Family {
    Type type;
    std::vector<double> buckets;
    bool callback;
  };
  struct Callback {
    std::string name, help;
    std::function<double()> value;
    prometheus::Labels labels;
    Type type;
  };

  // Remembers what `name` is, so that a second use as something else is refused.
  Status Claim(const std::string& name, const Labels& labels, Type type, bool callback,
               const std::vector<double>& buckets = {}) {
    RETURN_IF_ERROR(CheckNames(name, labels));
    const auto [it, inserted] = families.try_emplace(name, Family{type, buckets, callback});
    if (inserted) return Ok();
    if (it->second.type != type || it->second.callback != callback) {
      return absl::AlreadyExistsError(fmt::format("metric {} exists already as another type", name));
    }
    if (it->second.buckets != buckets) {
      return absl::AlreadyExistsError(fmt::format("metric {} exists already with other buckets", name));
    }
    return Ok();
  }

  mutable std::mutex mutex;  // of all but registry
  std::map<std::string, Family> families;
  std::vector<Callback> callbacks;
  struct HistogramFamily {
    std::string help;
    std::map<prometheus::Labels, std::unique_ptr<HistogramCells>> series;
  };
  std::map<std::string, HistogramFamily> histograms;
  prometheus::Registry registry;
};

void Counter::Add(double n) {
  if (p_ != nullptr) p_->Increment(n);
}
double Counter::Value() const { return p_ == nullptr ? 0 : p_->Value(); }
void Gauge::Set(double value) {
  if (p_ != nullptr) p_->Set(value);
}
void Gauge::Add(double n) {
  if (p_ != nullptr) p_->Increment(n);
}
double Gauge::Value() const { return p_ == nullptr ? 0 : p_->Value(); }
void Histogram::Observe(double value) {
  if (cells_ == nullptr) return;
  const size_t bucket = static_cast<size_t>(std::lower_bound(cells_->bounds.begin(), cells_->bounds.end(), value) -
                                            cells_->bounds.begin());
  cells_->counts[bucket].fetch_add(1, std::memory_order_relaxed);
  cells_->sum.fetch_add(value, std::memory_order_relaxed);
}

std::vector<double> ExponentialBuckets(double first, double factor, size_t count) {
  std::vector<double> buckets;
  for (double bound = first; buckets.size() < count; bound *= factor) buckets.push_back(bound);
  return buckets;
}

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Result<Counter> Registry::TryCounter(const std::string& name, const std::string& help, const Labels& labels) {
  std::lock_guard lock(impl_->mutex);
  RETURN_IF_ERROR(impl_->Claim(name, labels, Impl::Type::kCounter, false));
  return Counter(&prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry).Add(ToMap(labels)));
}

Result<Gauge> Registry::TryGauge(const std::string& name, const std::string& help, const Labels& labels) {
  std::lock_guard lock(impl_->mutex);
  RETURN_IF_ERROR(impl_->Claim(name, labels, Impl::Type::kGauge, false));
  return Gauge(&prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add(ToMap(labels)));
}

Result<Histogram> Registry::TryHistogram(const std::string& name, const std::string& help,
                                         const std::vector<double>& buckets, const Labels& labels) {
  const bool ascending =
      std::adjacent_find(buckets.begin(), buckets.end(), [](double a, double b) { return !(a < b); }) == buckets.end();
  if (!ascending || std::any_of(buckets.begin(), buckets.end(), [](double b) { return !std::isfinite(b); })) {
    return absl::InvalidArgumentError(fmt::format("metric {}: the buckets must be finite and ascending", name));
  }
  std::lock_guard lock(impl_->mutex);
  RETURN_IF_ERROR(impl_->Claim(name, labels, Impl::Type::kHistogram, false, buckets));
  Impl::HistogramFamily& family = impl_->histograms[name];
  if (family.series.empty()) family.help = help;
  std::unique_ptr<HistogramCells>& cells = family.series[ToMap(labels)];
  if (cells == nullptr) cells = std::make_unique<HistogramCells>(buckets);
  return Histogram(cells.get());
}

Counter Registry::NewCounter(const std::string& name, const std::string& help, const Labels& labels) {
  return Must(TryCounter(name, help, labels));
}
Gauge Registry::NewGauge(const std::string& name, const std::string& help, const Labels& labels) {
  return Must(TryGauge(name, help, labels));
}
Histogram Registry::NewHistogram(const std::string& name, const std::string& help, const std::vector<double>& buckets,
                                 const Labels& labels) {
  return Must(TryHistogram(name, help, buckets, labels));
}

void Registry::RegisterCallbackGauge(const std::string& name, const std::string& help, std::function<double()> value,
                                     const Labels& labels) {
  std::lock_guard lock(impl_->mutex);
  const Status claimed = impl_->Claim(name, labels, Impl::Type::kGauge, true);
  CHECK_MSG(claimed.ok(), std::string(Message(claimed)));
  impl_->callbacks.push_back({name, help, std::move(value), ToMap(labels), Impl::Type::kGauge});
}

void Registry::RegisterCallbackCounter(const std::string& name, const std::string& help, std::function<double()> value,
                                       const Labels& labels) {
  std::lock_guard lock(impl_->mutex);
  const Status claimed = impl_->Claim(name, labels, Impl::Type::kCounter, true);
  CHECK_MSG(claimed.ok(), std::string(Message(claimed)));
  impl_->callbacks.push_back({name, help, std::move(value), ToMap(labels), Impl::Type::kCounter});
}

void Registry::Forget(const std::string& callback_name) {
  std::lock_guard lock(impl_->mutex);
  const size_t gone = std::erase_if(impl_->callbacks, [&](const Impl::Callback& c) { return c.name == callback_name; });
  if (gone > 0) impl_->families.erase(callback_name);
}

std::string Registry::Scrape() const {
  std::vector<prometheus::MetricFamily> families = impl_->registry.Collect();
  {
    // Under the lock, so that after Forget returned the function is not running.
    std::lock_guard lock(impl_->mutex);
    std::map<std::string, prometheus::MetricFamily> computed;
    for (const Impl::Callback& callback : impl_->callbacks) {
      const bool gauge = callback.type == Impl::Type::kGauge;
      prometheus::ClientMetric metric;
      for (const auto& [name, value] : callback.labels) metric.label.push_back({name, value});
      (gauge ? metric.gauge.value : metric.counter.value) = callback.value();
      prometheus::MetricFamily& family = computed[callback.name];
      family.name = callback.name;
      family.help = callback.help;
      family.type = gauge ? prometheus::MetricType::Gauge : prometheus::MetricType::Counter;
      family.metric.push_back(std::move(metric));
    }
    for (const auto& [name, histogram] : impl_->histograms) {
      prometheus::MetricFamily& family = computed[name];
      family.name = name;
      family.help = histogram.help;
      family.type = prometheus::MetricType::Histogram;
      for (const auto& [labels, cells] : histogram.series) {
        prometheus::ClientMetric metric;
        for (const auto& [label, value] : labels) metric.label.push_back({label, value});
        uint64_t count = 0;
        for (size_t i = 0; i <= cells->bounds.size(); i++) {
          count += cells->counts[i].load(std::memory_order_relaxed);
          const double bound = i < cells->bounds.size() ? cells->bounds[i] : std::numeric_limits<double>::infinity();
          metric.histogram.bucket.push_back({count, bound});
        }
        metric.histogram.sample_count = count;
        metric.histogram.sample_sum = cells->sum.load(std::memory_order_relaxed);
        family.metric.push_back(std::move(metric));
      }
    }
    for (auto& [name, family] : computed) families.push_back(std::move(family));
  }
  std::sort(families.begin(), families.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (prometheus::MetricFamily& family : families) {
    // The registry keeps a family's metrics in a hash map: give scrapes one order.
    const auto labels = [](const prometheus::ClientMetric& m) {
      std::string text;
      for (const auto& label : m.label) text += label.name + '\x01' + label.value + '\x02';
      return text;
    };
    std::sort(family.metric.begin(), family.metric.end(),
              [&](const auto& a, const auto& b) { return labels(a) < labels(b); });
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace tenon::metrics
