// ParseYaml: what is understood, what is refused, and that no input hurts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/config/node.h"

namespace tenon {
namespace {

using ::testing::HasSubstr;

std::string Complaints(std::string_view text) {
  std::vector<Problem> problems;
  ParseYaml(text, "f", problems);
  std::string all;
  for (const Problem& problem : problems) all += problem.ToString() + "\n";
  return all;
}

ConfigNode Parse(std::string_view text) {
  std::vector<Problem> problems;
  ConfigNode node = ParseYaml(text, "f", problems);
  for (const Problem& problem : problems) ADD_FAILURE() << problem.ToString();
  return node;
}

TEST(Yaml, KeepsOrderTypesAndPlaces) {
  const ConfigNode root = Parse("a: 1\nb:\n  - x\n  - \"2\"\nc: {d: ~, e: true}\nf: |\n  two\n  lines\n");
  EXPECT_EQ(root.ToJson(), R"({"a":1,"b":["x","2"],"c":{"d":null,"e":true},"f":"two\nlines\n"})");
  EXPECT_EQ(root.Find("b")->children[1].Where(), "f:4:5");
  EXPECT_EQ(root.Find("c")->Find("e")->KeyWhere(), "f:5:11");
  EXPECT_EQ(root.Find("c")->Find("e")->Where(), "f:5:14");
  EXPECT_EQ(root.Find("z"), nullptr);
}

TEST(Yaml, ScalarsByMeaning) {
  const ConfigNode root = Parse("i: -5\nd: 1.5\nb: on\nq: '5'\ns: 64MiB\nt: 1m\nz: 007\n");
  EXPECT_EQ(*root.Find("i")->AsInt(), -5);
  EXPECT_EQ(*root.Find("d")->AsDouble(), 1.5);
  EXPECT_TRUE(*root.Find("b")->AsBool());
  EXPECT_FALSE(root.Find("q")->AsInt().ok());
  EXPECT_EQ(*root.Find("q")->AsString(), "5");
  EXPECT_EQ(*root.Find("s")->AsBytes(), 64u << 20);
  EXPECT_EQ(*root.Find("t")->AsDurationNs(), 60'000'000'000);
  EXPECT_FALSE(root.AsInt().ok());
  EXPECT_EQ(root.Find("z")->ToJson(), "\"007\"");
}

TEST(Yaml, RefusesWhatHasNoPlaceInAConfiguration) {
  const std::pair<std::string_view, const char*> cases[] = {
      {"a: &x 1\n", "f:1:4: an anchor (&name)"},
      {"a: &x 1\nb: *x\n", "f:2:4: an alias (*name)"},
      {"a: !!str 1\n", "f:1:4: a tag (!name)"},
      {"a: !x {}\n", "f:1:4: a tag (!name)"},
      {"a: 1\nb: 2\na: 3\n", "f:3:1: \"a\" is given twice: first in line 1"},
      {"x: {a: 1, a: 2}\n", "f:1:11: \"a\" is given twice"},
      {"? [a]\n: b\n", "f:1:3: expected a name, found a list"},
      {": b\n", "f:1:1: expected a name, found nothing"},
      {"a: 1\n---\nb: 2\n", "f:2:1: a second YAML document"},
      {"a:\n\tb: 1\n", "f:2:1: a tab in the indentation"},
      {"a:\n  b: 1\n \t c: 1\n", "f:3:2: a tab in the indentation"},
      {"a: b: c\n", "f:1:5: not valid YAML"},
      {"a: [1\n", "not valid YAML"},
      {"a: \"x\n", "f:2:2: not valid YAML: illegal EOF in scalar"},
      {"a: 'x\nb: 1\n", "not valid YAML: illegal EOF in scalar"},
      {"a: 1\nb\n", "f:2:1: not valid YAML"},
      {"a: 1\nb\nc: 2\n", "not valid YAML"},
      {"{a: 1, b}\n", "f:1:8: \"b\" has no \":\" and value"},
      {"a: }\n", "f:1:4: not valid YAML"},
      {"a: 1\n b: 2\n", "f:2:3: not valid YAML"},
      {std::string_view("a: \0", 4), "f:1:4: byte 0x00 is not text"},
      {"\x7f\x45\x4c\x46", "f:1:1: byte 0x7f is not text"},
      {"a: \xff\n", "f:1:4: byte 0xff is not UTF-8 text"},
      {"a: \xc3", "f:1:4: byte 0xc3 is not UTF-8 text"},
      {"\xff\xfe"
       "a",
       "f:1:1: byte 0xff is not UTF-8 text"},
  };
  for (const auto& [text, says] : cases) EXPECT_THAT(Complaints(text), HasSubstr(says)) << text;
}

TEST(Yaml, NothingStandsAtItsName) {
  const ConfigNode root = Parse("a: 1\nb:\n\"c\" :\nd: {e: , f: ~}\n");
  EXPECT_EQ(root.Find("b")->Where(), "f:2:1");
  EXPECT_TRUE(root.Find("c")->IsNull());
  EXPECT_EQ(root.Find("d")->Find("f")->Where(), "f:4:10");
}

TEST(Yaml, TakesTabsWhereTheyIndentNothing) {
  EXPECT_EQ(Complaints("a: 1\t# x\n\t# y\n\t\nb: 2\n"), "");
  EXPECT_EQ(Parse("a: \xc3\xa9\n").Find("a")->scalar, "\xc3\xa9");
}

TEST(Yaml, IsBounded) {
  EXPECT_THAT(Complaints(std::string(kMaxConfigBytes + 1, ' ')), HasSubstr("f: has 1048577 bytes"));
  EXPECT_THAT(Complaints("a: " + std::string(40, '[') + std::string(40, ']')),
              HasSubstr("f:1:35: nested deeper than 32"));
  EXPECT_THAT(Complaints(std::string(kMaxConfigBytes, '[')), HasSubstr("nested deeper than 32"));
  EXPECT_THAT(Complaints(std::string(kMaxConfigBytes, '{')), HasSubstr("nested deeper than 32"));
  std::string deep;
  for (int i = 0; i < 40; i++) deep += std::string(i, ' ') + "a:\n";
  EXPECT_THAT(Complaints(deep), HasSubstr("nested deeper than 32"));
  std::string many;
  for (int i = 0; i < 20000; i++) many += fmt::format("k{}: 1\n", i);
  EXPECT_THAT(Complaints(many), HasSubstr("more than 10000 values"));
}

TEST(Nearest, IsNearOrNothing) {
  const std::vector<std::string> known = {"name", "snapshot-count", "pre-vote"};
  EXPECT_EQ(NearestName("nam", known), "name");
  EXPECT_EQ(NearestName("snapshotcount", known), "snapshot-count");
  EXPECT_EQ(NearestName("prevote", known), "pre-vote");
  EXPECT_EQ(NearestName("zzzz", known), "");
  EXPECT_EQ(NearestName("", known), "");
  EXPECT_EQ(NearestName(std::string(100000, 'a'), known), "");
}

}  // namespace
}  // namespace tenon
