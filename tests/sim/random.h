// Seeded numbers, and the fingerprint of what a run did with them.
#pragma once
#include <cstdint>
#include <string_view>

namespace tenon::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {  // splitmix64
    state_ += 0x9e3779b97f4a7c15;
    uint64_t z = state_;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  uint64_t Below(uint64_t n) { return Next() % n; }
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  bool Chance(uint64_t percent) { return Below(100) < percent; }
  // A generator of its own: how often one part draws does not change what another part gets.
  Random Fork() { return Random(Next()); }

 private:
  uint64_t state_;
};

// Same seed, same hash: everything that was decided or observed goes in.
class Trace {
 public:
  void Add(uint64_t value) {
    hash_ = (hash_ ^ value) * 0x100000001b3;
    hash_ ^= hash_ >> 29;
    count_++;
  }
  void Add(std::string_view bytes) {
    for (const char c : bytes) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    Add(bytes.size());
  }
  uint64_t hash() const { return hash_; }
  uint64_t count() const { return count_; }

 private:
  uint64_t hash_ = 0xcbf29ce484222325, count_ = 0;
};

}  // namespace tenon::sim
