// Counters, gauges and histograms under etcd's names, and their text for /metrics.
//
//   metrics::Gauge committed = registry.NewGauge("etcd_server_proposals_committed_total", "The total number of ...");
//   committed.Set(commit_index);
//
// Handles are pointers into the registry: made once at start, copied freely, used on any thread without a lookup.
// A handle that was never made (default constructed) swallows what it is given. The registry outlives its handles.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernel/base/status.h"

namespace prometheus {
class Counter;
class Gauge;
}  // namespace prometheus

namespace tenon::metrics {

class Counter {
 public:
  Counter() = default;
  void Add(double n = 1);  // negative numbers are ignored
  double Value() const;

 private:
  friend class Registry;
  explicit Counter(prometheus::Counter* p) : p_(p) {}
  prometheus::Counter* p_ = nullptr;
};

class Gauge {
 public:
  Gauge() = default;
  void Set(double value);
  void Add(double n);
  double Value() const;

 private:
  friend class Registry;
  explicit Gauge(prometheus::Gauge* p) : p_(p) {}
  prometheus::Gauge* p_ = nullptr;
};

struct HistogramCells;

// Our own cells, not prometheus-cpp's: those sit behind a mutex at which all threads queue (33 ns alone; these 12 ns).
class Histogram {
 public:
  Histogram() = default;
  void Observe(double value);

 private:
  friend class Registry;
  explicit Histogram(HistogramCells* cells) : cells_(cells) {}
  HistogramCells* cells_ = nullptr;
};

using Labels = std::vector<std::pair<std::string, std::string>>;

// a="b",c="d": labels as the text format has them between the braces.
std::string LabelText(const Labels& labels);

// Where an owner of many series writes them during a scrape.
class Samples {
 public:
  void Add(std::string_view label_text, uint64_t value);
  void Add(std::string_view label_text, double value);

 private:
  friend class Registry;
  Samples(std::string_view name, std::string& text) : name_(name), text_(text) {}
  std::string_view name_;
  std::string& text_;
};

// first, first*factor, ...: Go's prometheus.ExponentialBuckets.
std::vector<double> ExponentialBuckets(double first, double factor, size_t count);

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The kernel's own metrics: a bad or clashing name is our fault and fails a CHECK. The same name and labels give the
  // same metric. [any]
  Counter NewCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge NewGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram NewHistogram(const std::string& name, const std::string& help, const std::vector<double>& buckets,
                         const Labels& labels = {});

  // The same for names that come from a plugin: INVALID_ARGUMENT or ALREADY_EXISTS (as another type) instead.
  Result<Counter> TryCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Result<Gauge> TryGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Result<Histogram> TryHistogram(const std::string& name, const std::string& help, const std::vector<double>& buckets,
                                 const Labels& labels = {});

  // A value read when somebody scrapes. `value` is called on the scraping thread and must stay valid as long as the
  // registry, or until Forget.
  void RegisterCallbackGauge(const std::string& name, const std::string& help, std::function<double()> value,
                             const Labels& labels = {});
  void RegisterCallbackCounter(const std::string& name, const std::string& help, std::function<double()> value,
                               const Labels& labels = {});
  // A family whose cells are the owner's, for series that are too many or too hot for handles, or that come and go.
  // `write` adds all of them, in an order of its own that stays the same; the rules are those of callbacks.
  enum class Kind { kCounter, kGauge };
  void RegisterSeries(Kind kind, const std::string& name, const std::string& help, std::function<void(Samples&)> write);
  void Forget(const std::string& callback_name);

  // Prometheus text format 0.0.4, families in the order of their names, as Go's client writes it. Computed values are
  // asked for on this thread: a millisecond or two in all, so not on a thread that others wait for. [any]
  std::string Scrape() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tenon::metrics
