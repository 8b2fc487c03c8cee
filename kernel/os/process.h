// What this process uses of the machine, from /proc/self; what cannot be read is 0.
#pragma once
#include <cstdint>

namespace tenon {

struct ProcessStats {
  double cpu_seconds = 0;         // user and system
  double start_time_seconds = 0;  // since 1970
  uint64_t resident_bytes = 0, virtual_bytes = 0;
};
ProcessStats ReadProcessStats();

// Descriptors that are open now. Asks for no list where the kernel tells the number (Linux 6.2 on).
uint64_t OpenFileDescriptors();
uint64_t MaxFileDescriptors();
uint64_t MaxVirtualBytes();

}  // namespace tenon
