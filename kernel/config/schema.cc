#include "kernel/config/schema.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_join.h"

namespace tenon {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kTypes[] = {"object", "array", "string", "integer", "number", "boolean", "null"};
constexpr std::string_view kAnnotations[] = {"title", "description", "default", "examples", "$schema", "$id"};
constexpr int kMaxSchemaDepth = 32;

template <class Range>
bool Contains(const Range& range, std::string_view word) {
  return std::find(std::begin(range), std::end(range), word) != std::end(range);
}

template <class... Args>
Status Wrong(const std::string& path, fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(
      ToAbsl(fmt::format("schema{}: {}", path, fmt::format(format, std::forward<Args>(args)...))));
}

// Whether the schema itself keeps to the subset, so that Check below need not ask again.
Status Verify(const Json& schema, const std::string& path, int depth) {
  if (depth > kMaxSchemaDepth) return Wrong(path, "nested too deeply");
  if (!schema.is_object()) return Wrong(path, "expected an object");
  for (const auto& [keyword, value] : schema.items()) {
    if (Contains(kAnnotations, keyword)) continue;
    if (keyword == "type") {
      const Json types = value.is_array() ? value : Json::array({value});
      for (const Json& type : types) {
        if (!type.is_string() || !Contains(kTypes, type.get<std::string>()))
          return Wrong(path, "unknown type {}", type.dump());
      }
    } else if (keyword == "properties") {
      if (!value.is_object()) return Wrong(path, "properties is no object");
      for (const auto& [name, property] : value.items())
        RETURN_IF_ERROR(Verify(property, path + "/" + name, depth + 1));
    } else if (keyword == "required") {
      const bool names =
          value.is_array() && std::all_of(value.begin(), value.end(), [](const Json& n) { return n.is_string(); });
      if (!names) return Wrong(path, "required is no list of names");
    } else if (keyword == "enum") {
      const auto scalar = [](const Json& v) { return v.is_string() || v.is_number() || v.is_boolean(); };
      if (!value.is_array() || !std::all_of(value.begin(), value.end(), scalar))
        return Wrong(path, "enum is no list of values");
    } else if (keyword == "minimum" || keyword == "maximum") {
      if (!value.is_number()) return Wrong(path, "{} is no number", keyword);
    } else if (keyword == "additionalProperties") {
      if (!value.is_boolean()) RETURN_IF_ERROR(Verify(value, path + "/*", depth + 1));
    } else if (keyword == "items") {
      RETURN_IF_ERROR(Verify(value, path + "/[]", depth + 1));
    } else {
      return Wrong(path, "keyword \"{}\" is not supported", keyword);
    }
  }
  return Ok();
}

bool HasType(const ConfigNode& node, const std::string& type) {
  if (type == "object") return node.IsMap();
  if (type == "array") return node.IsList();
  if (type == "string") return node.IsScalar();
  if (type == "integer") return node.AsInt().ok();
  if (type == "number") return node.AsDouble().ok();
  if (type == "boolean") return node.AsBool().ok();
  return node.IsNull();
}

// In an operator's words.
std::string Called(const std::string& type) {
  if (type == "object") return "a map";
  if (type == "array") return "a list";
  if (type == "string") return "a text";
  if (type == "integer") return "a whole number";
  if (type == "number") return "a number";
  if (type == "boolean") return "true or false";
  return "nothing";
}

bool Equals(const ConfigNode& node, const Json& value) {
  if (!node.IsScalar()) return false;
  if (value.is_string()) return node.scalar == value.get<std::string>();
  if (value.is_boolean()) return node.AsBool().ok() && *node.AsBool() == value.get<bool>();
  return node.AsDouble().ok() && *node.AsDouble() == value.get<double>();
}

class Checker {
 public:
  Checker(std::string_view what, std::vector<Problem>& problems) : what_(what), problems_(problems) {}

  void Check(const Json& schema, const ConfigNode& node) {
    if (!CheckType(schema, node)) return;
    CheckEnum(schema, node);
    CheckRange(schema, node);
    if (node.IsMap()) CheckMap(schema, node);
    if (node.IsList() && schema.contains("items")) {
      for (const ConfigNode& child : node.children) Check(schema["items"], child);
    }
  }

 private:
  std::string Text(const ConfigNode& node, std::string_view text) const {
    return node.key.empty() ? fmt::format("{}: {}", what_, text) : fmt::format("{}: {}: {}", what_, node.key, text);
  }
  void Add(const ConfigNode& node, std::string_view text) { problems_.push_back(node.ProblemHere(Text(node, text))); }

  bool CheckType(const Json& schema, const ConfigNode& node) {
    if (!schema.contains("type")) return true;
    std::vector<std::string> types;
    if (schema["type"].is_string()) {
      types = {schema["type"].get<std::string>()};
    } else {
      types = schema["type"].get<std::vector<std::string>>();
    }
    if (std::any_of(types.begin(), types.end(), [&](const std::string& t) { return HasType(node, t); })) return true;
    std::transform(types.begin(), types.end(), types.begin(), Called);
    Add(node, fmt::format("expected {}, found {}", absl::StrJoin(types, " or "), node.Describe()));
    return false;
  }

  void CheckEnum(const Json& schema, const ConfigNode& node) {
    if (!schema.contains("enum")) return;
    std::vector<std::string> words;
    for (const Json& value : schema["enum"]) {
      if (Equals(node, value)) return;
      words.push_back(value.is_string() ? value.get<std::string>() : value.dump());
    }
    Add(node, fmt::format("expected one of {}; found {}", absl::StrJoin(words, ", "), node.Describe()));
  }

  void CheckRange(const Json& schema, const ConfigNode& node) {
    const Result<double> number = node.AsDouble();
    if (!number.ok()) return;
    if (schema.contains("minimum") && *number < schema["minimum"].get<double>()) {
      Add(node, fmt::format("{} is less than the minimum {}", node.scalar, schema["minimum"].dump()));
    }
    if (schema.contains("maximum") && *number > schema["maximum"].get<double>()) {
      Add(node, fmt::format("{} is more than the maximum {}", node.scalar, schema["maximum"].dump()));
    }
  }

  void CheckMap(const Json& schema, const ConfigNode& node) {
    static const Json kNothing = Json::object();
    const Json& properties = schema.contains("properties") ? schema["properties"] : kNothing;
    std::vector<std::string> known;
    for (const auto& [name, property] : properties.items()) known.push_back(name);
    for (const ConfigNode& child : node.children) {
      if (properties.contains(child.key)) {
        Check(properties[child.key], child);
      } else if (!schema.contains("additionalProperties") || schema["additionalProperties"] == true) {
        continue;
      } else if (schema["additionalProperties"].is_object()) {
        Check(schema["additionalProperties"], child);
      } else {
        const std::string nearest = NearestName(child.key, known);
        problems_.push_back(
            child.ProblemAtKey(fmt::format("{}: unknown key {}{}", what_, ScalarNode(child.key).Describe(),
                                           nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest))));
      }
    }
    if (!schema.contains("required")) return;
    for (const Json& name : schema["required"]) {
      if (node.Find(name.get<std::string>()) == nullptr)
        Add(node, fmt::format("\"{}\" is missing", name.get<std::string>()));
    }
  }

  const std::string what_;
  std::vector<Problem>& problems_;
};

}  // namespace

Status CheckAgainstSchema(std::string_view schema, const ConfigNode& config, std::string_view what,
                          std::vector<Problem>& problems) {
  const Json parsed = Json::parse(schema, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return absl::InvalidArgumentError("schema: not valid JSON");
  RETURN_IF_ERROR(Verify(parsed, "", 0));
  Checker(what, problems).Check(parsed, config);
  return Ok();
}

}  // namespace tenon
