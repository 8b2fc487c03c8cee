// Sinks and sources over a string.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>

#include "kernel/snapshot/frames.h"

namespace tenon::snapshot {

inline Sink Into(std::string& bytes) {
  return [&bytes](std::string_view more) {
    bytes += more;
    return Ok();
  };
}

// `bytes` outlives it.
inline Source From(std::string_view bytes) {
  return [bytes, at = size_t{0}](char* to, size_t n) mutable -> Result<size_t> {
    const size_t got = bytes.substr(at).copy(to, n);
    at += got;
    return got;
  };
}

}  // namespace tenon::snapshot
