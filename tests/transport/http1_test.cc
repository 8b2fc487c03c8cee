#include <thread>

#include "tests/transport/wire_fixture.h"

namespace tenon::testing {
namespace {

using Http1Test = WireTest;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Post(const std::string& path, const std::string& headers, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: wire\r\n" + headers + "\r\n" + body;
}

TEST_F(Http1Test, TheKernelSeesTheWholeRequest) {
  Wire wire(port_);
  wire.Send("POST /some/path?a=1&b=%20 HTTP/1.1\r\nHost: wire\r\nX-Mixed: Case\r\nContent-Length: 4\r\n\r\nbody");
  Http1Response response = ReadResponse(wire);
  EXPECT_THAT(response.head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(response.head, HasSubstr("\r\ncontent-type: text/plain\r\n"));
  EXPECT_THAT(response.head, HasSubstr("\r\ndate: "));
  EXPECT_THAT(response.body, StartsWith("POST /some/path query=a=1&b=%20 roles=3 remote=127.0.0.1:"));
  for (const char* part : {" body=body\n", "\nhost=wire\n", "\nx-mixed=Case\n"}) {
    EXPECT_THAT(response.body, HasSubstr(part));
  }
}

TEST_F(Http1Test, OneConnectionServesOneAfterTheOther) {
  Wire wire(port_);
  for (int i = 0; i < 20; ++i) {
    wire.Send(Get("/" + std::to_string(i)));
    Http1Response response = ReadResponse(wire);
    ASSERT_TRUE(response.complete);
    EXPECT_THAT(response.body, StartsWith("GET /" + std::to_string(i) + " "));
  }
}

TEST_F(Http1Test, PipelinedRequestsAreAnsweredInOrder) {
  Wire wire(port_);
  std::string all;
  for (int i = 0; i < 50; ++i) all += Get(i % 2 == 0 ? "/inline" : "/later", "n: " + std::to_string(i) + "\r\n");
  wire.Send(all);
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(ReadResponse(wire).body, HasSubstr("\nn=" + std::to_string(i) + "\n"));
  }
}

TEST_F(Http1Test, AChunkedBodyInPieces) {
  Wire wire(port_);
  wire.Send(Post("/x", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n"));
  wire.Send("4\r\nde");
  wire.Send("fg\r\n0\r\n\r\n");
  EXPECT_THAT(ReadResponse(wire).body, HasSubstr(" body=abcdefg\n"));
}

TEST_F(Http1Test, ARequestByteByByte) {
  Wire wire(port_);
  for (char c : Post("/slow", "Content-Length: 3\r\n", "abc")) ASSERT_TRUE(wire.Send(std::string(1, c)));
  EXPECT_THAT(ReadResponse(wire).body, HasSubstr(" body=abc\n"));
}

TEST_F(Http1Test, ContinueIsSaidBeforeTheBodyComes) {
  Wire wire(port_);
  wire.Send(Post("/x", "Content-Length: 3\r\nExpect: 100-continue\r\n", ""));
  EXPECT_EQ(wire.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  wire.Send("abc");
  EXPECT_THAT(ReadResponse(wire).body, HasSubstr(" body=abc\n"));
}

TEST_F(Http1Test, HeadHasNoBody) {
  Wire wire(port_);
  wire.Send("HEAD /sized HTTP/1.1\r\nHost: wire\r\n\r\n" + Get("/after"));
  EXPECT_THAT(ReadResponse(wire, true).head, HasSubstr("content-length: "));
  EXPECT_THAT(ReadResponse(wire).body, StartsWith("GET /after "));
}

TEST_F(Http1Test, AnOldClientGetsNoChunks) {
  Wire wire(port_);
  wire.Send("GET /large HTTP/1.0\r\n\r\n");
  Http1Response response = ReadResponse(wire);
  EXPECT_THAT(response.head, HasSubstr("connection: close\r\n"));
  EXPECT_EQ(response.head.find("chunked"), std::string::npos);
  EXPECT_EQ(response.body.size(), size_t{20} << 20);
}

TEST_F(Http1Test, CloseIsHonoured) {
  Wire wire(port_);
  wire.Send(Get("/x", "Connection: close\r\n"));
  EXPECT_TRUE(ReadResponse(wire).complete);
  EXPECT_EQ(wire.ReadToEnd(), "");
}

TEST_F(Http1Test, AClientThatClosedItsHalfIsAnswered) {
  Wire wire(port_);
  wire.Send(Get("/x"));
  wire.CloseHalf();
  EXPECT_TRUE(ReadResponse(wire).complete);
}

TEST_F(Http1Test, ALargeAnswerWaitsForItsReader) {
  Wire wire(port_);
  wire.Send(Get("/large"));
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.holds >= 1; }));
  Http1Response response = ReadResponse(wire);
  EXPECT_TRUE(response.complete);
  EXPECT_TRUE(response.body == std::string(size_t{20} << 20, 'l'));
  EXPECT_LT(kernel_.most_bytes_unreleased, 2 << 20);
}

TEST_F(Http1Test, StatusAndReason) {
  Wire wire(port_);
  wire.Send(Get("/teapot") + Get("/refused"));
  EXPECT_THAT(ReadResponse(wire).head, StartsWith("HTTP/1.1 418 "));
  EXPECT_THAT(ReadResponse(wire).head, StartsWith("HTTP/1.1 404 Not Found\r\n"));
}

// A client must not take half an answer for the whole.
TEST_F(Http1Test, ABrokenAnswerEndsTheConnectionUnfinished) {
  Wire wire(port_);
  wire.Send(Get("/broken"));
  EXPECT_FALSE(ReadResponse(wire).complete);
  EXPECT_TRUE(wire.closed());
}

TEST_F(Http1Test, AnAnswerWithoutHeadersIsNone) {
  Wire wire(port_);
  wire.Send(Get("/headless"));
  EXPECT_EQ(wire.ReadToEnd(), "");
}

TEST_F(Http1Test, WhatIsWrongIsSaidAndTheConnectionCloses) {
  std::string long_line(100'000, 'x');
  const std::pair<std::string, const char*> cases[] = {
      {"nonsense\r\n\r\n", "400 Bad Request"},
      {"GET /x HTTP/1.1\r\n\r\n", "400 Bad Request"},  // without Host
      {"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request"},
      {"GET /x HTTP/1.1\r\nHost: wire\r\nbad header: x\r\n\r\n", "400 Bad Request"},
      {Post("/x", "Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), "400 Bad Request"},
      {Post("/x", "Content-Length: -1\r\n", ""), "400 Bad Request"},
      {Post("/x", "Transfer-Encoding: chunked\r\n", "zz\r\n"), "400 Bad Request"},
      {Get("/x", "X: " + long_line + "\r\n"), "431 Request Header Fields Too Large"},
      {"GET /" + long_line, "431 Request Header Fields Too Large"},
      {Post("/x", "Content-Length: 5000000\r\n", ""), "413 Payload Too Large"},
  };
  for (const auto& [request, status] : cases) {
    Wire wire(port_);
    wire.Send(request);
    std::string answer = wire.ReadToEnd();
    EXPECT_THAT(answer, StartsWith(std::string("HTTP/1.1 ") + status)) << request.substr(0, 60);
    EXPECT_THAT(answer, HasSubstr("connection: close")) << request.substr(0, 60);
  }
  EXPECT_EQ(kernel_.http_begun, 0);
  ExpectAlive();
}

TEST_F(Http1Test, ALostClientCancels) {
  Wire wire(port_);
  wire.Send(Get("/hang"));
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.http_begun == 1; }));
  wire.Reset();
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.http_released == 1; }));
  EXPECT_EQ(kernel_.http_cancelled, 1);
}

TEST_F(Http1Test, StopEndsWhatIsOpen) {
  Wire wire(port_);
  wire.Send(Get("/hang"));
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.http_begun == 1; }));
  transport_->Stop();
  EXPECT_EQ(kernel_.http_released, 1);
  EXPECT_EQ(wire.ReadToEnd(), "");
}

TEST_F(Http1Test, DrainClosesWhatIsIdleAndLetsAnAnswerEnd) {
  Wire idle(port_), busy(port_);
  idle.Send(Get("/x"));
  EXPECT_TRUE(ReadResponse(idle).complete);
  busy.Send(Get("/large"));
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.holds >= 1; }));
  std::thread drain([&] { transport_->Drain(100'000'000'000); });
  EXPECT_EQ(idle.ReadToEnd(), "");
  EXPECT_TRUE(ReadResponse(busy).complete);
  drain.join();
  EXPECT_EQ(kernel_.http_cancelled, 0);
}

TEST_F(Http1Test, AGrpcListenerHasNoHttp) {
  transport_.reset();
  Serve({}, TENON_LISTEN_GRPC);
  Wire wire(port_);
  wire.Send(Get("/x"));
  EXPECT_EQ(wire.ReadToEnd(), "");
  EXPECT_EQ(kernel_.http_begun, 0);
}

}  // namespace
}  // namespace tenon::testing
