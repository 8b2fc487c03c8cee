// ConfigNode: a YAML value that remembers where it stood, so that every later complaint can name file:line:column.
//
// Plugins' `config` sections travel as such trees to the schema check and to the plugin itself; nothing outside
// kernel/config sees yaml-cpp.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/status.h"

namespace tenon {

// One mistake. The position is 1-based; line 0 means that it has none (a flag, a variable, the whole file).
struct Problem {
  std::string where;  // "tenon.yaml:3:7", "--election-timeout", "ETCD_NAME" or empty
  std::string text;
  int line = 0;
  int column = 0;

  std::string ToString() const { return where.empty() ? text : where + ": " + text; }
};

struct ConfigNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  std::string scalar;                // text of a scalar, its quotes removed
  bool quoted = false;               // a quoted scalar is a string, never a number or a boolean
  std::string key;                   // in a map: the name under which the parent holds this node
  int key_line = 0, key_column = 0;  // where that name stands
  int line = 0, column = 0;          // where the value stands
  std::string file;
  std::vector<ConfigNode> children;  // of a list or a map, in the file's order; a map's keys are distinct

  bool IsNull() const { return kind == Kind::kNull; }
  bool IsScalar() const { return kind == Kind::kScalar; }
  bool IsList() const { return kind == Kind::kList; }
  bool IsMap() const { return kind == Kind::kMap; }

  // Child of a map by name, nullptr if there is none.
  const ConfigNode* Find(std::string_view name) const;

  // Scalars by meaning; InvalidArgument says what was expected and what is there.
  Result<std::string> AsString() const;
  Result<bool> AsBool() const;    // true or false
  Result<int64_t> AsInt() const;  // decimal
  Result<double> AsDouble() const;
  Result<uint64_t> AsBytes() const;      // 1024, "64MiB"
  Result<int64_t> AsDurationNs() const;  // "5s"; a bare number is nanoseconds, as in etcd's files

  std::string Where() const;     // file:line:column of the value
  std::string KeyWhere() const;  // file:line:column of its name, or of the value in a list
  Problem ProblemHere(std::string text) const;
  Problem ProblemAtKey(std::string text) const;

  // "a map", "a list", "true", "\"text\"": for messages.
  std::string Describe() const;
  // Compact JSON: numbers and booleans stay bare, everything else is quoted.
  std::string ToJson() const;
};

// Builds a node by hand, for configurations that come from no file.
ConfigNode ScalarNode(std::string_view text);
ConfigNode MapNode();

// Parses one YAML document under the limits of this kernel: 1 MiB, depth 32, 10,000 values, no anchors or aliases, no
// tags, no duplicate keys. Adds every mistake to `problems`; the tree holds what could be understood. An empty text is
// an empty map. `file` is the name that positions carry. [pure, any thread]
ConfigNode ParseYaml(std::string_view text, const std::string& file, std::vector<Problem>& problems);

inline constexpr size_t kMaxConfigBytes = 1 << 20;
inline constexpr int kMaxConfigDepth = 32;
inline constexpr size_t kMaxConfigNodes = 10000;

// The name of `known` that is nearest to `name` by edit distance, if it is near enough to be what was meant; else "".
std::string NearestName(std::string_view name, const std::vector<std::string>& known);

}  // namespace tenon
