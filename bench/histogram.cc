#include "bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tenon::bench {

Histogram::Histogram() : buckets_(Bucket(UINT64_MAX) + 1) {}

void Histogram::Record(uint64_t value) {
  buckets_[Bucket(value)]++;
  count_++;
  sum_ += static_cast<double>(value);
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < buckets_.size(); i++) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

uint64_t Histogram::Quantile(double q) const {
  if (count_ == 0) return 0;
  const auto rank = std::clamp<uint64_t>(static_cast<uint64_t>(std::ceil(q * static_cast<double>(count_))), 1, count_);
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); i++) {
    seen += buckets_[i];
    // A bucket's middle can lie outside of what was seen, at both ends.
    if (seen >= rank) return std::clamp(Middle(i), min_, max_);
  }
  return max_;
}

// The value's highest 8 bits, below their exponent: [0, 256) one to one, then 128 buckets for each power of two.
size_t Histogram::Bucket(uint64_t value) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - (kOctaveBits + 1));
  return (static_cast<size_t>(shift) << kOctaveBits) + static_cast<size_t>(value >> shift);
}

uint64_t Histogram::Middle(size_t bucket) {
  constexpr size_t kExact = size_t{2} << kOctaveBits;
  if (bucket < kExact) return bucket;
  const int shift = static_cast<int>(bucket >> kOctaveBits) - 1;
  const uint64_t low = (bucket - (static_cast<size_t>(shift) << kOctaveBits)) << shift;
  return low + (uint64_t{1} << (shift - 1));
}

}  // namespace tenon::bench
