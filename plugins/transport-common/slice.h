// Slices of the ABI as views, and back.
#pragma once
#include <string>
#include <string_view>

#include "tenon/abi/base.h"

namespace tenon::transport {

inline std::string_view View(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }
inline std::string Text(tenon_slice s) { return std::string(View(s)); }
inline tenon_slice Slice(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

inline size_t Length(const tenon_bufs& bufs) {
  size_t bytes = 0;
  for (size_t i = 0; i < bufs.n; ++i) bytes += bufs.part[i].n;
  return bytes;
}

}  // namespace tenon::transport
