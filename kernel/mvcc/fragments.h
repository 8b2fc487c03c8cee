// How the events of one response are spread over several, for a client that asked for fragments. Pure.
#pragma once
#include <cstddef>
#include <string_view>

#include "kernel/mvcc/event.h"

namespace tenon::mvcc {

// Of EncodeEvents' bytes, which are not empty: the size of the first events, as many as fit into `room`; one goes
// always, however large.
inline size_t EncodedEventsWithin(std::string_view bytes, size_t room) {
  size_t size = FirstEncodedEvent(bytes);
  while (size < bytes.size()) {
    const size_t more = FirstEncodedEvent(bytes.substr(size));
    if (size + more > room) break;
    size += more;
  }
  return size;
}

}  // namespace tenon::mvcc
