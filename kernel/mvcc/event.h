// A change of one key, as a watcher is told of it; and its form on the wire.
//
// The rows are shared with the engine's batch, the record cache and each other watcher: an event costs references, and
// its bytes are put together once for all who get them. Source: etcd storage/mvcc/watchable_store.go, api/mvccpb.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernel/base/block.h"
#include "kernel/mvcc/revision.h"

namespace tenon::mvcc {

struct Event {
  // `row` is the stored row: a KeyValue, of a tombstone only the key. `before` is the row that it replaces (main 0:
  // none); `former` that row's bytes, empty if nobody has read them yet.
  Event(Revision revision, bool tombstone, Block row, Revision before, Block former);

  Revision revision;
  Revision before;
  bool tombstone;
  Block row, former;
  std::string_view key;  // inside `row`
};

// The bytes that the event takes in a WatchResponse.
size_t EncodedSize(const Event& event, bool with_former);
// Events as the field `events` of a WatchResponse, one behind the other, in the order of `which`.
Block EncodeEvents(std::span<const Event> events, std::span<const uint32_t> which, bool with_former);
// The size of the first event of such bytes, which are not empty.
size_t FirstEncodedEvent(std::string_view bytes);

}  // namespace tenon::mvcc
