#include "kernel/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <iterator>
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

// Our own text, not prometheus-cpp's serializer: for 1,700 series that one takes 25 ms of a stream's formatting and its
// registry's copies, this one 0.6.
void Escape(std::string_view text, bool quotes, std::string& out) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

void AppendNumber(double value, std::string& out) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    fmt::format_to(std::back_inserter(out), "{}", value);
  }
}

// A bucket's bound as Go's client writes it, since labels are compared as texts: with an exponent from
// a million on.
void AppendBound(double bound, std::string& out) {
  if (std::isinf(bound) || std::abs(bound) < 1e6) return AppendNumber(bound, out);
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, bound, std::chars_format::scientific);
  out.append(text, end.ptr);
}

// name{labels} without the value.
void AppendSeries(std::string_view name, std::string_view labels, std::string& out) {
  out += name;
  if (!labels.empty()) {
    out += '{';
    out += labels;
    out += '}';
  }
  out += ' ';
}

template <class L>
std::string TextOfLabels(const L& labels) {
  std::string out;
  for (const auto& label : labels) {
    if (!out.empty()) out += ',';
    if constexpr (requires { label.first; }) {
      out += label.first;
      out += "=\"";
      Escape(label.second, true, out);
    } else {
      out += label.name;
      out += "=\"";
      Escape(label.value, true, out);
    }
    out += '"';
  }
  return out;
}

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

  void Append(std::string_view name, const std::string& labels, std::string& out) const;
};

void HistogramCells::Append(std::string_view name, const std::string& labels, std::string& out) const {
  uint64_t count = 0;
  const auto line = [&](std::string_view suffix) {
    out += name;
    out += suffix;
  };
  for (size_t i = 0; i <= bounds.size(); i++) {
    count += counts[i].load(std::memory_order_relaxed);
    line("_bucket{");
    out += labels;
    out += labels.empty() ? "le=\"" : ",le=\"";
    AppendBound(i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity(), out);
    fmt::format_to(std::back_inserter(out), "\"}} {}\n", count);
  }
  line("_sum");
  AppendSeries("", labels, out);
  AppendNumber(sum.load(std::memory_order_relaxed), out);
  out += '\n';
  line("_count");
  AppendSeries("", labels, out);
  fmt::format_to(std::back_inserter(out), "{}\n", count);
}

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

  struct Owned {
    std::string name, help;
    const char* type;
    std::function<void(Samples&)> write;
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
  std::vector<Owned> owned;
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
  const size_t gone = std::erase_if(impl_->callbacks, [&](const auto& c) { return c.name == callback_name; }) +
                      std::erase_if(impl_->owned, [&](const auto& o) { return o.name == callback_name; });
  if (gone > 0) impl_->families.erase(callback_name);
}

void Registry::RegisterSeries(Kind kind, const std::string& name, const std::string& help,
                              std::function<void(Samples&)> write) {
  std::lock_guard lock(impl_->mutex);
  const Status claimed = impl_->Claim(name, {}, kind == Kind::kGauge ? Impl::Type::kGauge : Impl::Type::kCounter, true);
  CHECK_MSG(claimed.ok(), std::string(Message(claimed)));
  impl_->owned.push_back({name, help, kind == Kind::kGauge ? "gauge" : "counter", std::move(write)});
}

void Samples::Add(std::string_view label_text, uint64_t value) {
  AppendSeries(name_, label_text, text_);
  fmt::format_to(std::back_inserter(text_), "{}\n", value);
}

void Samples::Add(std::string_view label_text, double value) {
  AppendSeries(name_, label_text, text_);
  AppendNumber(value, text_);
  text_ += '\n';
}

std::string LabelText(const Labels& labels) { return TextOfLabels(labels); }

std::string Registry::Scrape() const {
  // Family by name; the samples of one family by their labels, so that scrapes have one order.
  struct Text {
    std::string head, body;
    std::vector<std::pair<std::string, double>> samples;
  };
  std::map<std::string, Text> families;
  const auto begin = [&](const std::string& name, const std::string& help, const char* type) -> Text& {
    Text& text = families[name];
    if (!text.head.empty()) return text;
    text.head = fmt::format("# HELP {} ", name);
    Escape(help, false, text.head);
    text.head += fmt::format("\n# TYPE {} {}\n", name, type);
    return text;
  };

  for (const prometheus::MetricFamily& family : impl_->registry.Collect()) {
    const bool gauge = family.type == prometheus::MetricType::Gauge;
    Text& text = begin(family.name, family.help, gauge ? "gauge" : "counter");
    for (const auto& m : family.metric)
      text.samples.emplace_back(TextOfLabels(m.label), gauge ? m.gauge.value : m.counter.value);
  }
  {
    // Under the lock, so that after Forget returned the function is not running.
    std::lock_guard lock(impl_->mutex);
    for (const Impl::Callback& callback : impl_->callbacks) {
      Text& text = begin(callback.name, callback.help, callback.type == Impl::Type::kGauge ? "gauge" : "counter");
      text.samples.emplace_back(TextOfLabels(callback.labels), callback.value());
    }
    for (const Impl::Owned& owned : impl_->owned) {
      Samples samples(owned.name, begin(owned.name, owned.help, owned.type).body);
      owned.write(samples);
    }
    for (const auto& [name, histogram] : impl_->histograms) {
      Text& text = begin(name, histogram.help, "histogram");
      for (const auto& [labels, cells] : histogram.series) cells->Append(name, TextOfLabels(labels), text.body);
    }
  }

  std::string out;
  for (auto& [name, text] : families) {
    std::sort(text.samples.begin(), text.samples.end());
    out += text.head;
    for (const auto& [labels, value] : text.samples) {
      AppendSeries(name, labels, out);
      AppendNumber(value, out);
      out += '\n';
    }
    out += text.body;
  }
  return out;
}

}  // namespace tenon::metrics
