#include "kernel/os/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace tenon {
namespace {

std::string ReadSmallFile(const char* path) {
  char buffer[4096];
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  const ssize_t n = ::read(fd, buffer, sizeof buffer);
  ::close(fd);
  return n <= 0 ? "" : std::string(buffer, static_cast<size_t>(n));
}

// "btime 1795380000" of /proc/stat, which is long: read line by line, once.
double BootTime() {
  double boot = 0;
  std::FILE* file = std::fopen("/proc/stat", "re");
  if (file == nullptr) return 0;
  char line[512];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::strncmp(line, "btime ", 6) == 0) boot = std::strtod(line + 6, nullptr);
  }
  std::fclose(file);
  return boot;
}

uint64_t Limit(int resource) {
  rlimit limit{};
  return getrlimit(static_cast<__rlimit_resource>(resource), &limit) == 0 ? limit.rlim_cur : 0;
}

}  // namespace

ProcessStats ReadProcessStats() {
  static const double boot = BootTime();
  static const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  static const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  ProcessStats stats;
  const std::string text = ReadSmallFile("/proc/self/stat");
  // The name in parentheses may hold anything, spaces too.
  const size_t end = text.rfind(')');
  if (end == text.npos) return stats;
  unsigned long long user = 0, system = 0, start = 0, size = 0, resident = 0;
  if (std::sscanf(text.c_str() + end + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu %llu %llu",
                  &user, &system, &start, &size, &resident) != 5) {
    return stats;
  }
  stats.cpu_seconds = static_cast<double>(user + system) / ticks;
  stats.start_time_seconds = boot + static_cast<double>(start) / ticks;
  stats.virtual_bytes = size;
  stats.resident_bytes = resident * page;
  return stats;
}

uint64_t OpenFileDescriptors() {
  struct stat info {};
  if (::stat("/proc/self/fd", &info) == 0 && info.st_size > 0) return static_cast<uint64_t>(info.st_size);
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  uint64_t n = 0;
  while (const dirent* entry = ::readdir(directory)) n += entry->d_name[0] != '.';
  ::closedir(directory);
  return n == 0 ? 0 : n - 1;  // without the directory's own
}

uint64_t MaxFileDescriptors() { return Limit(RLIMIT_NOFILE); }
uint64_t MaxVirtualBytes() { return Limit(RLIMIT_AS); }

}  // namespace tenon
