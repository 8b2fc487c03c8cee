#include <algorithm>
#include <future>

#include "tests/transport/fixture.h"

namespace tenon::testing {
namespace {

using UnaryTest = TransportTest;

// Bytes that would show a part missing or out of order.
std::string Noise(size_t n) {
  std::string out(n, '\0');
  uint32_t state = 1;
  for (char& c : out) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return out;
}

TEST_F(UnaryTest, AnsweredInside) {
  UnaryResult result = client_->Unary("/echo.Echo/Unary", "hello");
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.reply, "hello");
}

TEST_F(UnaryTest, AnsweredFromAnotherThread) {
  for (int i = 0; i < 100; ++i) {
    UnaryResult result = client_->Unary("/echo.Echo/Later", std::to_string(i));
    ASSERT_TRUE(result.status.ok()) << result.status.error_message();
    ASSERT_EQ(result.reply, std::to_string(i));
  }
}

TEST_F(UnaryTest, EmptyMessage) {
  UnaryResult result = client_->Unary("/echo.Echo/Unary", "");
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.reply, "");
}

TEST_F(UnaryTest, SizesAroundEachCopyRuleComeBackByteExact) {
  for (size_t n : {1, 22, 23, 24, 511, 512, 2047, 2048, 2049, 9000, 20000, 300000, 1 << 20}) {
    std::string noise = Noise(n);
    for (const char* method : {"/echo.Echo/Unary", "/echo.Echo/Later"}) {
      UnaryResult result = client_->Unary(method, noise);
      ASSERT_TRUE(result.status.ok()) << n << " " << result.status.error_message();
      ASSERT_TRUE(result.reply == noise) << n;
    }
  }
}

TEST_F(UnaryTest, TwoMebibytesAreTakenUpToTheLimitAndNoFurther) {
  // 1.5 MiB and etcd's 512 KiB around it.
  std::string fits = Noise(2 << 20);
  EXPECT_TRUE(client_->Unary("/echo.Echo/Unary", fits).reply == fits);
  UnaryResult result = client_->Unary("/echo.Echo/Unary", fits + "x");
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(result.status.error_message().find("eceived message larger than max (2097153 vs. 2097152)"),
            std::string::npos)
      << result.status.error_message();
}

TEST_F(UnaryTest, TheLimitComesFromTheConfiguration) {
  StopServing();
  Serve({{"max-request-bytes", "4MiB"}});
  std::string fits = Noise(4 << 20);
  EXPECT_TRUE(client_->Unary("/echo.Echo/Unary", fits).reply == fits);
  EXPECT_EQ(client_->Unary("/echo.Echo/Unary", Noise(5 << 20)).status.error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(UnaryTest, GzipRequestIsInflated) {
  std::string text(100000, 'z');
  UnaryResult result = client_->Unary("/echo.Echo/Unary", text, {.gzip = true});
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_TRUE(result.reply == text);
}

TEST_F(UnaryTest, UnknownNamesAreRefusedInGrpcGosWords) {
  auto refused = [&](const char* path) {
    grpc::Status status = client_->Unary(path, "x").status;
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    return status.error_message();
  };
  EXPECT_EQ(refused("/foo.Bar/Baz"), "unknown service foo.Bar");
  EXPECT_EQ(refused("/echo.Echo/Nothing"), "unknown method Nothing for service echo.Echo");
  EXPECT_EQ(refused("/echo.Echo/"), "unknown method  for service echo.Echo");
  EXPECT_EQ(refused("/a/b/c"), "unknown service a/b");
  EXPECT_EQ(refused("/nothing"), "malformed method name: \"/nothing\"");
}

TEST_F(UnaryTest, ErrorsKeepCodeAndText) {
  grpc::Status status =
      client_->Unary("/echo.Echo/Fail", "11 etcdserver: mvcc: required revision has been compacted").status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(status.error_message(), "etcdserver: mvcc: required revision has been compacted");
  status = client_->Unary("/echo.Echo/Fail", "3 100% Grüße\n\"日本\" %41").status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "100% Grüße\n\"日本\" %41");
  status = client_->Unary("/echo.Echo/Fail", "103 a disk failed").status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL) << "Tenon's own codes stay inside";
}

TEST_F(UnaryTest, TheCallInfoSaysWhoCalls) {
  std::string shown = client_
                          ->Unary("/echo.Echo/Show", "",
                                  {.metadata = {{"token", "abc.1"},
                                                {"authorization", "xyz"},
                                                {"hasleader", "true"},
                                                {"client-api-version", "3.7"},
                                                {"raw-bin", std::string("\0\xff", 2)}}})
                          .reply;
  for (const char* line :
       {"name=/echo.Echo/Show\n", "remote=127.0.0.1:", "timeout_ns=0\n", "\ntoken=abc.1\n", "\nauthorization=xyz\n",
        "\nhasleader=true\n", "\nclient-api-version=3.7\n", "\nuser-agent=grpc-c++"}) {
    EXPECT_NE(shown.find(line), std::string::npos) << line << " in " << shown;
  }
  EXPECT_NE(shown.find(std::string("raw-bin=\0\xff\n", 11)), std::string::npos);
  for (const char* hidden : {"\n:", "\ngrpc-", "\nte=", "\ncontent-type="}) {
    EXPECT_EQ(shown.find(hidden), std::string::npos) << hidden << " in " << shown;
  }
}

TEST_F(UnaryTest, TheDeadlineReachesTheHost) {
  std::string shown = client_->Unary("/echo.Echo/Show", "", {.deadline = std::chrono::seconds(500)}).reply;
  ASSERT_NE(shown.find("timeout_ns="), std::string::npos) << shown;
  int64_t timeout_ns = std::stoll(shown.substr(shown.find("timeout_ns=") + 11));
  EXPECT_GT(timeout_ns, 400'000'000'000);
  EXPECT_LE(timeout_ns, 510'000'000'000);  // gRPC's client rounds up
}

TEST_F(UnaryTest, APassedDeadlineCancelsTheCall) {
  // On a busy machine a short deadline passes before the host hears of the call.
  for (int ms = 100; kernel_.unary_calls == 0 && ms <= 12'800; ms *= 2) {
    UnaryResult result = client_->Unary("/echo.Echo/Hang", "", {.deadline = std::chrono::milliseconds(ms)});
    EXPECT_EQ(result.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  EXPECT_GE(kernel_.unary_calls, 1);
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.unary_cancels == kernel_.unary_calls; }));
}

TEST_F(UnaryTest, AClientThatGoesAwayCancelsTheCall) {
  auto stream = client_->Open("/echo.Echo/Hang");
  stream->Write("x");
  stream->HalfClose();
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.unary_calls == 1; }));
  stream->Cancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.unary_cancels == 1; }));
  EXPECT_EQ(client_->Unary("/echo.Echo/Unary", "still here").reply, "still here");
}

TEST_F(UnaryTest, AMissingRequestIsAnError) {
  auto stream = client_->Open("/echo.Echo/Unary");
  stream->HalfClose();
  grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNKNOWN);
  EXPECT_EQ(status.error_message(), "EOF");
  EXPECT_EQ(kernel_.unary_calls, 0);
}

TEST_F(UnaryTest, ManyClientsAtOnce) {
  std::vector<std::future<int>> clients;
  for (int c = 0; c < 8; ++c) {
    clients.push_back(std::async(std::launch::async, [&, c] {
      RawClient client(transport_->Target());
      int good = 0;
      for (int i = 0; i < 500; ++i) {
        std::string text = std::to_string(c * 1000 + i);
        good += client.Unary(i % 2 == 0 ? "/echo.Echo/Unary" : "/echo.Echo/Later", text).reply == text;
      }
      return good;
    }));
  }
  for (auto& client : clients) EXPECT_EQ(client.get(), 500);
}

// gRPC 1.51's callback API sleeps 100 ms when a request comes 1.0 to 1.1 s after the last one. Only waiting shows it.
// A machine with other work is slow after any pause: then the quiet second must cost no more than a short pause does.
TEST_F(UnaryTest, ARequestAfterAQuietSecondDoesNotWait) {
  using Clock = std::chrono::steady_clock;
  client_->Unary("/echo.Echo/Unary", "connect");
  auto took_after = [&](int pause_ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    auto began = Clock::now();
    EXPECT_EQ(client_->Unary("/echo.Echo/Unary", "x").reply, "x");
    return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
  };
  auto median = [](std::vector<double> ms) {
    std::sort(ms.begin(), ms.end());
    return ms[ms.size() / 2];
  };
  std::vector<double> quiet, brief;
  for (int window = 0; window < 3 && (quiet.empty() || median(quiet) >= 2.0); ++window) {
    for (int i = 0; i < 7; ++i) quiet.push_back(took_after(1010)), brief.push_back(took_after(100));
  }
  RecordProperty("p50_ms", std::to_string(median(quiet)));
  EXPECT_LT(median(quiet), std::max(2.0, median(brief) + 50)) << "after a short pause " << median(brief);
}

}  // namespace
}  // namespace tenon::testing
