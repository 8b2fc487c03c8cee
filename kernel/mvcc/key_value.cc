#include "kernel/mvcc/key_value.h"

#include <cstring>

#include "kernel/base/coding.h"

namespace tenon::mvcc {
namespace {

// Tags: field number << 3 | wire type (0 varint, 2 length-delimited).
enum Tag : uint8_t { kKey = 0x0a, kCreate = 0x10, kMod = 0x18, kVersion = 0x20, kValue = 0x2a, kLease = 0x30 };

size_t SizeOfInt(int64_t v) { return v == 0 ? 0 : 1 + VarintSize(static_cast<uint64_t>(v)); }
size_t SizeOfBytes(std::string_view b) { return b.empty() ? 0 : 1 + VarintSize(b.size()) + b.size(); }

char* PutInt(char* to, Tag tag, int64_t v) {
  if (v == 0) return to;
  *to++ = static_cast<char>(tag);
  return PutVarint(to, static_cast<uint64_t>(v));
}
char* PutBytes(char* to, Tag tag, std::string_view b) {
  if (b.empty()) return to;
  *to++ = static_cast<char>(tag);
  to = PutVarint(to, b.size());
  std::memcpy(to, b.data(), b.size());
  return to + b.size();
}

}  // namespace

size_t EncodedSize(const KeyValue& kv) {
  return SizeOfBytes(kv.key) + SizeOfInt(kv.create_revision) + SizeOfInt(kv.mod_revision) + SizeOfInt(kv.version) +
         SizeOfBytes(kv.value) + SizeOfInt(kv.lease);
}

char* Encode(const KeyValue& kv, char* to) {
  to = PutBytes(to, kKey, kv.key);
  to = PutInt(to, kCreate, kv.create_revision);
  to = PutInt(to, kMod, kv.mod_revision);
  to = PutInt(to, kVersion, kv.version);
  to = PutBytes(to, kValue, kv.value);
  return PutInt(to, kLease, kv.lease);
}

Block EncodeBlock(const KeyValue& kv) {
  Block block = Block::Allocate(EncodedSize(kv));
  Encode(kv, block.data());
  return block;
}

bool Decode(std::string_view bytes, KeyValue& kv) {
  kv = {};
  while (!bytes.empty()) {
    uint64_t tag, v = 0;
    if (!TakeVarint(bytes, tag)) return false;
    std::string_view data;
    switch (tag & 7) {
      case 0:
        if (!TakeVarint(bytes, v)) return false;
        break;
      case 1:
        if (bytes.size() < 8) return false;
        bytes.remove_prefix(8);
        break;
      case 2:
        if (!TakeVarint(bytes, v) || v > bytes.size()) return false;
        data = bytes.substr(0, v);
        bytes.remove_prefix(v);
        break;
      case 5:
        if (bytes.size() < 4) return false;
        bytes.remove_prefix(4);
        break;
      default: return false;
    }
    switch (tag) {
      case kKey: kv.key = data; break;
      case kCreate: kv.create_revision = static_cast<int64_t>(v); break;
      case kMod: kv.mod_revision = static_cast<int64_t>(v); break;
      case kVersion: kv.version = static_cast<int64_t>(v); break;
      case kValue: kv.value = data; break;
      case kLease: kv.lease = static_cast<int64_t>(v); break;
      default: break;
    }
  }
  return true;
}

}  // namespace tenon::mvcc
