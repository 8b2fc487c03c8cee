#include "kernel/os/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <vector>

namespace tenon {
namespace {

TEST(ProcessTest, StatsAreOfThisProcess) {
  const ProcessStats before = ReadProcessStats();
  std::vector<char> memory(64 << 20, 'x');  // touched: resident
  const auto cpu = [] {
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  };
  const double until = cpu() + 0.05;
  while (cpu() < until) memory[0]++;
  const ProcessStats after = ReadProcessStats();
  EXPECT_GE(after.resident_bytes, before.resident_bytes + (48 << 20));
  EXPECT_GE(after.virtual_bytes, after.resident_bytes);
  EXPECT_GT(after.cpu_seconds, before.cpu_seconds);
  EXPECT_NEAR(after.cpu_seconds, cpu(), 0.5);
  EXPECT_EQ(after.start_time_seconds, before.start_time_seconds);
  EXPECT_LE(after.start_time_seconds, static_cast<double>(time(nullptr)) + 2);
  EXPECT_GT(after.start_time_seconds, static_cast<double>(time(nullptr)) - 3600);
}

TEST(ProcessTest, DescriptorsAreCounted) {
  const uint64_t before = OpenFileDescriptors();
  EXPECT_GE(before, 3u);
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(OpenFileDescriptors(), before + 1);
  ::close(fd);
  EXPECT_EQ(OpenFileDescriptors(), before);
  EXPECT_GE(MaxFileDescriptors(), before);
}

}  // namespace
}  // namespace tenon
