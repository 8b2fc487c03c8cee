// Is it UTF-8? By Unicode's table of well-formed sequences: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once
#include <cstdint>
#include <string_view>

namespace tenon {

// Length of the sequence at the front of `s`, which is not empty; 0 if it is none.
inline size_t Utf8Length(std::string_view s) {
  const auto b = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const auto tail = [&](size_t i) { return i < s.size() && (b(i) & 0xc0) == 0x80; };
  if (b(0) < 0x80) return 1;
  if (b(0) >= 0xc2 && b(0) <= 0xdf && tail(1)) return 2;
  if (b(0) >= 0xe0 && b(0) <= 0xef && tail(1) && tail(2)) {
    if ((b(0) == 0xe0 && b(1) < 0xa0) || (b(0) == 0xed && b(1) > 0x9f)) return 0;
    return 3;
  }
  if (b(0) >= 0xf0 && b(0) <= 0xf4 && tail(1) && tail(2) && tail(3)) {
    if ((b(0) == 0xf0 && b(1) < 0x90) || (b(0) == 0xf4 && b(1) > 0x8f)) return 0;
    return 4;
  }
  return 0;
}

inline bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t n = Utf8Length(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

}  // namespace tenon
