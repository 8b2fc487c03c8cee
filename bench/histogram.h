// How long things took: counts in buckets whose width is below 1 % of their value.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenon::bench {

// Values below 256 are exact; above, an octave has 128 buckets, so that a quantile is wrong by at most 0.4 %.
// A value takes one increment, whatever it is; 2^64 fits.
class Histogram {
 public:
  Histogram();

  void Record(uint64_t value);
  void Merge(const Histogram& other);

  uint64_t count() const { return count_; }
  uint64_t min() const { return count_ == 0 ? 0 : min_; }
  uint64_t max() const { return max_; }
  double mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

  // The smallest value that at least the part `q` (0..1) of all values does not exceed; 0 of nothing.
  uint64_t Quantile(double q) const;

 private:
  static constexpr int kOctaveBits = 7;

  static size_t Bucket(uint64_t value);
  static uint64_t Middle(size_t bucket);

  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  uint64_t min_ = UINT64_MAX;
  uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace tenon::bench
