#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>

#include "tests/transport/fixture.h"

namespace tenon::testing {
namespace {

class ListenerTest : public ::testing::Test {
 protected:
  std::string EchoOn(const std::string& target) {
    UnaryResult result = RawClient(target).Unary("/echo.Echo/Unary", "hello");
    return result.status.ok() ? result.reply : result.status.error_message();
  }

  EchoKernel kernel_;
  LoadedTransport transport_{kernel_};
};

TEST_F(ListenerTest, PortZeroBecomesTheRealPort) {
  ASSERT_EQ(transport_.Listen("http://127.0.0.1:0"), "");
  EXPECT_EQ(transport_.Url().rfind("http://127.0.0.1:", 0), 0u) << transport_.Url();
  EXPECT_GT(std::stoi(transport_.Url().substr(17)), 1023);
  ASSERT_EQ(transport_.Start(), "");
  EXPECT_EQ(EchoOn(transport_.Target()), "hello");
}

TEST_F(ListenerTest, ATakenPortIsOneClearSentence) {
  ASSERT_EQ(transport_.Listen("http://127.0.0.1:0"), "");
  std::string url = transport_.Url();
  LoadedTransport second(kernel_);
  EXPECT_EQ(second.Listen(url), "listen tcp " + url.substr(7) + ": bind: address already in use");
}

TEST_F(ListenerTest, SeveralListenersAlsoWhileServing) {
  ASSERT_EQ(transport_.Listen("http://127.0.0.1:0"), "");
  std::string first = transport_.Target();
  ASSERT_EQ(transport_.Listen("http://localhost:0"), "");
  std::string second = transport_.Target();
  ASSERT_EQ(transport_.Start(), "");
  ASSERT_EQ(transport_.Listen("http://127.0.0.1:0"), "");
  for (const std::string& target : {first, second, transport_.Target()}) EXPECT_EQ(EchoOn(target), "hello");
}

TEST_F(ListenerTest, Ipv6) {
  std::string error = transport_.Listen("http://[::1]:0");
  if (error.find("cannot assign requested address") != std::string::npos ||
      error.find("address family not supported") != std::string::npos) {
    GTEST_SKIP() << "this machine has no ::1";
  }
  ASSERT_EQ(error, "");
  ASSERT_EQ(transport_.Start(), "");
  RawClient client(transport_.Target());
  std::string shown = client.Unary("/echo.Echo/Show", "").reply;
  EXPECT_NE(shown.find("remote=[::1]:"), std::string::npos) << shown;
}

TEST_F(ListenerTest, AllAddresses) {
  ASSERT_EQ(transport_.Listen("http://0.0.0.0:0"), "");
  ASSERT_EQ(transport_.Start(), "");
  std::string port = transport_.Url().substr(transport_.Url().rfind(':'));
  RawClient client("127.0.0.1" + port);
  std::string shown = client.Unary("/echo.Echo/Show", "").reply;
  EXPECT_NE(shown.find("remote=127.0.0.1:"), std::string::npos) << shown;
}

TEST_F(ListenerTest, UnixSocketOfAnAbsolutePath) {
  std::string path = ::testing::TempDir() + "transport_test_" + std::to_string(getpid()) + ".sock";
  ASSERT_EQ(transport_.Listen("unix://" + path), "");
  EXPECT_EQ(transport_.Url(), "unix://" + path);
  ASSERT_EQ(transport_.Start(), "");
  EXPECT_EQ(EchoOn(transport_.Target()), "hello");
  transport_.Stop();
  EXPECT_FALSE(std::filesystem::exists(path));
}

// etcd takes host and port of a unix URL as the file's name.
TEST_F(ListenerTest, UnixSocketOfAHostName) {
  std::filesystem::current_path(::testing::TempDir());
  std::string name = "localhost:m" + std::to_string(getpid());
  ASSERT_EQ(transport_.Listen("unix://" + name), "");
  EXPECT_TRUE(std::filesystem::exists(name));
  ASSERT_EQ(transport_.Start(), "");
  EXPECT_EQ(EchoOn("unix:" + name), "hello");
}

TEST_F(ListenerTest, AnInheritedSocketStaysOpen) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(fd, 16), 0);
  ASSERT_EQ(transport_.Listen("http://127.0.0.1:0", fd), "");
  ASSERT_EQ(transport_.Start(), "");
  EXPECT_EQ(EchoOn(transport_.Target()), "hello");
  transport_.Stop();
  int accepting = 0;
  socklen_t size = sizeof accepting;
  EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &size), 0);
  EXPECT_EQ(accepting, 1);
  close(fd);
}

TEST_F(ListenerTest, WhatCannotBeHonouredIsRefusedByName) {
  EXPECT_EQ(transport_.Check("http://127.0.0.1:0"), "");
  tenon_tls tls{.size = sizeof tls};
  for (std::string refused : {transport_.Check("https://127.0.0.1:1"), transport_.Check("unixs://a"),
                              transport_.Check("http://127.0.0.1:1", TENON_LISTEN_GRPC, &tls)}) {
    EXPECT_EQ(refused.rfind("TLS is not built yet in transport-" + LoadedTransport::Name() + ": ", 0), 0u) << refused;
  }
  std::string http = transport_.Check("http://127.0.0.1:1", TENON_LISTEN_GRPC | TENON_LISTEN_HTTP);
  std::string metrics = transport_.Check("http://127.0.0.1:1", TENON_LISTEN_METRICS);
  if (LoadedTransport::Name() == "grpc") {
    EXPECT_NE(http.find("HTTP"), std::string::npos) << http;
    EXPECT_NE(metrics.find("metrics"), std::string::npos) << metrics;
  } else {
    EXPECT_EQ(http, "");
    EXPECT_EQ(metrics, "");
  }
  EXPECT_NE(transport_.Check("http://127.0.0.1:1", TENON_LISTEN_PEER).find("peer"), std::string::npos);
  EXPECT_NE(transport_.Check("http://127.0.0.1:1", 64), "");
  EXPECT_NE(transport_.Listen("https://127.0.0.1:0"), "") << "listen refuses it too";
}

TEST_F(ListenerTest, BadUrlsAreRefused) {
  for (const char* url : {"", "127.0.0.1:2379", "ftp://127.0.0.1:1", "http://127.0.0.1", "http://127.0.0.1:x",
                          "http://127.0.0.1:70000", "http://::1:2379", "http://127.0.0.1:1/path", "unix://"}) {
    EXPECT_NE(transport_.Check(url), "") << url;
  }
}

TEST_F(ListenerTest, ConfigurationErrorsNameThePlace) {
  EXPECT_EQ(
      LoadedTransport::Refusal(kernel_, {{LoadedTransport::ThreadsKey(), "2"}, {"grpc-keepalive-min-time", "10s"}}),
      "");
  EXPECT_EQ(LoadedTransport::Refusal(kernel_, {{LoadedTransport::ThreadsKey(), "many"}}),
            "test.yaml:1:1: " + LoadedTransport::ThreadsKey() + ": \"many\" is not a number of 0 to 64");
  EXPECT_NE(LoadedTransport::Refusal(kernel_, {{"grpc-keepalive-interval", "5 apples"}}), "");
  EXPECT_NE(LoadedTransport::Refusal(kernel_, {{"max-request-bytes", "4GiB"}}), "");
}

int Connect(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{
      .sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  if (fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

// Idle connections take both ends' descriptors here: as many of 10,000 as the limit allows.
TEST_F(ListenerTest, ThousandsOfIdleConnections) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  size_t wanted = std::min<size_t>(10000, static_cast<size_t>(limit.rlim_max) / 2 - 200);
  ASSERT_EQ(transport_.Listen("http://127.0.0.1:0"), "");
  ASSERT_EQ(transport_.Start(), "");
  int port = std::stoi(transport_.Url().substr(transport_.Url().rfind(':') + 1));
  std::vector<int> idle;
  while (idle.size() < wanted) {
    int fd = Connect(port);
    ASSERT_GE(fd, 0) << "after " << idle.size();
    idle.push_back(fd);
  }
  EXPECT_EQ(EchoOn(transport_.Target()), "hello");
  for (int fd : idle) close(fd);
  EXPECT_EQ(EchoOn(transport_.Target()), "hello");
}

}  // namespace
}  // namespace tenon::testing
