#include "kernel/os/clock.h"

#include <ctime>

namespace tenon {
namespace {

uint64_t Read(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace

uint64_t OsClock::MonoNs() { return Read(CLOCK_MONOTONIC); }
uint64_t OsClock::WallNs() { return Read(CLOCK_REALTIME); }

}  // namespace tenon
