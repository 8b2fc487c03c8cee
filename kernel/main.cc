// tenond: reads the configuration, runs the kernel until it is told to stop.
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "absl/synchronization/mutex.h"

#include "kernel/base/log.h"
#include "kernel/config/config.h"
#include "kernel/config/notify.h"
#include "kernel/kernel.h"

namespace {

using namespace tenon;  // NOLINT

constexpr int64_t kGraceNs = 5'000'000'000;

void SetUpLog(const Config& config) {
  if (config.log_level == "debug") SetLogLevel(LogLevel::kDebug);
  if (config.log_level == "warn") SetLogLevel(LogLevel::kWarn);
  if (config.log_level == "error" || config.log_level == "panic" || config.log_level == "fatal")
    SetLogLevel(LogLevel::kError);
  if (config.log_format == "console") SetLogFormat(LogFormat::kConsole);
  // Where lines go: standard error unless --log-outputs says otherwise; a name that is not a stream is a file.
  std::vector<int> outputs;
  for (const std::string& name : config.log_outputs) {
    if (name == "stdout") {
      outputs.push_back(STDOUT_FILENO);
    } else if (name == "default" || name == "stderr" || name == "systemd/journal") {
      outputs.push_back(STDERR_FILENO);
    } else if (const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600); fd >= 0) {
      outputs.push_back(fd);
    } else {
      std::fprintf(stderr, "tenond: log-outputs: cannot open %s: %s\n", name.c_str(), std::strerror(errno));
      std::exit(1);
    }
  }
  SetLogSink([outputs](LogLevel, std::string_view line) {
    for (const int fd : outputs) {
      if (::write(fd, line.data(), line.size()) < 0) continue;  // nowhere left to complain
    }
  });
}

// Tells the supervisor, if there is one.
void Notify(std::string_view state) {
  if (const auto sent = NotifySupervisor(state); !sent.ok())
    LOG_WARN("cannot notify the supervisor", {"error", sent.status()});
}

[[noreturn]] void StopAtOnce(const Status& reason) {
  LOG_ERROR("stopping at once: the disk or the engine is not to be trusted any more", {"error", reason});
  std::_Exit(1);
}

// What the start needed goes back to the system. From now on malloc keeps at most 4 MiB at the end of each arena,
// enough for a value of 1 MiB from one request to the next; by itself it would raise both bounds, after one large
// answer, to 32 and 64 MiB.
void BoundFreeMemory() {
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
  malloc_trim(0);
}

// Beside SIGTERM and SIGINT: the kernel asks to be started anew.
const int kRestart = SIGRTMIN;

enum class End { kFailed, kStopped, kRestart };

// One kernel, from its start to its end.
End RunKernel(const Config& config, const sigset_t& signals) {
  Kernel::Hooks hooks;
  hooks.fatal = StopAtOnce;
  hooks.removed = [] { ::kill(::getpid(), SIGTERM); };
  hooks.restart = [] { ::kill(::getpid(), kRestart); };
  hooks.interrupted = [] {
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1 ||
           sigismember(&pending, kRestart) == 1;
  };
  auto kernel = Kernel::Start(config, std::move(hooks));
  int received = 0;
  if (kernel.ok()) {
    BoundFreeMemory();
    for (const Kernel::Module& m : (*kernel)->modules()) {
      LOG_INFO("loaded plugin", {"kind", m.kind}, {"name", m.name}, {"version", m.version}, {"file", m.file});
    }
    for (const std::string& url : (*kernel)->urls()) LOG_INFO("serving client traffic", {"address", url});
    LOG_INFO("ready to serve client requests", {"name", config.name},
             LogField::Hex("member-id", (*kernel)->member_id()), {"data-dir", config.data_dir});
    Notify("READY=1");
  } else if (!absl::IsCancelled(kernel.status())) {
    LOG_ERROR("cannot start", {"error", kernel.status()});
    std::fprintf(stderr, "tenond: %.*s\n", static_cast<int>(Message(kernel.status()).size()),
                 Message(kernel.status()).data());
    return End::kFailed;
  }
  sigwait(&signals, &received);
  if (received == kRestart) {
    LOG_INFO("starting anew with the state that was fetched");
    if (kernel.ok()) (*kernel)->Stop(0);
    return End::kRestart;
  }
  LOG_INFO("received signal; shutting down", {"signal", received == SIGTERM ? "terminated" : "interrupt"});
  Notify("STOPPING=1");
  // A second signal does not wait for the drain.
  std::thread([signals] {
    int again;
    do {
      sigwait(&signals, &again);
    } while (again == kRestart);
    std::_Exit(1);
  }).detach();
  if (kernel.ok()) (*kernel)->Stop(kGraceNs);
  LOG_INFO("stopped");
  return End::kStopped;
}

int Run(const Config& config) {
  // They are waited for; every thread inherits the mask.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, kRestart);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  End end;
  do {
    end = RunKernel(config, signals);
  } while (end == End::kRestart);
  return end == End::kStopped ? 0 : 1;
}

int Check(const CheckOnly& check) {
  for (const std::string& w : check.warnings) std::fprintf(stderr, "warning: %s\n", w.c_str());
  const std::vector<std::string> problems = CheckModules(check.config);
  for (const std::string& p : problems) std::fprintf(stderr, "%s\n", p.c_str());
  if (!problems.empty()) return 1;
  std::printf("configuration OK\n%s", Summary(check.config).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // Debian's absl watches every lock for deadlocks through one process-wide graph; gRPC's locks alone make that cost.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  LoadOutcome outcome = LoadFromProcess(argc, argv);
  if (const auto* text = std::get_if<PrintText>(&outcome)) {
    std::fputs(text->text.c_str(), stdout);
    return 0;
  }
  if (const auto* problems = std::get_if<Problems>(&outcome)) {
    for (const std::string& w : problems->warnings) std::fprintf(stderr, "warning: %s\n", w.c_str());
    std::fputs(problems->ToString().c_str(), stderr);
    return problems->exit_code;
  }
  if (const auto* check = std::get_if<CheckOnly>(&outcome)) return Check(*check);
  const auto& loaded = std::get<Loaded>(outcome);
  SetUpLog(loaded.config);
  for (const std::string& w : loaded.warnings) LOG_WARN(w);
  return Run(loaded.config);
}
