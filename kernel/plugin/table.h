// The kernel's own copy of a plugin's size-first table.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tenon/abi/base.h"

namespace tenon::plugin {

// A full-size T with the members that *from holds and null for the rest, so that nobody reads past the end of a table
// built with an older header. Members behind `size` are pointers: one that an odd size cuts in two counts as absent.
template <class T>
T CopyTable(const void* from) {
  T to{};
  uint32_t size = 0;
  std::memcpy(&size, from, sizeof size);
  size_t take = size < sizeof(T) ? size : sizeof(T);
  take -= take % sizeof(void*);
  std::memcpy(static_cast<void*>(&to), from, take);
  const uint32_t full = sizeof(T);
  std::memcpy(static_cast<void*>(&to), &full, sizeof full);
  return to;
}

}  // namespace tenon::plugin
