// The system's clock.
#pragma once
#include "kernel/ports/clock.h"

namespace tenon {

class OsClock : public Clock {
 public:
  uint64_t MonoNs() override;
  uint64_t WallNs() override;
};

}  // namespace tenon
