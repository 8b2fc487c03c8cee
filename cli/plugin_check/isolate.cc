#include "cli/plugin_check/isolate.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>

#include "kernel/base/check.h"

namespace tenon::plugin_check {
namespace {

// Removed with all that is in it.
struct Folder {
  Folder() { CHECK(mkdtemp(path.data()) != nullptr); }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Folder(const Folder&) = delete;
  std::string path = (std::filesystem::temp_directory_path() / "plugin-check-XXXXXX").string();
};

int child_answer_fd = -1;

// In the child: the first byte of the answer is the outcome, the rest the reason.
[[noreturn]] void End(const std::string& answer) {
  const bool written = write(child_answer_fd, answer.data(), answer.size()) == static_cast<ssize_t>(answer.size());
  _exit(written ? 0 : 1);
}

[[noreturn]] void Child(const Case& test, const void* table, const testing::Config& config, const Folder& folder,
                        int answer_fd, int log_fd) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::filesystem::current_path(folder.path);
  dup2(log_fd, STDERR_FILENO);
  dup2(log_fd, STDOUT_FILENO);
  child_answer_fd = answer_fd;
  Failed::at_once = [](const std::string& text) { End("-" + text); };
  try {
    test.run(table, config);
  } catch (const NotApplicable& reason) {
    End("0" + reason.text);
  }
  End("+");
}

std::string Tail(int fd, size_t limit = 2000) {
  const off_t size = lseek(fd, 0, SEEK_END);
  std::string text(std::min<size_t>(limit, size > 0 ? static_cast<size_t>(size) : 0), '\0');
  const ssize_t n = pread(fd, text.data(), text.size(), size - static_cast<off_t>(text.size()));
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return text;
}

}  // namespace

Verdict RunApart(const Case& test, const void* table, const testing::Config& config, int limit_seconds) {
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  const Folder folder;
  int answer[2];
  const int log = memfd_create("case", MFD_CLOEXEC);
  CHECK(pipe(answer) == 0 && log >= 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    close(answer[0]);
    Child(test, table, config, folder, answer[1], log);
  }
  close(answer[1]);

  Verdict verdict;
  std::string text;
  bool late = false;
  for (;;) {
    const auto left = std::chrono::seconds(limit_seconds) - (Clock::now() - began);
    const auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
    pollfd wait{.fd = answer[0], .events = POLLIN};
    if (left_ms <= 0 || poll(&wait, 1, static_cast<int>(left_ms)) == 0) {
      late = true;
      break;
    }
    char buffer[1024];
    const ssize_t n = read(answer[0], buffer, sizeof buffer);
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  if (late) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (late) {
    verdict.why = fmt::format("it did not end in {} s: something blocks", limit_seconds);
  } else if (text.empty() && WIFSIGNALED(status)) {
    verdict.why = fmt::format("the process died of signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  } else if (text.empty()) {
    verdict.why = fmt::format("the process ended with exit code {} inside the plugin", WEXITSTATUS(status));
  } else {
    verdict.outcome = text[0] == '+' ? Outcome::kOk : text[0] == '0' ? Outcome::kNotApplicable : Outcome::kFailed;
    verdict.why = text.substr(1);
  }
  verdict.output = Tail(log);
  verdict.seconds = std::chrono::duration<double>(Clock::now() - began).count();
  close(answer[0]);
  close(log);
  return verdict;
}

}  // namespace tenon::plugin_check
