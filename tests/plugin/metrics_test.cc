#include "kernel/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <limits>

#include "kernel/base/check.h"

namespace tenon::metrics {
namespace {

TEST(MetricsTest, AScrapeIsPrometheusTextInTheOrderOfNames) {
  Registry registry;
  Gauge committed =
      registry.NewGauge("etcd_server_proposals_committed_total", "The total number of consensus proposals committed.");
  Counter received = registry.NewCounter("etcd_network_client_grpc_received_bytes_total",
                                         "The total number of bytes received from grpc clients.");
  Histogram fsync =
      registry.NewHistogram("etcd_disk_wal_fsync_duration_seconds", "The latency.", ExponentialBuckets(0.001, 2, 2));
  registry.RegisterCallbackGauge("etcd_mvcc_db_total_size_in_bytes", "Total size.", [] { return 20480.0; });
  committed.Set(41);
  committed.Add(1);
  received.Add(5);
  fsync.Observe(0.0015);
  EXPECT_EQ(
      registry.Scrape(),
      "# HELP etcd_disk_wal_fsync_duration_seconds The latency.\n"
      "# TYPE etcd_disk_wal_fsync_duration_seconds histogram\n"
      "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 0\n"
      "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.002\"} 1\n"
      "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 1\n"
      "etcd_disk_wal_fsync_duration_seconds_sum 0.0015\n"
      "etcd_disk_wal_fsync_duration_seconds_count 1\n"
      "# HELP etcd_mvcc_db_total_size_in_bytes Total size.\n"
      "# TYPE etcd_mvcc_db_total_size_in_bytes gauge\n"
      "etcd_mvcc_db_total_size_in_bytes 20480\n"
      "# HELP etcd_network_client_grpc_received_bytes_total The total number of bytes received from grpc clients.\n"
      "# TYPE etcd_network_client_grpc_received_bytes_total counter\n"
      "etcd_network_client_grpc_received_bytes_total 5\n"
      "# HELP etcd_server_proposals_committed_total The total number of consensus proposals committed.\n"
      "# TYPE etcd_server_proposals_committed_total gauge\n"
      "etcd_server_proposals_committed_total 42\n");
}

TEST(MetricsTest, ABucketHoldsWhatIsAtMostItsBound) {
  Registry registry;
  Histogram h = registry.NewHistogram("h", "", {1, 2}, {{"side", "left"}});
  for (const double value : {0.5, 1.0, 1.5, 2.0, 3.0}) h.Observe(value);
  registry.NewHistogram("h", "", {1, 2}, {{"side", "left"}}).Observe(-1);  // the same series
  EXPECT_THAT(registry.Scrape(), testing::HasSubstr("h_bucket{side=\"left\",le=\"1\"} 3\n"
                                                    "h_bucket{side=\"left\",le=\"2\"} 5\n"
                                                    "h_bucket{side=\"left\",le=\"+Inf\"} 6\n"
                                                    "h_sum{side=\"left\"} 7\nh_count{side=\"left\"} 6\n"));
}

TEST(MetricsTest, LabelsMakeSeriesOfOneFamily) {
  Registry registry;
  registry.NewCounter("grpc_server_handled_total", "h", {{"grpc_method", "Put"}, {"grpc_code", "OK"}}).Add(3);
  registry.NewCounter("grpc_server_handled_total", "h", {{"grpc_method", "Range"}, {"grpc_code", "OK"}}).Add();
  registry.NewCounter("grpc_server_handled_total", "h", {{"grpc_method", "Put"}, {"grpc_code", "OK"}}).Add();
  EXPECT_EQ(registry.Scrape(),
            "# HELP grpc_server_handled_total h\n"
            "# TYPE grpc_server_handled_total counter\n"
            "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\"} 4\n"
            "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Range\"} 1\n");
}

TEST(MetricsTest, ACallbackIsReadAtEachScrapeUntilForgotten) {
  Registry registry;
  double now = 1;
  registry.RegisterCallbackGauge("x", "", [&] { return now; }, {{"side", "left"}});
  registry.RegisterCallbackGauge("x", "", [&] { return now * 10; }, {{"side", "right"}});
  registry.RegisterCallbackCounter("y_total", "", [&] { return 7; });
  now = 2;
  EXPECT_THAT(registry.Scrape(), testing::HasSubstr("x{side=\"left\"} 2\nx{side=\"right\"} 20\n"));
  EXPECT_THAT(registry.Scrape(), testing::HasSubstr("# TYPE y_total counter\ny_total 7\n"));
  registry.Forget("x");
  EXPECT_THAT(registry.Scrape(), testing::Not(testing::HasSubstr("x{")));
  registry.NewCounter("x", "");  // the name is free again
}

TEST(MetricsTest, AnOwnerWritesItsSeriesUntilForgotten) {
  Registry registry;
  const std::string put = LabelText({{"method", "Put"}, {"code", "OK"}});
  registry.RegisterSeries(Registry::Kind::kCounter, "calls_total", "Calls.", [&](Samples& samples) {
    samples.Add(put, uint64_t{18446744073709551615u});
    samples.Add("", 0.5);
  });
  registry.NewCounter("a_total", "");
  EXPECT_EQ(registry.Scrape(),
            "# HELP a_total \n# TYPE a_total counter\na_total 0\n"
            "# HELP calls_total Calls.\n# TYPE calls_total counter\n"
            "calls_total{method=\"Put\",code=\"OK\"} 18446744073709551615\ncalls_total 0.5\n");
  EXPECT_FALSE(registry.TryCounter("calls_total", "").ok());
  registry.Forget("calls_total");
  EXPECT_TRUE(registry.TryGauge("calls_total", "").ok());
}

TEST(MetricsTest, TextsAreEscapedAndNumbersAreGos) {
  Registry registry;
  registry.NewGauge("g", "a\\b\nc\"d", {{"l", "a\\b\nc\"d"}}).Set(std::numeric_limits<double>::infinity());
  registry.NewGauge("h", "").Set(1e21);
  EXPECT_EQ(registry.Scrape(),
            "# HELP g a\\\\b\\nc\"d\n# TYPE g gauge\ng{l=\"a\\\\b\\nc\\\"d\"} +Inf\n"
            "# HELP h \n# TYPE h gauge\nh 1e+21\n");
}

TEST(MetricsTest, BadAndClashingNamesAreRefused) {
  Registry registry;
  registry.NewCounter("a_total", "");
  registry.RegisterCallbackGauge("callback", "", [] { return 0; });
  EXPECT_EQ(Message(registry.TryGauge("a_total", "").status()), "metric a_total exists already as another type");
  EXPECT_FALSE(registry.TryGauge("callback", "").ok());
  EXPECT_FALSE(registry.TryGauge("", "").ok());
  EXPECT_FALSE(registry.TryGauge("a-b", "").ok());
  EXPECT_FALSE(registry.TryGauge("ok", "", {{"le", "x"}}).ok());
  EXPECT_FALSE(registry.TryGauge("ok", "", {{"0", "x"}}).ok());
  EXPECT_FALSE(registry.TryHistogram("h", "", {2, 1}).ok());
  EXPECT_FALSE(registry.TryHistogram("h", "", {1, 1}).ok());
  EXPECT_TRUE(registry.TryHistogram("h", "", {1, 2}).ok());
  EXPECT_EQ(Message(registry.TryHistogram("h", "", {1, 3}).status()), "metric h exists already with other buckets");
}

TEST(MetricsTest, ACounterNeverGoesDown) {
  Registry registry;
  Counter counter = registry.NewCounter("c_total", "");
  counter.Add(2);
  counter.Add(-1);
  EXPECT_EQ(counter.Value(), 2);
}

TEST(MetricsTest, AnUnmadeHandleSwallows) {
  Counter().Add(1);
  Gauge().Set(1);
  Histogram().Observe(1);
  EXPECT_EQ(Counter().Value(), 0);
}

// Not an assertion about time: prints what the handles cost, in CPU time of this thread, best of 20 rounds.
TEST(MetricsTest, CostOfAHandle) {
  Registry registry;
  Counter counter = registry.NewCounter("c_total", "");
  Histogram histogram = registry.NewHistogram("h_seconds", "", ExponentialBuckets(0.001, 2, 14));
  const auto cpu_ns = [] {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
  };
  const auto per_call_ns = [&](auto&& call) {
    constexpr int kCalls = 10'000;
    double best = 1e9;
    for (int round = 0; round < 20; round++) {
      const double begin = cpu_ns();
      for (int i = 0; i < kCalls; i++) call(i);
      best = std::min(best, (cpu_ns() - begin) / kCalls);
    }
    return best;
  };
  const double add = per_call_ns([&](int) { counter.Add(); });
  const double observe = per_call_ns([&](int i) { histogram.Observe((i * 7919 % 10'000) * 1e-3); });
  std::printf("counter.Add %.1f ns, histogram.Observe (14 buckets) %.1f ns\n", add, observe);
  EXPECT_EQ(counter.Value(), 200'000);
}

}  // namespace
}  // namespace tenon::metrics
