// What a range, a compare or a hash reads from: a read view (read_view.h) or a write transaction (store.h).
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/mvcc/key_index.h"

namespace tenon::mvcc {

struct RangeOptions {
  int64_t revision = 0;  // <= 0: now
  int64_t limit = 0;     // 0: none
  bool count_only = false;
  bool index_only = false;  // hits without rows (unless the row is not the key's newest: then it is read)
  bool count_all = true;    // go on counting behind the limit
};

struct RangeHits {
  std::vector<KeyIndex::Hit> hits;  // in key order; `record` filled unless index_only
  int64_t count = 0;
};

class Reader {
 public:
  virtual ~Reader() = default;
  // The revision that "now" means; a transaction's own changes count one up.
  virtual int64_t revision() const = 0;
  // Revisions below it are gone.
  virtual int64_t compact_revision() const = 0;
  // Live keys in [key, end) (`end` empty: to the last key; use Single for one key). FutureRevision, Compacted.
  // Any other error means that the engine failed.
  virtual Status Range(std::string_view key, std::string_view end, const RangeOptions& options, RangeHits& out) = 0;
  virtual Status Single(std::string_view key, const RangeOptions& options, RangeHits& out) = 0;
};

}  // namespace tenon::mvcc
