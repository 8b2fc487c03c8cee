// RFC 9113 section 8 (requests in HTTP/2) and RFC 7541 (HPACK).
#include "tests/h2/case.h"

namespace tenon::testing {
namespace {

using namespace http2;

const std::string kData1 = Frame(kData, kEndStream, 1, GrpcMessage("hello"));

std::string With(const std::string& block) { return Frame(kHeaders, kEndHeaders, 1, block) + kData1; }
std::string With(const Headers& headers) { return With(Literal(headers)); }
std::string More(const std::string& fields) { return With(Literal(GrpcHeaders("/echo.Echo/Unary")) + fields); }
std::string More(std::string_view name, std::string_view value) { return More(Literal(name, value)); }
Headers Echo(const Headers& more = {}, std::string_view without = "") {
  return GrpcHeaders("/echo.Echo/Unary", more, without);
}

void Requests(std::vector<Case>& all) {
  const Expect malformed = StreamError({kProtocolError});
  all.push_back({"8.2.1 fields: upper case in a name", More("X-Test", "1"), malformed});
  all.push_back({"8.2.1 fields: a line feed in a value", More("x-test", "a\nb"), malformed});
  all.push_back({"8.2.1 fields: a NUL in a value", More("x-test", std::string("a\0b", 3)), malformed});
  all.push_back({"8.2.1 fields: a space in a name", More("x test", "1"), malformed});
  all.push_back({"8.2.1 fields: a space behind a value", More("x-test", "1 "), malformed});
  all.push_back({"8.2.2 connection-specific: connection", More("connection", "keep-alive"), malformed});
  all.push_back({"8.2.2 connection-specific: transfer-encoding", More("transfer-encoding", "chunked"), malformed});
  all.push_back({"8.2.2 connection-specific: upgrade", More("upgrade", "websocket"), malformed});
  all.push_back({"8.2.2 connection-specific: keep-alive", More("keep-alive", "1"), malformed});
  all.push_back({"8.2.2 connection-specific: proxy-connection", More("proxy-connection", "close"), malformed});
  all.push_back({"8.2.2 te: other than trailers", With(Echo({{"te", "gzip"}}, "te")), malformed});
  all.push_back({"8.3 pseudo-header: unknown", With(Literal(":test", "ok") + Literal(Echo())), malformed});
  all.push_back({"8.3 pseudo-header: of a response", With(Literal(":status", "200") + Literal(Echo())), malformed});
  all.push_back({"8.3 pseudo-header: after a field", With(Echo({{":path", "/echo.Echo/Unary"}}, ":path")), malformed});
  all.push_back({"8.3 pseudo-header: in trailers",
                 Frame(kHeaders, kEndHeaders, 1, Literal(Echo())) + Frame(kData, kNone, 1, GrpcMessage("hello")) +
                     Frame(kHeaders, kEndHeaders | kEndStream, 1, Literal(":method", "POST")),
                 malformed});
  const auto with_authority = [](const std::string& value) {
    return With(Literal(":authority", value) + Literal(Echo({}, ":authority")));
  };
  // etcdctl 3.4 does so, and etcd answers it.
  all.push_back({"8.3.1 :authority: a URL", with_authority("http://127.0.0.1:2379"), Answer("hello")});
  all.push_back({"8.3.1 :authority: a space", with_authority("a b"), malformed});
  all.push_back({"8.3.1 :authority: empty", with_authority(""), malformed});
  all.push_back({"8.3.1 :authority: twice", With(Literal(":authority", "test") + Literal(Echo())), malformed});
  all.push_back({"8.3.1 :authority: missing", With(Echo({}, ":authority")), malformed});
  all.push_back({"8.3.1 :authority: missing, but host", With(Echo({{"host", "test"}}, ":authority")), Answer("hello")});
  all.push_back({"8.3.1 host: twice", With(Echo({{"host", "test"}, {"host", "test"}})), malformed});
  all.push_back({"8.3.1 :path: no slash", With(GrpcHeaders("echo.Echo/Unary")), malformed});
  all.push_back({"8.3.1 :path: empty", With(GrpcHeaders("")), malformed});
  for (const char* name : {":method", ":scheme", ":path"}) {
    all.push_back({std::string("8.3.1 ") + name + ": missing", With(Echo({}, name)), malformed});
    const std::string value = name == std::string(":method") ? "POST"
                              : name == std::string(":path") ? "/echo.Echo/Unary"
                                                             : "http";
    all.push_back({std::string("8.3.1 ") + name + ": twice", With(Literal(name, value) + Literal(Echo())), malformed});
  }
  all.push_back({"8.1.1 content-length: more than came", More("content-length", "11"), malformed});
  all.push_back({"8.1.1 content-length: less than came", More("content-length", "9"), malformed});
  all.push_back({"8.1.1 content-length: less than came in two frames",
                 Frame(kHeaders, kEndHeaders, 1, Literal(Echo({{"content-length", "1"}}))) +
                     Frame(kData, kNone, 1, GrpcMessage("hello").substr(0, 5)) + Frame(kData, kEndStream, 1, "hello"),
                 malformed});
  all.push_back({"8.1.1 content-length: no body at all",
                 Frame(kHeaders, kEndHeaders | kEndStream, 1, Literal(Echo({{"content-length", "1"}}))), malformed});
  all.push_back({"8.1.1 content-length: no number", More("content-length", "ten"), malformed});
  all.push_back({"8.1.1 content-length: less than came, and trailers",
                 Frame(kHeaders, kEndHeaders, 1, Literal(Echo({{"content-length", "11"}}))) +
                     Frame(kData, kNone, 1, GrpcMessage("hello")) +
                     Frame(kHeaders, kEndHeaders | kEndStream, 1, Literal("x-more", "1")),
                 malformed});
  all.push_back({"8.1.1 content-length: right", More("content-length", "10"), Answer("hello")});
  all.push_back(
      {"8.1 a second HEADERS without END_STREAM",
       Frame(kHeaders, kEndHeaders, 1, Literal(Echo())) + Frame(kHeaders, kEndHeaders, 1, Literal("x-more", "1")),
       malformed});
  all.push_back({"8.1 request trailers with upper case",
                 Frame(kHeaders, kEndHeaders, 1, Literal(Echo())) + Frame(kData, kNone, 1, GrpcMessage("hello")) +
                     Frame(kHeaders, kEndHeaders | kEndStream, 1, Literal("X-More", "1")),
                 malformed});
  all.push_back({"8.1 request trailers",
                 Frame(kHeaders, kEndHeaders, 1, Literal(Echo())) + Frame(kData, kNone, 1, GrpcMessage("hello")) +
                     Frame(kHeaders, kEndHeaders | kEndStream, 1, Literal("x-more", "1")),
                 Answer("hello")});
}

void Hpack(std::vector<Case>& all) {
  const Expect broken = ConnectionError({kCompressionError});
  const std::string base = Literal(Echo());
  all.push_back(
      {"7541 2.3.3 index beyond the tables", With(std::string(1, '\xff') + std::string(1, '\x0f') + base), broken});
  all.push_back({"7541 2.3.3 literal with a name beyond the tables",
                 With(Integer(0x40, 6, 70) + Integer(0, 7, 1) + "x" + base), broken});
  all.push_back({"7541 4.2 size update at the end of a block", More(Integer(0x20, 5, 1)), broken});
  // x-y: with a Huffman value whose padding is a whole byte, zeros, or the end-of-string symbol.
  const std::string name = std::string(1, '\0') + Integer(0, 7, 3) + "x-y";
  all.push_back({"7541 5.2 Huffman: padding longer than 7 bits", More(name + "\x82\x1f\xff"), broken});
  all.push_back({"7541 5.2 Huffman: padded with zeros", More(name + "\x81\x18"), broken});
  all.push_back({"7541 5.2 Huffman: the end-of-string symbol", More(name + "\x84\xff\xff\xff\xff"), broken});
  all.push_back(
      {"7541 5.1 an integer of more than 2^32", More(std::string("\0\x7f", 2) + std::string(10, '\xff')), broken});
  all.push_back({"7541 6.1 index 0", With("\x80" + base), broken});
  all.push_back({"7541 6.3 size update over the setting", With(Integer(0x20, 5, 1'000'000) + base), broken});
  all.push_back({"7541 a block cut in a string", With(base.substr(0, base.size() - 3)), broken});

  all.push_back({"7541 6.3 size update at the begin", With(Integer(0x20, 5, 0) + Integer(0x20, 5, 4096) + base),
                 Answer("hello")});
  all.push_back({"7541 indexed fields and Huffman",
                 With(Deflated(Echo({{"x-long", "a value that Huffman makes shorter"}}))), Answer("hello")});
  // 0x40: literal with incremental indexing; the second call uses the entry as index 62.
  const std::string indexed = Integer(0x40, 6, 0) + Integer(0, 7, 3) + "x-y" + Integer(0, 7, 1) + "1";
  all.push_back(
      {"7541 6.2.1 an entry is used again by the next call", With(indexed + std::string()), Answer("hello", 3)});
  all.back().sent = Frame(kHeaders, kEndHeaders, 1, base + indexed) + kData1 +
                    Frame(kHeaders, kEndHeaders, 3, base + "\xbe") + Frame(kData, kEndStream, 3, GrpcMessage("hello"));
  // A table entry of 4,000 bytes and 15,000 references to it: 60 MB of fields in 19 KB.
  const std::string bomb = Integer(0x40, 6, 0) + Integer(0, 7, 1) + "x" + Integer(0, 7, 4000) + std::string(4000, 'z');
  all.push_back({"10.5.1 a header list of 60 MB in 19 KB",
                 Frame(kHeaders, kNone, 1, base + bomb + std::string(10'000, '\xbe')) +
                     Frame(kContinuation, kEndHeaders, 1, std::string(5'000, '\xbe')),
                 Close()});
  const std::string never = Integer(0x10, 4, 0) + Integer(0, 7, 3) + "x-y" + Integer(0, 7, 1) + "1";
  all.push_back({"7541 6.2.3 never indexed", More(never), Answer("hello")});
}

}  // namespace

std::vector<Case> HeaderCases() {
  std::vector<Case> all;
  Requests(all);
  Hpack(all);
  return all;
}

}  // namespace tenon::testing
