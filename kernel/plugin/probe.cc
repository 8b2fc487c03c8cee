#include "kernel/plugin/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>

namespace tenon::plugin {
namespace {

constexpr size_t kMostWords = 400;  // of the child's last words

struct Pipe {
  int read_end = -1, write_end = -1;
  bool Open() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return false;
    read_end = fds[0], write_end = fds[1];
    return true;
  }
  void Close(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
  ~Pipe() {
    Close(read_end);
    Close(write_end);
  }
};

// Never returns to the caller's stack: nothing of the parent's may be unwound or flushed twice.
[[noreturn]] void BeTheChild(const std::function<Status()>& work, int verdict, int words) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  for (const int signal_number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM, SIGINT, SIGTRAP, SIGSYS}) {
    signal(signal_number, SIG_DFL);
  }
  sigset_t all;
  sigemptyset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  dup2(words, STDERR_FILENO);
  const Status status = work();
  std::string answer = fmt::format("{}", static_cast<int>(status.code()));
  answer += ' ';
  answer += Message(status);
  size_t sent = 0;
  while (sent < answer.size()) {
    const ssize_t n = write(verdict, answer.data() + sent, answer.size() - sent);
    if (n <= 0) break;
    sent += static_cast<size_t>(n);
  }
  _exit(0);
}

// Takes what is there; false at the end of the stream.
bool ReadSome(int fd, std::string& to) {
  char buffer[4096];
  const ssize_t n = read(fd, buffer, sizeof buffer);
  if (n > 0 && to.size() < 64 * 1024) to.append(buffer, static_cast<size_t>(n));
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void ReadRest(int fd, std::string& to) {
  char buffer[4096];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // the end, or a grandchild keeps the pipe open without writing
    to.append(buffer, static_cast<size_t>(n));
  }
}

// On one line, cut.
std::string LastWords(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  if (text.empty()) return "it wrote nothing";
  for (size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at)) text.replace(at, 1, "; ");
  if (text.size() > kMostWords) text = text.substr(0, kMostWords) + "...";
  return fmt::format("it wrote: {}", text);
}

}  // namespace

Status RunInChild(const std::function<Status()>& work, int64_t timeout_ns) {
  Pipe verdict, words;
  if (!verdict.Open() || !words.Open()) {
    return absl::UnavailableError(fmt::format("cannot be tried out: no pipe ({})", std::strerror(errno)));
  }
  const pid_t child = fork();
  if (child < 0)
    return absl::UnavailableError(fmt::format("cannot be tried out: no child process ({})", std::strerror(errno)));
  if (child == 0) BeTheChild(work, verdict.write_end, words.write_end);
  verdict.Close(verdict.write_end);
  words.Close(words.write_end);
  fcntl(verdict.read_end, F_SETFL, O_NONBLOCK);
  fcntl(words.read_end, F_SETFL, O_NONBLOCK);

  const auto deadline = std::chrono::steady_clock::now() + std::chrono::nanoseconds(timeout_ns);
  std::string answer, said;
  bool answering = true, saying = true, killed = false;
  int how = 0;
  for (;;) {
    pollfd fds[2] = {{answering ? verdict.read_end : -1, POLLIN, 0}, {saying ? words.read_end : -1, POLLIN, 0}};
    poll(fds, 2, answering || saying ? 20 : 1);
    // In this order: what the child wrote before it ended is in the pipes once waitpid has seen it end.
    const pid_t ended = waitpid(child, &how, WNOHANG);
    if (fds[0].revents != 0) answering = ReadSome(verdict.read_end, answer);
    if (fds[1].revents != 0) saying = ReadSome(words.read_end, said);
    if (ended == child || (ended < 0 && errno != EINTR)) {
      if (answering) ReadRest(verdict.read_end, answer);
      if (saying) ReadRest(words.read_end, said);
      break;
    }
    if (!killed && std::chrono::steady_clock::now() >= deadline) {
      kill(child, SIGKILL);
      killed = true;
    }
  }

  if (const size_t space = answer.find(' '); space != std::string::npos && !killed) {
    const auto code = static_cast<StatusCode>(std::atoi(answer.c_str()));
    return code == StatusCode::kOk ? Ok() : Status(code, answer.substr(space + 1));
  }
  if (killed) {
    return absl::FailedPreconditionError(
        fmt::format("hung while it was being loaded (more than {} ms; {}): do not use this "
                    "build, ask its maker",
                    timeout_ns / 1'000'000, LastWords(said)));
  }
  if (WIFSIGNALED(how)) {
    const int number = WTERMSIG(how);
    return absl::FailedPreconditionError(
        fmt::format("{} while it was being loaded ({}; {}): do not use this build, ask its maker",
                    number == SIGABRT ? "aborted" : "crashed", strsignal(number), LastWords(said)));
  }
  return absl::FailedPreconditionError(
      fmt::format("ended the process while it was being loaded (exit code {}; {}): do not use "
                  "this build, ask its maker",
                  WEXITSTATUS(how), LastWords(said)));
}

}  // namespace tenon::plugin
