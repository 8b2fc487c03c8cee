#include "kernel/plugin/proto_scan.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace tenon::plugin {
namespace {

constexpr std::string_view kSuffix = ".proto";
constexpr size_t kLongestName = 255;

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '-' || c == '/';
}

// A varint at `at`, and the position after it.
std::optional<std::pair<uint64_t, size_t>> Varint(std::string_view file, size_t at) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && at < file.size(); shift += 7) {
    const auto byte = static_cast<uint8_t>(file[at++]);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return std::pair(value, at);
  }
  return std::nullopt;
}

// Do the fields of one FileDescriptorProto fill [at, end) exactly?
bool IsDescriptor(std::string_view file, size_t at, size_t end) {
  while (at < end) {
    const auto tag = Varint(file, at);
    if (!tag) return false;
    const uint64_t field = tag->first >> 3, wire = tag->first & 7;
    if (field == 0 || field > 14) return false;
    const auto value = Varint(file, tag->second);
    if (!value) return false;
    at = value->second;
    if (wire == 2) {
      if (value->first > end - std::min(at, end)) return false;
      at += value->first;
    } else if (wire != 0) {
      return false;
    }
  }
  return at == end;
}

// Is the message that begins at `start` an element of a FileDescriptorSet: 0x0a, its length, itself?
bool IsInSet(std::string_view file, size_t start) {
  for (size_t width = 1; width <= 4 && width + 1 <= start; width++) {
    const size_t tag = start - width - 1;
    if (file[tag] != '\x0a') continue;
    const auto length = Varint(file, tag + 1);
    if (!length || length->second != start || length->first > file.size() - start) continue;
    if (IsDescriptor(file, start, start + length->first)) return true;
  }
  return false;
}

// What may follow the name in a FileDescriptorProto: package, dependency, message, enum, service, extension, options,
// source info, public and weak dependency, syntax, edition.
bool IsNextTag(char c) {
  constexpr std::array<uint8_t, 12> kTags = {0x12, 0x1a, 0x22, 0x2a, 0x32, 0x3a, 0x42, 0x4a, 0x50, 0x58, 0x62, 0x70};
  return std::find(kTags.begin(), kTags.end(), static_cast<uint8_t>(c)) != kTags.end();
}

}  // namespace

std::vector<std::string> RegisteredProtoFiles(std::string_view file) {
  std::vector<std::string> names;
  for (size_t hit = file.find(kSuffix); hit != std::string_view::npos; hit = file.find(kSuffix, hit + 1)) {
    const size_t end = hit + kSuffix.size();
    if (end >= file.size() || !IsNextTag(file[end])) continue;
    size_t start = hit;
    while (start > 2 && end - start < kLongestName && IsNameByte(file[start - 1])) start--;
    // The length byte may itself look like a letter, so every start is tried.
    for (; start < hit; start++) {
      const size_t length = end - start;
      const size_t width = length < 0x80 ? 1 : 2;
      if (start < width + 1) continue;
      const auto varint = Varint(file, start - width);
      if (!varint || varint->second != start || varint->first != length || file[start - width - 1] != '\x0a') continue;
      if (!IsInSet(file, start - width - 1)) names.emplace_back(file.substr(start, length));
      break;
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

bool IsEtcdProtoFile(std::string_view name) {
  constexpr std::string_view kNames[] = {
      "auth.proto",   "kv.proto",     "lease.proto",      "membership.proto", "raft.proto",   "raft_internal.proto",
      "record.proto", "rpc.proto",    "snap.proto",       "v3election.proto", "v3lock.proto", "version.proto",
      "wal.proto",    "health.proto", "etcdserver.proto", "gogo.proto",       "tenon.proto",
  };
  if (name.starts_with("etcd/api/")) return true;
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace tenon::plugin
