// Fixed and variable length numbers in bytes.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tenon {

inline void PutBigEndian64(char* to, uint64_t v) {
  v = __builtin_bswap64(v);
  std::memcpy(to, &v, 8);
}
inline uint64_t GetBigEndian64(const char* from) {
  uint64_t v;
  std::memcpy(&v, from, 8);
  return __builtin_bswap64(v);
}
inline void PutLittleEndian64(char* to, uint64_t v) { std::memcpy(to, &v, 8); }
inline uint64_t GetLittleEndian64(const char* from) {
  uint64_t v;
  std::memcpy(&v, from, 8);
  return v;
}
inline void PutLittleEndian32(char* to, uint32_t v) { std::memcpy(to, &v, 4); }
inline uint32_t GetLittleEndian32(const char* from) {
  uint32_t v;
  std::memcpy(&v, from, 4);
  return v;
}

// Protobuf's varint: 1 to 10 bytes.
constexpr size_t VarintSize(uint64_t v) { return (std::bit_width(v | 1) + 6) / 7; }
inline char* PutVarint(char* to, uint64_t v) {
  while (v >= 0x80) {
    *to++ = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  *to++ = static_cast<char>(v);
  return to;
}
inline void AppendVarint(std::string& to, uint64_t v) {
  char b[10];
  to.append(b, PutVarint(b, v) - b);
}
// Takes a varint from the front of `from`. False: it does not end, or is longer than 10 bytes.
inline bool TakeVarint(std::string_view& from, uint64_t& v) {
  v = 0;
  for (size_t i = 0; i < from.size() && i < 10; i++) {
    const auto b = static_cast<uint8_t>(from[i]);
    v |= static_cast<uint64_t>(b & 0x7f) << (7 * i);
    if (b < 0x80) {
      from.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

}  // namespace tenon
