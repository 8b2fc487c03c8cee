// Time, as the kernel sees it. Nothing else in the kernel may ask the system for the time.
#pragma once
#include <cstdint>

namespace tenon {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t MonoNs() = 0;  // never goes back; for intervals. [any thread]
  virtual uint64_t WallNs() = 0;  // since 1970 UTC; may jump. [any thread]
};

}  // namespace tenon
