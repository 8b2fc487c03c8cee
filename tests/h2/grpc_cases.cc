// gRPC's own rules over HTTP/2 (its document PROTOCOL-HTTP2): headers, the framing of messages, how a call ends.
#include "fmt/format.h"
#include "tests/h2/case.h"

namespace tenon::testing {
namespace {

using namespace http2;

std::string Request(const Headers& headers, std::string_view data) {
  return Frame(kHeaders, kEndHeaders, 1, Literal(headers)) + Frame(kData, kEndStream, 1, data);
}
std::string Unary(const Headers& more, std::string_view without = "", std::string_view path = "/echo.Echo/Unary") {
  return Request(GrpcHeaders(path, more, without), GrpcMessage("hello"));
}
std::string Data(std::string_view data, uint8_t flags = kNone) { return Frame(kData, flags, 1, data); }
const std::string kOpen = Frame(kHeaders, kEndHeaders, 1, Literal(GrpcHeaders("/echo.Echo/Unary")));

void Headers_(std::vector<Case>& all) {
  for (const char* type : {"application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"}) {
    all.push_back(
        {fmt::format("content-type {}", type), Unary({{"content-type", type}}, "content-type"), Answer("hello")});
  }
  for (const char* type : {"application/grpcweb", "application/json", "text/plain", ""}) {
    all.push_back(
        {fmt::format("content-type '{}' is 415", type), Unary({{"content-type", type}}, "content-type"), Http(415)});
  }
  all.push_back({"content-type missing is 415", Unary({}, "content-type"), Http(415)});
  all.push_back({"te missing is borne, as by grpc-go", Unary({}, "te"), Answer("hello")});
  all.push_back({"method GET is refused", Unary({{":method", "GET"}}, ":method"), Http(405)});
  all.back().sent = Frame(kHeaders, kEndHeaders | kEndStream, 1,
                          Literal(":method", "GET") + Literal(GrpcHeaders("/echo.Echo/Unary", {}, ":method")));
  all.push_back({"path of an unknown service", Unary({}, "", "/foo.Bar/Baz"), Status(12, "unknown service foo.Bar")});
  all.push_back({"path of an unknown method", Unary({}, "", "/echo.Echo/Nothing"),
                 Status(12, "unknown method Nothing for service echo.Echo")});
  all.push_back(
      {"path without a method", Unary({}, "", "/nothing"), Status(12, "malformed method name: \"/nothing\"")});
  all.push_back({"user-agent, grpc-accept-encoding and custom fields are borne",
                 Unary({{"user-agent", "x"}, {"grpc-accept-encoding", "identity,deflate,gzip"}, {"x-y", "z"}}),
                 Answer("hello")});
  all.push_back({"a -bin field in two padded pieces", Unary({{"a-bin", "AP8=,AP8="}}), Answer("hello")});
  for (const char* timeout : {"1H", "1M", "99999999S", "1000m", "10000000u"}) {
    all.push_back({fmt::format("grpc-timeout {}", timeout), Unary({{"grpc-timeout", timeout}}), Answer("hello")});
  }
  // A tenth of a second, the most there is in nanoseconds, may pass before the host is asked.
  all.push_back({"grpc-timeout 99999999n", Unary({{"grpc-timeout", "99999999n"}}), Answer("hello"), "", false, 100});
  for (const char* timeout : {"1", "S", "", "1x", "-1S", "123456789S", "1.5S"}) {
    all.push_back(
        {fmt::format("grpc-timeout '{}' is malformed", timeout), Unary({{"grpc-timeout", timeout}}), Status(13)});
  }
  all.push_back({"grpc-timeout passes",
                 Request(GrpcHeaders("/echo.Echo/Hang", {{"grpc-timeout", "50m"}}), GrpcMessage("x")), Status(4)});
}

void Messages(std::vector<Case>& all) {
  const std::string message = GrpcMessage("hello");
  for (size_t cut = 0; cut <= message.size(); ++cut) {
    all.push_back({fmt::format("message cut at byte {} of {}", cut, message.size()),
                   kOpen + Data(message.substr(0, cut)) + Data(message.substr(cut), kEndStream), Answer("hello")});
  }
  std::string bytes = kOpen;
  for (const char c : message) bytes += Data(std::string_view(&c, 1));
  all.push_back({"message byte by byte", bytes + Data("", kEndStream), Answer("hello")});
  all.push_back({"message of no bytes", Request(GrpcHeaders("/echo.Echo/Unary"), GrpcMessage("")), Answer("")});
  all.push_back({"two messages in one DATA frame of a stream",
                 Request(GrpcHeaders("/echo.Echo/Collect"), GrpcMessage("ab") + GrpcMessage("cde")),
                 Answer("5 bytes")});
  all.push_back({"two messages cut inside the second's length",
                 Frame(kHeaders, kEndHeaders, 1, Literal(GrpcHeaders("/echo.Echo/Collect"))) +
                     Data(GrpcMessage("ab") + GrpcMessage("cde").substr(0, 3)) +
                     Data(GrpcMessage("cde").substr(3), kEndStream),
                 Answer("5 bytes")});
  all.push_back({"compressed flag without grpc-encoding",
                 Request(GrpcHeaders("/echo.Echo/Unary"), GrpcMessage("hello", 1)), Status(13)});
  all.push_back({"compressed flag with identity",
                 Request(GrpcHeaders("/echo.Echo/Unary", {{"grpc-encoding", "identity"}}), GrpcMessage("hello", 1)),
                 Status(13)});
  all.push_back({"grpc-encoding gzip, message not compressed",
                 Request(GrpcHeaders("/echo.Echo/Unary", {{"grpc-encoding", "gzip"}}), message), Answer("hello")});
  all.push_back({"grpc-encoding gzip, garbage",
                 Request(GrpcHeaders("/echo.Echo/Unary", {{"grpc-encoding", "gzip"}}), GrpcMessage("not gzip", 1)),
                 Status(13)});
  all.push_back({"grpc-encoding unknown",
                 Request(GrpcHeaders("/echo.Echo/Unary", {{"grpc-encoding", "snappy"}}), GrpcMessage("hello", 1)),
                 Status(12)});
  all.push_back({"flag byte 2", Request(GrpcHeaders("/echo.Echo/Unary"), GrpcMessage("hello", 2)), Status(13)});
  all.push_back({"message longer than the limit", kOpen + Data(GrpcMessage("x", 0, 0x7fffffff)), Status(8)});
  all.push_back({"stream ends inside a message", kOpen + Data(message.substr(0, 8), kEndStream), Status(13)});
  all.push_back({"stream ends inside a length", kOpen + Data(message.substr(0, 3), kEndStream), Status(13)});
  all.push_back({"unary without a message", kOpen + Data("", kEndStream), Status(2, "EOF")});
  all.push_back({"unary with two messages: the second is ignored, as by grpc-go",
                 Request(GrpcHeaders("/echo.Echo/Unary"), message + message), Answer("hello")});
}

void Ends(std::vector<Case>& all) {
  const auto fail = [](std::string_view text) { return Request(GrpcHeaders("/echo.Echo/Fail"), GrpcMessage(text)); };
  all.push_back({"trailers-only error", fail("5 not here"), Status(5, "not here")});
  all.push_back({"grpc-message percent-encoded",
                 fail("3 100% Gr\xc3\xbc\xc3\x9f"
                      "e\n"),
                 Status(3, "100%25 Gr%C3%BC%C3%9Fe%0A")});
  all.push_back({"PING between the frames of a call",
                 kOpen + Frame(kPing, kNone, 0, "8 bytes.") + Data(GrpcMessage("hello"), kEndStream), Answer("hello")});
  all.push_back({"a reset call leaves the others", kOpen + Reset(1) + GrpcCall(3, "/echo.Echo/Unary", "three"),
                 Answer("three", 3)});
  all.push_back({"the end of the call in an empty DATA frame",
                 kOpen + Data(GrpcMessage("hello")) + Data("", kEndStream), Answer("hello")});
}

}  // namespace

std::vector<Case> GrpcCases() {
  std::vector<Case> all;
  Headers_(all);
  Messages(all);
  Ends(all);
  return all;
}

}  // namespace tenon::testing
