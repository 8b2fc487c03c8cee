#include "kernel/config/schema.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

constexpr const char* kSchema = R"({
  "title": "An engine", "type": "object", "additionalProperties": false, "required": ["path"],
  "properties": {
    "path": {"type": "string"},
    "cache": {"type": "string", "description": "a size"},
    "threads": {"type": "integer", "minimum": 1, "maximum": 64},
    "ratio": {"type": "number", "minimum": 0, "maximum": 1},
    "sync": {"type": "boolean"},
    "mode": {"enum": ["fast", "safe", 3, true]},
    "hosts": {"type": "array", "items": {"type": "string"}},
    "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
    "either": {"type": ["string", "null"]}
  }})";

std::string Check(std::string_view text, std::string_view schema = kSchema) {
  std::vector<Problem> problems;
  const ConfigNode node = ParseYaml(text, "f", problems);
  const Status status = CheckAgainstSchema(schema, node, "storage x", problems);
  if (!status.ok()) return std::string(Message(status));
  std::string all;
  for (const Problem& problem : problems) all += problem.ToString() + "\n";
  return all;
}

TEST(Schema, WhatHoldsAndWhatDoesNot) {
  const std::pair<const char*, const char*> cases[] = {
      {"path: a", ""},
      {"{path: a, cache: 1024, threads: 64, ratio: 0.5, sync: false, hosts: [a, b], labels: {x: 1}}", ""},
      {"{path: a, mode: fast}", ""},
      {"{path: a, mode: 3}", ""},
      {"{path: a, mode: true}", ""},
      {"{path: a, either: ~}", ""},
      {"{path: a, cache: 64MiB}", ""},
      {"{}", "f:1:1: storage x: \"path\" is missing\n"},
      {"pat: a",
       "f:1:1: storage x: unknown key \"pat\"; did you mean \"path\"?\nf:1:1: storage x: \"path\" is missing\n"},
      {"{path: a, zzzzzz: 1}", "f:1:11: storage x: unknown key \"zzzzzz\"\n"},
      {"path: [a]", "f:1:7: storage x: path: expected a text, found a list\n"},
      {"path:", "f:1:1: storage x: path: expected a text, found nothing\n"},
      {"{path: a, threads: 0}", "f:1:20: storage x: threads: 0 is less than the minimum 1\n"},
      {"{path: a, threads: 65}", "f:1:20: storage x: threads: 65 is more than the maximum 64\n"},
      {"{path: a, threads: 1.5}", "f:1:20: storage x: threads: expected a whole number, found \"1.5\"\n"},
      {"{path: a, threads: \"4\"}", "f:1:20: storage x: threads: expected a whole number, found \"4\"\n"},
      {"{path: a, ratio: x}", "f:1:18: storage x: ratio: expected a number, found \"x\"\n"},
      {"{path: a, sync: 1}", "f:1:17: storage x: sync: expected true or false, found \"1\"\n"},
      {"{path: a, mode: fats}", "f:1:17: storage x: mode: expected one of fast, safe, 3, true; found \"fats\"\n"},
      {"{path: a, hosts: [a, {}]}", "f:1:22: storage x: expected a text, found a map\n"},
      {"{path: a, hosts: a}", "f:1:18: storage x: hosts: expected a list, found \"a\"\n"},
      {"{path: a, labels: {x: y}}", "f:1:23: storage x: x: expected a whole number, found \"y\"\n"},
      {"{path: a, either: []}", "f:1:19: storage x: either: expected a text or nothing, found a list\n"},
      {"[]", "f:1:1: storage x: expected a map, found a list\n"},
  };
  for (const auto& [text, says] : cases) EXPECT_EQ(Check(text), says) << text;
}

TEST(Schema, AWrongSchemaIsThePluginsFault) {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "schema: not valid JSON"},
      {"[]", "schema: expected an object"},
      {R"({"type": "objekt"})", "schema: unknown type \"objekt\""},
      {R"({"properties": {"a": {"pattern": "x"}}})", "schema/a: keyword \"pattern\" is not supported"},
      {R"({"properties": []})", "schema: properties is no object"},
      {R"({"required": [1]})", "schema: required is no list of names"},
      {R"({"enum": [[]]})", "schema: enum is no list of values"},
      {R"({"minimum": "1"})", "schema: minimum is no number"},
      {R"({"items": 1})", "schema/[]: expected an object"},
      {R"({"additionalProperties": {"x": 1}})", "schema/*: keyword \"x\" is not supported"},
  };
  for (const auto& [schema, says] : cases) EXPECT_EQ(Check("a: 1", schema), says) << schema;
}

TEST(Schema, AnythingGoesWithoutRules) { EXPECT_EQ(Check("{a: [1], b: {c: ~}}", "{}"), ""); }

}  // namespace
}  // namespace tenon
