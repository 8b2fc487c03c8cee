#include <chrono>
#include <thread>

#include "tests/transport/wire_fixture.h"

namespace tenon::testing {
namespace {

using namespace std::chrono_literals;

using Http2Test = WireTest;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Headers HttpHeaders(const std::string& method, const std::string& path, const Headers& more = {}) {
  Headers headers = {{":method", method}, {":scheme", "http"}, {":path", path}, {":authority", "wire"}};
  headers.insert(headers.end(), more.begin(), more.end());
  return headers;
}

// ---- plain HTTP ----

TEST_F(Http2Test, WhatIsNotGrpcGoesToTheKernelWhole) {
  H2Response response =
      H2Wire(port_).Call(HttpHeaders("POST", "/some/path?a=1", {{"content-type", "application/json"}}), "{}");
  EXPECT_EQ(response.headers[":status"], "200");
  EXPECT_EQ(response.headers["content-type"], "text/plain");
  EXPECT_THAT(response.data, StartsWith("POST /some/path query=a=1 roles=3 remote=127.0.0.1:"));
  for (const char* part : {" body={}\n", "\nhost=wire\n", "\ncontent-type=application/json\n"}) {
    EXPECT_THAT(response.data, HasSubstr(part));
  }
  EXPECT_TRUE(response.trailers.empty());
}

// The object that served a call serves the next request; of the call's message nothing may be left in it.
TEST_F(Http2Test, ABodyComesAfterACallThatFailedInItsMessage) {
  H2Wire wire(port_);
  std::string lies = GrpcMessage("short");
  lies[4] = 100;  // the message is said to be longer than it is
  EXPECT_EQ(wire.Call(GrpcHeaders("/echo.Echo/Unary"), lies).Field("grpc-status"), "13");
  H2Response response = wire.Call({{":method", "POST"},
                                   {":scheme", "http"},
                                   {":authority", "x"},
                                   {":path", "/echo"},
                                   {"content-type", "text/html"}},
                                  std::string(50, 'b'));
  EXPECT_TRUE(response.ended);
  EXPECT_EQ(response.headers[":status"], "200");
}

TEST_F(Http2Test, GetAndHead) {
  H2Wire wire(port_);
  EXPECT_THAT(wire.Await(wire.Open(HttpHeaders("GET", "/inline"), true)).data, StartsWith("GET /inline "));
  H2Response head = wire.Await(wire.Open(HttpHeaders("HEAD", "/sized"), true));
  EXPECT_EQ(head.headers[":status"], "200");
  EXPECT_EQ(head.data, "");
  EXPECT_EQ(wire.Await(wire.Open(HttpHeaders("GET", "/teapot"), true)).headers[":status"], "418");
  EXPECT_EQ(wire.Await(wire.Open(HttpHeaders("GET", "/refused"), true)).headers[":status"], "404");
}

TEST_F(Http2Test, ALargeBodyWaitsForItsReader) {
  H2Wire wire(port_);
  int32_t stream = wire.Open(HttpHeaders("GET", "/large"), true);
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.holds >= 1; }));
  H2Response response = wire.Await(stream);
  EXPECT_TRUE(response.ended);
  EXPECT_TRUE(response.data == std::string(size_t{20} << 20, 'l'));
  EXPECT_LT(kernel_.most_bytes_unreleased, 2 << 20);
}

TEST_F(Http2Test, ABrokenBodyIsReset) {
  H2Wire wire(port_);
  H2Response response = wire.Await(wire.Open(HttpHeaders("GET", "/broken"), true));
  EXPECT_FALSE(response.ended);
  EXPECT_EQ(response.reset, NGHTTP2_INTERNAL_ERROR);
}

TEST_F(Http2Test, ABodyHasALimit) {
  H2Wire wire(port_);
  int32_t stream = wire.Open(HttpHeaders("POST", "/x"), false);
  for (int i = 0; i < 150; ++i) wire.Data(stream, std::string(16384, 'b'), false);
  EXPECT_EQ(wire.Await(stream).headers[":status"], "413");
  EXPECT_EQ(kernel_.http_begun, 0);
}

// ---- gRPC: what the protocol's document asks, in grpc-go's words ----

TEST_F(Http2Test, HeadersAreRead) {
  H2Response shown = H2Wire(port_).Call(
      GrpcHeaders("/echo.Echo/Show", {{"one-bin", "AP8"}, {"two-bin", "AP8="}, {"x", "1"}, {"x", "2"}}),
      GrpcMessage(""));
  EXPECT_THAT(shown.data, HasSubstr(std::string("one-bin=\0\xff\n", 11)));
  EXPECT_THAT(shown.data, HasSubstr(std::string("two-bin=\0\xff\n", 11)));
  EXPECT_THAT(shown.data, HasSubstr("x=1\nx=2\n"));
}

TEST_F(Http2Test, TimeoutsOfEveryUnit) {
  const std::pair<const char*, int64_t> cases[] = {{"1H", 3'600'000'000'000},   {"2M", 120'000'000'000},
                                                   {"3S", 3'000'000'000},       {"9000m", 9'000'000'000},
                                                   {"5000000u", 5'000'000'000}, {"99999999n", 99'999'999}};
  for (const auto& [text, ns] : cases) {
    H2Response shown;
    // A tenth of a second, the most there is in nanoseconds, may pass on a busy machine before the host is asked.
    for (int tries = 0; tries < 100 && shown.data.empty(); ++tries) {
      shown = H2Wire(port_).Call(GrpcHeaders("/echo.Echo/Show", {{"grpc-timeout", text}}), GrpcMessage(""));
    }
    EXPECT_THAT(shown.data, HasSubstr("timeout_ns=" + std::to_string(ns) + "\n")) << text;
  }
}

TEST_F(Http2Test, RefusalsHaveGrpcGosWords) {
  struct {
    Headers headers;
    const char *http, *grpc, *message;
  } const cases[] = {
      {GrpcHeaders("/echo.Echo/Unary", {{"grpc-timeout", "10"}}), "400", "13",
       "malformed grpc-timeout: transport: timeout unit is not recognized: \"10\""},
      {GrpcHeaders("/echo.Echo/Unary", {{"grpc-timeout", "S"}}), "400", "13",
       "malformed grpc-timeout: transport: timeout string is too short: \"S\""},
      {GrpcHeaders("/echo.Echo/Unary", {{"grpc-timeout", "123456789S"}}), "400", "13",
       "malformed grpc-timeout: transport: timeout string is too long: \"123456789S\""},
      {GrpcHeaders("/echo.Echo/Unary", {{"grpc-timeout", "0n"}}), "200", "4", "context deadline exceeded"},
      {GrpcHeaders("/echo.Echo/Unary", {{"a-bin", "?"}}), "400", "13",
       "malformed binary metadata \"?\" in header \"a-bin\": illegal base64 data at input byte 0"},
      {GrpcHeaders("/echo.Echo/Unary", {{"grpc-encoding", "snappy"}}), "200", "12",
       "grpc: Decompressor is not installed for grpc-encoding \"snappy\""},
      {GrpcHeaders("/echo.Echo/Nothing"), "200", "12", "unknown method Nothing for service echo.Echo"},
  };
  for (const auto& c : cases) {
    H2Response response = H2Wire(port_).Call(c.headers, GrpcMessage("x"));
    EXPECT_EQ(response.headers[":status"], c.http) << c.message;
    EXPECT_EQ(response.headers["grpc-status"], c.grpc) << c.message;
    EXPECT_EQ(response.headers["grpc-message"], c.message);
  }
  EXPECT_EQ(kernel_.unary_calls, 0);
}

TEST_F(Http2Test, AnUnknownEncodingIsToldWhichThereAre) {
  H2Response response =
      H2Wire(port_).Call(GrpcHeaders("/echo.Echo/Unary", {{"grpc-encoding", "br"}}), GrpcMessage("x"));
  EXPECT_EQ(response.Field("grpc-accept-encoding"), "identity,gzip");
}

TEST_F(Http2Test, OnlyPost) {
  Headers headers = GrpcHeaders("/echo.Echo/Unary");
  headers[0].second = "GET";
  H2Response response = H2Wire(port_).Call(headers, GrpcMessage("x"));
  EXPECT_EQ(response.headers[":status"], "405");
  EXPECT_EQ(response.headers["grpc-message"], "Received a HEADERS frame with :method \"GET\" which should be POST");
}

TEST_F(Http2Test, AGrpcListenerRefusesOtherContent) {
  transport_.reset();
  Serve({}, TENON_LISTEN_GRPC);
  H2Response response = H2Wire(port_).Call(HttpHeaders("POST", "/x", {{"content-type", "text/html"}}), "x");
  EXPECT_EQ(response.headers[":status"], "415");
  EXPECT_EQ(response.headers["grpc-status"], "3");
  EXPECT_EQ(response.headers["grpc-message"], "invalid gRPC request content-type \"text/html\"");
}

TEST_F(Http2Test, MessagesThatAreNone) {
  struct {
    const char* method;
    std::string body;
    const char *grpc, *message;
  } const cases[] = {
      {"Unary", "", "2", "EOF"},
      {"Unary", std::string("\0\0\0\0\5ab", 7), "13", "unexpected EOF"},
      {"Bidi", std::string("\0\0\0", 3), "13", "unexpected EOF"},
      {"Unary", std::string("\7\0\0\0\0", 5), "13", "grpc: received unexpected payload format 7"},
      {"Unary", GrpcMessage("abc", 1), "13", "grpc: compressed flag set with identity or empty encoding"},
      {"Bidi", std::string("\0\x7f\0\0\0", 5), "8", "grpc: received message larger than max (2130706432 vs. 2097152)"},
  };
  for (const auto& c : cases) {
    H2Response response = H2Wire(port_).Call(GrpcHeaders(std::string("/echo.Echo/") + c.method), c.body);
    EXPECT_EQ(response.Field("grpc-status"), c.grpc) << c.message;
    EXPECT_EQ(response.Field("grpc-message"), c.message);
  }
  EXPECT_EQ(kernel_.unary_calls, 0);
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.streams_released == kernel_.streams_begun; }));
}

TEST_F(Http2Test, AMessageByteByByte) {
  H2Wire wire(port_);
  int32_t stream = wire.Open(GrpcHeaders("/echo.Echo/Unary"), false);
  for (char c : GrpcMessage("in pieces")) ASSERT_TRUE(wire.Data(stream, std::string(1, c), false));
  wire.Data(stream, "", true);
  EXPECT_EQ(wire.Await(stream).data, GrpcMessage("in pieces"));
}

TEST_F(Http2Test, SeveralMessagesInOneFrame) {
  H2Response response =
      H2Wire(port_).Call(GrpcHeaders("/echo.Echo/Bidi"), GrpcMessage("a") + GrpcMessage("") + GrpcMessage("c"));
  EXPECT_EQ(response.data, GrpcMessage("a") + GrpcMessage("") + GrpcMessage("c"));
  EXPECT_EQ(response.trailers["echo-trailer"], "the end");
}

// The answer does not wait for a client that never ends its request; that is told to stop.
TEST_F(Http2Test, AnAnswerBeforeTheRequestsEnd) {
  H2Wire wire(port_);
  int32_t stream = wire.Open(GrpcHeaders("/echo.Echo/Unary"), false);
  wire.Data(stream, GrpcMessage("x"), false);
  EXPECT_TRUE(wire.Await(stream).ended);
  EXPECT_TRUE(wire.AwaitFrame(NGHTTP2_RST_STREAM));
  EXPECT_EQ(wire.Await(stream).reset, NGHTTP2_NO_ERROR);
}

TEST_F(Http2Test, ADeadlineIsAnsweredByTheServerToo) {
  // On a busy machine a short deadline passes before the host hears of the call.
  for (int ms = 50; kernel_.unary_calls == 0 && ms <= 12'800; ms *= 2) {
    H2Response response = H2Wire(port_).Call(
        GrpcHeaders("/echo.Echo/Hang", {{"grpc-timeout", std::to_string(ms) + "m"}}), GrpcMessage("x"));
    EXPECT_EQ(response.Field("grpc-status"), "4");
    EXPECT_EQ(response.Field("grpc-message"), "context deadline exceeded");
  }
  EXPECT_GE(kernel_.unary_calls, 1);
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.unary_cancels == kernel_.unary_calls; }));
}

// Also of a stream whose client takes nothing, so that trailers would wait for ever.
TEST_F(Http2Test, ADeadlineOfAHeldStreamResetsIt) {
  H2Response response;
  // On a busy machine a short deadline passes before the stream is held.
  for (int ms = 300; kernel_.holds == 0 && ms <= 19'200; ms *= 2) {
    H2Wire wire(port_);
    wire.give_window = false;
    int32_t stream = wire.Open(GrpcHeaders("/echo.Echo/Produce", {{"grpc-timeout", std::to_string(ms) + "m"}}), false);
    wire.Data(stream, GrpcMessage("1000 4096"), true);
    response = wire.Await(stream);
  }
  EXPECT_GE(kernel_.holds, 1);
  EXPECT_EQ(response.reset, NGHTTP2_CANCEL);
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.streams_released == kernel_.streams_begun; }));
}

TEST_F(Http2Test, AWindowOfOneByte) {
  H2Wire wire(port_, std::string("\0\4\0\0\0\1", 6));  // INITIAL_WINDOW_SIZE
  H2Response response = wire.Call(GrpcHeaders("/echo.Echo/Unary"), GrpcMessage(std::string(300, 'w')));
  EXPECT_EQ(response.data, GrpcMessage(std::string(300, 'w')));
  EXPECT_EQ(response.Field("grpc-status"), "0");
}

TEST_F(Http2Test, TrailersOfTheClientAreHeard) {
  H2Wire wire(port_);
  int32_t stream = wire.Open(GrpcHeaders("/echo.Echo/Bidi"), false);
  wire.Data(stream, GrpcMessage("x"), false);
  wire.Send(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, stream, HeaderBlock({{"t", "1"}}));
  EXPECT_EQ(wire.Await(stream).Field("grpc-status"), "0");
  EXPECT_EQ(kernel_.streams_half_closed, 1);
}

// ---- manners ----

TEST_F(Http2Test, PingIsAnswered) {
  H2Wire wire(port_);
  wire.Send(NGHTTP2_PING, 0, 0, "12345678");
  ASSERT_TRUE(wire.AwaitFrame(NGHTTP2_PING));
}

TEST_F(Http2Test, TooManyPingsEndTheConnection) {
  H2Wire wire(port_);
  for (int i = 0; i < 4; ++i) wire.Send(NGHTTP2_PING, 0, 0, "12345678");
  EXPECT_TRUE(wire.AwaitFrame(NGHTTP2_GOAWAY));
  EXPECT_EQ(wire.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_EQ(wire.goaway_text, "too_many_pings");
  EXPECT_FALSE(wire.Next());
}

TEST_F(Http2Test, PingsBetweenAnswersAreFine) {
  H2Wire wire(port_);
  for (int i = 0; i < 20; ++i) {
    wire.Send(NGHTTP2_PING, 0, 0, "12345678");
    ASSERT_TRUE(wire.Call(GrpcHeaders("/echo.Echo/Unary"), GrpcMessage("x")).ended);
  }
  EXPECT_FALSE(wire.goaway);
}

TEST_F(Http2Test, AnOpenStreamMayPingAsOftenAsConfigured) {
  transport_.reset();
  Serve({{"grpc-keepalive-min-time", "1ns"}});
  H2Wire wire(port_);
  int32_t stream = wire.Open(GrpcHeaders("/echo.Echo/Bidi"), false);
  for (int i = 0; i < 20; ++i) {
    wire.Send(NGHTTP2_PING, 0, 0, "12345678");
    ASSERT_TRUE(wire.AwaitFrame(NGHTTP2_PING));
  }
  wire.Data(stream, "", true);
  EXPECT_TRUE(wire.Await(stream).ended);
  EXPECT_FALSE(wire.goaway);
}

TEST_F(Http2Test, ASilentClientIsPingedAndThenDropped) {
  transport_.reset();
  Serve({{"grpc-keepalive-interval", "50ms"}, {"grpc-keepalive-timeout", "100ms"}});
  H2Wire wire(port_);
  EXPECT_TRUE(wire.AwaitFrame(NGHTTP2_PING));
  while (wire.Next()) {  // we answer none
  }
  EXPECT_TRUE(wire.wire().closed());
  // Two, if our answer to its SETTINGS came behind the first.
  EXPECT_LE(wire.seen[NGHTTP2_PING], 2);
}

TEST_F(Http2Test, AClientThatAnswersStays) {
  transport_.reset();
  Serve({{"grpc-keepalive-interval", "30ms"}, {"grpc-keepalive-timeout", "100s"}});
  H2Wire wire(port_);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(wire.AwaitFrame(NGHTTP2_PING));
    wire.Send(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, std::string(8, '\0'));
  }
}

TEST_F(Http2Test, DrainSaysSoAndServesWhatIsOpen) {
  H2Wire wire(port_);
  int32_t open = wire.Open(GrpcHeaders("/echo.Echo/Bidi"), false);
  wire.Data(open, GrpcMessage("a"), false);
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.messages_in == 1; }));
  std::thread drain([&] { EXPECT_EQ(transport_->Drain(100'000'000'000), TENON_OK); });
  EXPECT_TRUE(wire.AwaitFrame(NGHTTP2_GOAWAY));
  EXPECT_EQ(wire.goaway, NGHTTP2_NO_ERROR);
  // On its way before we heard: still served. The answer to the ping says we heard.
  H2Response late = wire.Call(GrpcHeaders("/echo.Echo/Unary"), GrpcMessage("late"));
  EXPECT_EQ(late.data, GrpcMessage("late"));
  ASSERT_TRUE(wire.seen[NGHTTP2_PING] == 1 || wire.AwaitFrame(NGHTTP2_PING));
  wire.Send(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, std::string("\1\6\1\x8\0\3\3\x9", 8));
  EXPECT_TRUE(wire.AwaitFrame(NGHTTP2_GOAWAY));
  wire.Data(open, GrpcMessage("b"), true);
  EXPECT_EQ(wire.Await(open).data, GrpcMessage("a") + GrpcMessage("b"));
  EXPECT_FALSE(wire.Next()) << "nothing is open: the connection closes";
  drain.join();
}

// gRPC's C core reads nothing while it has no calls: such a client kept each stop waiting for a second.
TEST_F(Http2Test, DrainDoesNotWaitLongForAClientThatNeverAnswers) {
  constexpr auto kLong = 900ms;  // a tenth would do; a busy machine gets several tries
  auto least = std::chrono::nanoseconds::max();
  for (int left = 10; left > 0 && least >= kLong; --left) {
    Serve();
    H2Wire wire(port_);
    ASSERT_TRUE(wire.Call(GrpcHeaders("/echo.Echo/Unary"), GrpcMessage("x")).ended);
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(transport_->Drain(100'000'000'000), TENON_OK);
    least = std::min<std::chrono::nanoseconds>(least, std::chrono::steady_clock::now() - began);
    while (wire.Next()) {
    }
    EXPECT_EQ(wire.goaway, NGHTTP2_NO_ERROR) << "it hears in the end";
  }
  EXPECT_LT(least, kLong);
}

TEST_F(Http2Test, MaxConcurrentStreamsIsAnnouncedAndKept) {
  transport_.reset();
  Serve({{"max-concurrent-streams", "3"}});
  H2Wire wire(port_);
  ASSERT_TRUE(wire.AwaitFrame(NGHTTP2_SETTINGS));
  wire.Send(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0);
  for (int i = 0; i < 3; ++i) wire.Open(GrpcHeaders("/echo.Echo/Bidi"), false);
  int32_t fourth = wire.Open(GrpcHeaders("/echo.Echo/Bidi"), false);
  H2Response response = wire.Await(fourth);
  EXPECT_TRUE(response.reset == NGHTTP2_REFUSED_STREAM || wire.goaway);
  EXPECT_LE(kernel_.streams_begun, 3);
}

}  // namespace
}  // namespace tenon::testing
