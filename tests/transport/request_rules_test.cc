// RFC 9113 section 8, rule by rule. That a stream is reset for a broken one: tests/h2.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "plugins/transport-h2/request_rules.h"

namespace tenon::transport_h2 {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

const Fields kPost = {{":method", "POST"}, {":scheme", "http"}, {":path", "/p"}, {":authority", "a:1"}};

Fields Without(const std::string& name, Fields more = {}) {
  Fields fields = kPost;
  std::erase_if(fields, [&](const auto& field) { return field.first == name; });
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
Fields With(const std::string& name, const std::string& value) { return Without(name, {{name, value}}); }

bool Takes(RequestRules& rules, const Fields& fields, bool end_of_stream = false) {
  for (const auto& [name, value] : fields) {
    if (!rules.Field(name, value)) return false;
  }
  return rules.EndOfFields(end_of_stream);
}
bool IsHead(const Fields& fields) {
  RequestRules rules;
  return Takes(rules, fields);
}

TEST(RequestRulesTest, EachPseudoFieldOnceAndFirst) {
  EXPECT_TRUE(IsHead(kPost));
  for (const auto& [name, value] : kPost) {
    EXPECT_FALSE(IsHead(Without(name))) << name;
    EXPECT_FALSE(IsHead(With(name, ""))) << name;
    EXPECT_FALSE(IsHead(Without("", {{name, value}}))) << name << " twice";
    EXPECT_FALSE(IsHead(Without(name, {{"x", "1"}, {name, value}}))) << name << " behind a field";
  }
  EXPECT_FALSE(IsHead(With(":status", "200")));
  EXPECT_FALSE(IsHead(With(":protocol", "websocket")));
  EXPECT_FALSE(IsHead(With(":", "1")));
  EXPECT_FALSE(IsHead({}));
}

TEST(RequestRulesTest, TheAuthorityMayBeAUrlAsEtcdctl34SendsIt) {
  for (const char* good :
       {"127.0.0.1:2379", "[::1]:2379", "http://127.0.0.1:2379", "https://user@host:1/path", "%2F"}) {
    EXPECT_TRUE(IsHead(With(":authority", good))) << good;
    EXPECT_TRUE(IsHead(Without(":authority", {{"host", good}}))) << good;
  }
  for (const char* bad : {"a b", "a\tb", "a\"b", "<a>", "a\\b", "a?b", "a#b", "{a}", "\xc3\xbc", ""}) {
    EXPECT_FALSE(IsHead(With(":authority", bad))) << bad;
    EXPECT_FALSE(IsHead(Without("", {{"host", bad}}))) << bad;
  }
  EXPECT_FALSE(IsHead(Without("", {{"host", "a"}, {"host", "a"}})));
}

TEST(RequestRulesTest, MethodsAndTheirTargets) {
  EXPECT_TRUE(IsHead(With(":method", "OPTIONS")));
  EXPECT_TRUE(IsHead({{":method", "OPTIONS"}, {":scheme", "http"}, {":path", "*"}, {":authority", "a"}}));
  EXPECT_FALSE(IsHead(With(":path", "*")));
  EXPECT_TRUE(IsHead({{":method", "CONNECT"}, {":authority", "a:1"}}));
  EXPECT_FALSE(IsHead({{":method", "CONNECT"}}));
  EXPECT_FALSE(IsHead(With(":method", "CONNECT")));
  EXPECT_FALSE(IsHead(With(":method", "PO ST")));
  for (const char* bad : {"p", "/a b", "/a\tb", "http://a/"}) EXPECT_FALSE(IsHead(With(":path", bad))) << bad;
  EXPECT_TRUE(IsHead(With(":path", "/a?b=%20&c=\xc3\xbc")));
  for (const char* bad : {"1http", "ht tp", "http:"}) EXPECT_FALSE(IsHead(With(":scheme", bad))) << bad;
  EXPECT_TRUE(IsHead(With(":scheme", "https")));
}

TEST(RequestRulesTest, NamesAndValues) {
  for (const char* bad : {"", "X", "x y", "x:", "x\t", "x\x7f", "x\xc3", "x(", "x\n"}) {
    EXPECT_FALSE(IsHead(With(bad, "1"))) << bad;
  }
  EXPECT_TRUE(IsHead(With("x-!#$%&'*+.^_`|~09", "1")));
  for (const char* bad : {"a\nb", "a\rb", "a\x7f", "a\x1f", " a", "a ", "\ta", "a\t", " "}) {
    EXPECT_FALSE(IsHead(With("x", bad))) << bad;
  }
  EXPECT_FALSE(IsHead(With("x", std::string("a\0b", 3))));
  for (const char* good : {"", "a b", "a\tb", "\xc3\xbc", "\"{}\\"}) EXPECT_TRUE(IsHead(With("x", good))) << good;
}

TEST(RequestRulesTest, NothingOfAConnectionOfHttp1) {
  for (const char* name : {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}) {
    EXPECT_FALSE(IsHead(With(name, "x"))) << name;
  }
  EXPECT_TRUE(IsHead(With("te", "trailers")));
  EXPECT_TRUE(IsHead(With("te", "Trailers")));
  for (const char* bad : {"", "gzip", "trailers, gzip", "trailer"}) EXPECT_FALSE(IsHead(With("te", bad))) << bad;
}

TEST(RequestRulesTest, TheBodyIsAsLongAsContentLengthSays) {
  const auto body = [](const std::string& length, const std::vector<size_t>& data) {
    RequestRules rules;
    bool ok = Takes(rules, With("content-length", length), data.empty());
    for (size_t n : data) ok = ok && rules.Data(n);
    return ok && rules.EndOfStream();
  };
  EXPECT_TRUE(body("0", {}));
  EXPECT_TRUE(body("10", {10}));
  EXPECT_TRUE(body("10", {4, 0, 6}));
  EXPECT_FALSE(body("18446744073709551615", {}));
  for (const auto& [length, data] : std::vector<std::pair<std::string, std::vector<size_t>>>{
           {"1", {}}, {"10", {9}}, {"10", {11}}, {"10", {6, 6}}, {"0", {1}}}) {
    EXPECT_FALSE(body(length, data)) << length;
  }
  for (const char* bad : {"", "-1", "+1", "1 1", "0x1", "1.0", "18446744073709551616"}) {
    EXPECT_FALSE(IsHead(With("content-length", bad))) << bad;
  }
  EXPECT_FALSE(IsHead(Without("", {{"content-length", "1"}, {"content-length", "1"}})));
  RequestRules any;
  EXPECT_TRUE(Takes(any, kPost) && any.Data(1'000'000) && any.EndOfStream());
  RequestRules early;
  EXPECT_TRUE(Takes(early, With("content-length", "1")));
  EXPECT_FALSE(early.Data(2)) << "before the end";
}

TEST(RequestRulesTest, TrailersAreTheEndAndHaveNoPseudoFields) {
  const auto trailers = [](const Fields& fields, bool end_of_stream = true) {
    RequestRules rules;
    EXPECT_TRUE(Takes(rules, kPost));
    EXPECT_TRUE(rules.head_complete());
    return Takes(rules, fields, end_of_stream);
  };
  EXPECT_TRUE(trailers({{"x", "1"}}));
  EXPECT_TRUE(trailers({}));
  EXPECT_FALSE(trailers({{"x", "1"}}, false)) << "more follows";
  EXPECT_FALSE(trailers({{":path", "/p"}}));
  EXPECT_FALSE(trailers({{"X", "1"}}));
  EXPECT_FALSE(trailers({{"connection", "close"}}));
}

}  // namespace
}  // namespace tenon::transport_h2
