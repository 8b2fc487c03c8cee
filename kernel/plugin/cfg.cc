#include "kernel/plugin/cfg.h"

#include <charconv>
#include <cmath>

#include "kernel/base/units.h"

tenon_cfg::tenon_cfg() = default;
tenon_cfg::tenon_cfg(tenon_cfg_kind kind, std::string scalar, std::string where,
                     std::vector<std::pair<std::string, tenon_cfg>> children)
    : kind(kind), scalar(std::move(scalar)), where(std::move(where)), children(std::move(children)) {}

tenon_cfg tenon_cfg::Scalar(std::string_view text, std::string_view where) {
  return {TENON_CFG_SCALAR, std::string(text), std::string(where), {}};
}

tenon_cfg tenon_cfg::Map(std::vector<std::pair<std::string, tenon_cfg>> children, std::string_view where) {
  return {TENON_CFG_MAP, "", std::string(where), std::move(children)};
}

tenon_cfg tenon_cfg::List(std::vector<tenon_cfg> items, std::string_view where) {
  tenon_cfg list{TENON_CFG_LIST, "", std::string(where), {}};
  for (tenon_cfg& item : items) list.children.emplace_back("", std::move(item));
  return list;
}

namespace tenon::plugin {
namespace {

tenon_slice Slice(const std::string& text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

bool IsScalar(const tenon_cfg* node) { return node != nullptr && node->kind == TENON_CFG_SCALAR; }

bool IsBare(const tenon_cfg* node) { return IsScalar(node) && !node->quoted; }

const tenon_cfg* Child(const tenon_cfg* node, std::string_view key) {
  for (const auto& [name, child] : node->children) {
    if (name == key) return &child;
  }
  return nullptr;
}

int Kind(const tenon_cfg* node) { return node == nullptr ? TENON_CFG_NULL : node->kind; }

size_t Count(const tenon_cfg* node) { return node == nullptr ? 0 : node->children.size(); }

const tenon_cfg* At(const tenon_cfg* node, size_t i, tenon_slice* key) {
  if (node == nullptr || i >= node->children.size()) return nullptr;
  if (key != nullptr) *key = Slice(node->children[i].first);
  return &node->children[i].second;
}

// "tls.ca" is first a key of that very name, then key "ca" of map "tls".
const tenon_cfg* FindIn(const tenon_cfg* node, std::string_view path) {
  if (node == nullptr || node->kind != TENON_CFG_MAP) return nullptr;
  if (const tenon_cfg* child = Child(node, path)) return child;
  for (size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.', dot + 1)) {
    if (const tenon_cfg* child = Child(node, path.substr(0, dot))) {
      if (const tenon_cfg* found = FindIn(child, path.substr(dot + 1))) return found;
    }
  }
  return nullptr;
}
const tenon_cfg* Find(const tenon_cfg* node, const char* path) {
  return path == nullptr ? nullptr : FindIn(node, path);
}

tenon_slice Scalar(const tenon_cfg* node) { return IsScalar(node) ? Slice(node->scalar) : tenon_slice{}; }

tenon_status I64(const tenon_cfg* node, int64_t* out) {
  if (!IsBare(node)) return TENON_INVALID;
  std::string_view text = node->scalar;
  if (text.starts_with('+')) text.remove_prefix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return TENON_INVALID;
  *out = value;
  return TENON_OK;
}

tenon_status F64(const tenon_cfg* node, double* out) {
  if (!IsBare(node)) return TENON_INVALID;
  std::string_view text = node->scalar;
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty() || !std::isfinite(value))
    return TENON_INVALID;
  *out = value;
  return TENON_OK;
}

// The words of YAML 1.2's core schema.
tenon_status Boolean(const tenon_cfg* node, int* out) {
  if (!IsBare(node)) return TENON_INVALID;
  const std::string& text = node->scalar;
  const bool yes = text == "true" || text == "True" || text == "TRUE";
  if (!yes && text != "false" && text != "False" && text != "FALSE") return TENON_INVALID;
  *out = yes ? 1 : 0;
  return TENON_OK;
}

tenon_status DurationNs(const tenon_cfg* node, int64_t* out) {
  if (!IsScalar(node)) return TENON_INVALID;
  const Result<int64_t> value = ParseDurationNs(node->scalar);
  if (!value.ok()) return TENON_INVALID;
  *out = *value;
  return TENON_OK;
}

tenon_status Bytes(const tenon_cfg* node, uint64_t* out) {
  if (!IsScalar(node)) return TENON_INVALID;
  const Result<uint64_t> value = ParseBytes(node->scalar);
  if (!value.ok()) return TENON_INVALID;
  *out = *value;
  return TENON_OK;
}

tenon_slice Where(const tenon_cfg* node) { return node == nullptr ? tenon_slice{} : Slice(node->where); }

}  // namespace

const tenon_host_config_v1 kConfigTable = {
    sizeof(tenon_host_config_v1), Kind, Count, At, Find, Scalar, I64, F64, Boolean, DurationNs, Bytes, Where,
};

}  // namespace tenon::plugin
