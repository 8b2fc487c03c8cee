#include "bench/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace tenon::bench {
namespace {

// "VmRSS:     1234 kB" -> 1234; 0 when the line is not there.
uint64_t StatusNumber(const std::string& file, const std::string& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name + ":")) return std::stoull(line.substr(name.size() + 1));
  }
  return 0;
}

}  // namespace

Result<ProcessSample> SampleProcess(pid_t pid) {
  const std::string folder = fmt::format("/proc/{}", pid);
  std::ifstream file(folder + "/stat");
  std::string stat;
  if (!std::getline(file, stat)) return absl::NotFoundError(fmt::format("no process {}", pid));
  // The second field is the program's name in parentheses and may hold anything; utime and stime are 14 and 15.
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string skipped;
  for (int i = 3; i < 14; i++) fields >> skipped;
  uint64_t user = 0, system = 0;
  fields >> user >> system;

  ProcessSample sample;
  const double tick_us = 1e6 / static_cast<double>(sysconf(_SC_CLK_TCK));
  sample.user_us = static_cast<double>(user) * tick_us;
  sample.system_us = static_cast<double>(system) * tick_us;
  std::error_code gone;  // threads and the process itself may end while we read
  for (const auto& task : std::filesystem::directory_iterator(folder + "/task", gone)) {
    const std::string status = task.path().string() + "/status";
    sample.switches[std::stoi(task.path().filename().string())] =
        StatusNumber(status, "voluntary_ctxt_switches") + StatusNumber(status, "nonvoluntary_ctxt_switches");
  }
  sample.rss_bytes = StatusNumber(folder + "/status", "VmRSS") * 1024;
  sample.rss_anon_bytes = StatusNumber(folder + "/status", "RssAnon") * 1024;
  return sample;
}

uint64_t SwitchesBetween(const ProcessSample& before, const ProcessSample& after) {
  uint64_t sum = 0;
  for (const auto& [thread, count] : after.switches) {
    const auto earlier = before.switches.find(thread);
    sum += count - (earlier == before.switches.end() ? 0 : earlier->second);
  }
  return sum;
}

double OwnCpuUs() {
  rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  const auto us = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

}  // namespace tenon::bench
