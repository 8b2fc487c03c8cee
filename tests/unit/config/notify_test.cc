#include "kernel/config/notify.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace tenon {
namespace {

// A supervisor's socket in the abstract namespace, so that no file stays behind.
class Supervisor {
 public:
  Supervisor() : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    address_ = fmt::format("@tenon-notify-test-{}", ::getpid());
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path + 1, address_.data() + 1, address_.size() - 1);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&at), size), 0);
  }
  ~Supervisor() { ::close(fd_); }

  const std::string& address() const { return address_; }
  std::string Receive() {
    char buffer[256];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
    return n < 0 ? "nothing" : std::string(buffer, static_cast<size_t>(n));
  }

 private:
  int fd_;
  std::string address_;
};

TEST(Notify, ReachesTheSupervisor) {
  Supervisor supervisor;
  ::setenv("NOTIFY_SOCKET", supervisor.address().c_str(), 1);
  const Result<bool> sent = NotifySupervisor("READY=1");
  ::unsetenv("NOTIFY_SOCKET");
  ASSERT_TRUE(sent.ok()) << sent.status();
  EXPECT_TRUE(*sent);
  EXPECT_EQ(supervisor.Receive(), "READY=1");
}

TEST(Notify, WithoutSupervisorIsNoError) {
  ::unsetenv("NOTIFY_SOCKET");
  ASSERT_TRUE(NotifySupervisor("READY=1").ok());
  EXPECT_FALSE(*NotifySupervisor("READY=1"));
}

TEST(Notify, SaysWhyItFailed) {
  EXPECT_FALSE(NotifyAt("relative", "READY=1").ok());
  EXPECT_FALSE(NotifyAt("", "READY=1").ok());
  EXPECT_FALSE(NotifyAt("/" + std::string(200, 'x'), "READY=1").ok());
  const Status nobody = NotifyAt(fmt::format("@tenon-nobody-{}", ::getpid()), "READY=1");
  EXPECT_NE(Message(nobody).find("Connection refused"), std::string_view::npos) << nobody;
}

}  // namespace
}  // namespace tenon
