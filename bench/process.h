// What the kernel counts for a process: CPU, context switches, memory. Read from /proc, like a stranger would.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <map>

#include "kernel/base/status.h"

namespace tenon::bench {

struct ProcessSample {
  double user_us = 0;  // in the steps of the kernel's clock tick, 10 ms
  double system_us = 0;
  std::map<pid_t, uint64_t> switches;  // of each thread, voluntary and not
  uint64_t rss_bytes = 0;
  uint64_t rss_anon_bytes = 0;
};

// NotFound: there is no such process, or it is another user's.
Result<ProcessSample> SampleProcess(pid_t pid);

// Context switches between two samples. Those of a thread that ended in between are lost.
uint64_t SwitchesBetween(const ProcessSample& before, const ProcessSample& after);

// Of the calling thread, so far.
double OwnCpuUs();

}  // namespace tenon::bench
