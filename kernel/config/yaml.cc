// ParseYaml: yaml-cpp's events become ConfigNodes. Events instead of YAML::Node, because they carry positions of
// names too, let us stop at a depth before the parser recurses further, and show anchors, tags and duplicate names.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "kernel/config/node.h"

namespace tenon {
namespace {

// Ends the parse from inside a handler; the problem was added before.
struct Stop {};

class Builder : public YAML::EventHandler {
 public:
  Builder(std::string_view text, const std::string& file, std::vector<Problem>& problems)
      : file_(file), problems_(problems) {
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      lines_.push_back(text.substr(at, end - at));
      at = end + 1;
    }
  }

  ConfigNode root;
  bool has_root = false;

  // What is still open when a syntax error ends the parse becomes part of the tree: its finished entries are valid.
  void CloseAll() {
    while (!open_.empty()) Close();
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (has_root) {
      Add(mark, "a second YAML document: a configuration is one document");
      throw Stop();
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Refuse(mark, "", anchor);
    Take(New(mark, ConfigNode::Kind::kNull));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Add(mark, "an alias (*name): write the value out, aliases are not supported");
    Take(New(mark, ConfigNode::Kind::kNull));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Refuse(mark, tag, anchor);
    ConfigNode node = New(mark, ConfigNode::Kind::kScalar);
    node.scalar = value;
    node.quoted = tag == "!";
    Take(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, ConfigNode::Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, ConfigNode::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

  void Add(const YAML::Mark& mark, std::string text) {
    // yaml-cpp marks a whole-document error with -1.
    const int line = mark.is_null() ? 1 : mark.line + 1, column = mark.is_null() ? 1 : mark.column + 1;
    problems_.push_back({fmt::format("{}:{}:{}", file_, line, column), std::move(text), line, column});
  }

 private:
  struct Level {
    ConfigNode node;
    bool has_key = false;  // of a map: the name was read, its value comes next
    bool dropped = false;  // that name was bad: its value is read and forgotten
    ConfigNode key;
  };

  ConfigNode New(const YAML::Mark& mark, ConfigNode::Kind kind) const {
    ConfigNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    node.file = file_;
    return node;
  }

  void Refuse(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) Add(mark, "an anchor (&name): write the value out, anchors are not supported");
    if (!tag.empty() && tag != "?" && tag != "!") Add(mark, "a tag (!name): tags are not supported");
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, ConfigNode::Kind kind) {
    Refuse(mark, tag, anchor);
    if (open_.size() >= static_cast<size_t>(kMaxConfigDepth)) {
      Add(mark, fmt::format("nested deeper than {} levels", kMaxConfigDepth));
      throw Stop();
    }
    open_.push_back({New(mark, kind)});
  }

  void Close() {
    ConfigNode node = std::move(open_.back().node);
    open_.pop_back();
    Take(std::move(node));
  }

  void Take(ConfigNode node) {
    if (++nodes_ > kMaxConfigNodes) {
      if (!stopping_) problems_.push_back(node.ProblemHere(fmt::format("more than {} values", kMaxConfigNodes)));
      if (!std::exchange(stopping_, true)) throw Stop();
    }
    if (open_.empty()) {
      root = std::move(node);
      has_root = true;
      return;
    }
    Level& level = open_.back();
    if (level.node.IsList()) return level.node.children.push_back(std::move(node));
    if (!level.has_key) {
      level.has_key = true;
      level.dropped = !IsGoodKey(level, node);
      level.key = std::move(node);
      return;
    }
    level.has_key = false;
    if (level.dropped) return;
    if (node.IsNull()) CheckColon(level.key, node);
    node.key = std::move(level.key.scalar);
    node.key_line = level.key.line;
    node.key_column = level.key.column;
    level.node.children.push_back(std::move(node));
  }

  // yaml-cpp takes a lone word in a map for a name without a value: an option would keep its default in silence.
  void CheckColon(const ConfigNode& key, ConfigNode& node) {
    // yaml-cpp puts nothing at whatever comes next: say the name's place.
    node.line = key.line, node.column = key.column;
    const std::string_view line = static_cast<size_t>(key.line) <= lines_.size() ? lines_[key.line - 1] : "";
    const size_t after = static_cast<size_t>(key.column) - 1 + key.scalar.size() + (key.quoted ? 2 : 0);
    const size_t colon = line.find_first_not_of(" \t", std::min(after, line.size()));
    if (colon != line.npos && line[colon] == ':') return;
    problems_.push_back(key.ProblemHere(fmt::format("{} has no \":\" and value", key.Describe())));
  }

  bool IsGoodKey(const Level& level, const ConfigNode& key) {
    const YAML::Mark mark = [&] {
      YAML::Mark m;
      m.line = key.line - 1, m.column = key.column - 1, m.pos = 0;
      return m;
    }();
    if (!key.IsScalar()) {
      Add(mark, fmt::format("expected a name, found {}", key.Describe()));
      return false;
    }
    if (const ConfigNode* first = level.node.Find(key.scalar); first != nullptr) {
      Add(mark, fmt::format("\"{}\" is given twice: first in line {}", key.scalar.substr(0, 60), first->key_line));
      return false;
    }
    return true;
  }

  const std::string file_;
  std::vector<Problem>& problems_;
  std::vector<std::string_view> lines_;
  std::vector<Level> open_;
  size_t nodes_ = 0;
  bool stopping_ = false;  // CloseAll comes through Take too
};

// yaml-cpp would take UTF-16, and bytes that are no text at all, for something: say where it stops being UTF-8.
// Returns false if the text cannot be parsed.
bool CheckText(std::string_view text, const std::string& file, std::vector<Problem>& problems) {
  int line = 1, column = 1;
  bool indentation = true, ok = true;
  const auto add = [&](std::string what) {
    problems.push_back({fmt::format("{}:{}:{}", file, line, column), std::move(what), line, column});
    ok = false;
  };
  for (size_t i = 0; i < text.size(); i++, column++) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c == '\n') {
      line++, column = 0, indentation = true;
      continue;
    }
    if (c == '\t' && indentation) {
      const size_t rest = text.find_first_not_of(" \t\r", i);
      // A blank line or a comment may begin as it likes.
      if (rest != std::string_view::npos && text[rest] != '\n' && text[rest] != '#') {
        add("a tab in the indentation: YAML wants spaces");
      }
      indentation = false;
      continue;
    }
    if (c != ' ') indentation = false;
    if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f) {
      add(fmt::format("byte 0x{:02x} is not text", c));
      return false;
    }
    if (c < 0x80) continue;
    const size_t length = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    bool good = length != 0 && i + length <= text.size();
    for (size_t k = 1; good && k < length; k++) good = (static_cast<uint8_t>(text[i + k]) & 0xc0) == 0x80;
    if (!good) {
      add(fmt::format("byte 0x{:02x} is not UTF-8 text", c));
      return false;
    }
    i += length - 1;
  }
  return ok;
}

}  // namespace

ConfigNode ParseYaml(std::string_view text, const std::string& file, std::vector<Problem>& problems) {
  ConfigNode empty = MapNode();
  empty.file = file;
  empty.line = empty.column = 1;
  if (text.size() > kMaxConfigBytes) {
    problems.push_back(
        {file, fmt::format("has {} bytes: more than {} is no configuration", text.size(), kMaxConfigBytes)});
    return empty;
  }
  if (!CheckText(text, file, problems)) return empty;

  Builder builder(text, file, problems);
  try {
    // yaml-cpp takes a quoted text that never ends for whole if the file ends with a newline: end it with a comment.
    std::istringstream stream(fmt::format("{}{}#", text, text.empty() || text.ends_with('\n') ? "" : "\n"));
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop&) {
  } catch (const YAML::Exception& error) {
    builder.Add(error.mark, fmt::format("not valid YAML: {}", error.msg));
  } catch (const std::exception& error) {
    problems.push_back({file, fmt::format("not valid YAML: {}", error.what())});
  }
  builder.CloseAll();
  return builder.has_root && !builder.root.IsNull() ? std::move(builder.root) : empty;
}

}  // namespace tenon
