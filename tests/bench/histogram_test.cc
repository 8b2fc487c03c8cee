#include "bench/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace tenon::bench {
namespace {

TEST(Histogram, OfNothingIsZero) {
  const Histogram h;
  EXPECT_EQ(h.count(), 0u);
  EXPECT_EQ(h.Quantile(0.5), 0u);
  EXPECT_EQ(h.min(), 0u);
  EXPECT_EQ(h.max(), 0u);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram h;
  for (uint64_t v = 1; v <= 200; v++) h.Record(v);
  EXPECT_EQ(h.Quantile(0.5), 100u);
  EXPECT_EQ(h.Quantile(0.99), 198u);
  EXPECT_EQ(h.Quantile(1), 200u);
  EXPECT_EQ(h.Quantile(0), 1u);
  EXPECT_DOUBLE_EQ(h.mean(), 100.5);
}

TEST(Histogram, EveryMagnitudeIsKeptWithinHalfAPercent) {
  for (double value = 1; value < 1e18; value *= 1.37) {
    Histogram h;
    h.Record(0);  // so that the ends do not hide the bucket's error
    h.Record(static_cast<uint64_t>(value));
    h.Record(UINT64_MAX);
    const double kept = static_cast<double>(h.Quantile(0.5));
    EXPECT_LE(std::abs(kept - std::floor(value)), value * 0.004) << value;
  }
}

TEST(Histogram, QuantilesAgreeWithSortedValues) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> latencies(14, 1);
  Histogram h;
  std::vector<uint64_t> all;
  for (int i = 0; i < 50'000; i++) {
    all.push_back(static_cast<uint64_t>(latencies(random)));
    h.Record(all.back());
  }
  std::sort(all.begin(), all.end());
  for (const double q : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const auto exact = static_cast<double>(all[static_cast<size_t>(std::ceil(q * all.size())) - 1]);
    EXPECT_NEAR(static_cast<double>(h.Quantile(q)), exact, exact * 0.01) << q;
  }
  EXPECT_EQ(h.min(), all.front());
  EXPECT_EQ(h.max(), all.back());
}

TEST(Histogram, MergingIsAsRecordingBoth) {
  Histogram a, b, both;
  for (uint64_t v = 1; v < 5000; v += 3) a.Record(v), both.Record(v);
  for (uint64_t v = 1'000'000; v < 2'000'000; v += 501) b.Record(v), both.Record(v);
  a.Merge(b);
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.max(), both.max());
  for (const double q : {0.1, 0.5, 0.9}) EXPECT_EQ(a.Quantile(q), both.Quantile(q));
}

}  // namespace
}  // namespace tenon::bench
