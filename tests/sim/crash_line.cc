#include "tests/sim/crash_line.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace tenon::sim {
namespace {

constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
std::array<struct sigaction, kSignals.size()> former;
char line[4096];
size_t length = 0;

void OnSignal(int signal) {
  // Only what may be called here.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line, length);
  for (size_t i = 0; i < kSignals.size(); i++) {
    if (kSignals[i] == signal) sigaction(signal, &former[i], nullptr);
  }
  raise(signal);  // again, once this returns
}

}  // namespace

void SetCrashLine(std::string_view replay) {
  length = 0;
  for (const std::string_view part :
       {std::string_view("\nthe simulator crashed; replay: "), replay, std::string_view("\n")}) {
    const size_t n = std::min(part.size(), sizeof line - length);
    std::memcpy(line + length, part.data(), n);
    length += n;
  }
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_handler = OnSignal;
    for (size_t i = 0; i < kSignals.size(); i++) sigaction(kSignals[i], &action, &former[i]);
    return true;
  }();
  static_cast<void>(installed);
}

}  // namespace tenon::sim
