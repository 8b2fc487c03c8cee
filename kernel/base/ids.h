// Term and Index: numbers that must not be mixed up.
#pragma once
#include <compare>
#include <cstdint>
#include <ostream>

namespace tenon {

// A counter with a type of its own. Tag makes the types distinct.
template <class Tag>
struct Counter {
  uint64_t value = 0;

  constexpr Counter() = default;
  constexpr explicit Counter(uint64_t v) : value(v) {}
  friend constexpr auto operator<=>(Counter, Counter) = default;
  constexpr Counter& operator++() { return ++value, *this; }
  friend constexpr Counter operator+(Counter a, uint64_t n) { return Counter(a.value + n); }
  friend constexpr Counter operator-(Counter a, uint64_t n) { return Counter(a.value - n); }
  friend constexpr uint64_t operator-(Counter a, Counter b) { return a.value - b.value; }
  friend std::ostream& operator<<(std::ostream& out, Counter c) { return out << c.value; }
};

using Term = Counter<struct TermTag>;    // raft's election number
using Index = Counter<struct IndexTag>;  // position in the raft log; 0 is before the first entry

using MemberId = uint64_t;  // 0: nobody

}  // namespace tenon
