// Reads past events from the table `key`, for watchers that are behind.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/mvcc/event.h"
#include "kernel/mvcc/range_map.h"
#include "kernel/mvcc/store.h"
#include "kernel/mvcc/views.h"

namespace tenon::mvcc {

// The union of ranges, as disjoint stretches in order.
class KeySet {
 public:
  explicit KeySet(std::vector<KeyRange> ranges);
  bool Contains(std::string_view key) const;

 private:
  std::vector<KeyRange> stretches_;  // [key, end) or open
};

struct HistoryWindow {
  int64_t from;     // the first revision
  int64_t through;  // the last one, which is published
  size_t most_rows = 10'000;
  size_t most_bytes = 1 << 20;  // of rows that are taken
  bool formers = false;         // also the rows that were replaced
};

struct History {
  std::vector<Event> events;
  int64_t through;  // all of `wanted` up to and with this revision is there
};

// Reads whole revisions until the window ends or is full, at least one. `pin` is a registered view at window.from or
// one before; a former row that is not visible there is left out. Compacted: the view was ended. Any other error means
// that the engine failed. [any but the transports']
Result<History> ReadHistory(Store& store, const Views::Handle& pin, const HistoryWindow& window, const KeySet& wanted);

}  // namespace tenon::mvcc
