// A consistent view of the store for one reader, on any thread.
//
// The view is registered: what it can see is not removed while it lives (views.h). Engine snapshots under it are short,
// because rows never change once written: each call opens one for at most kRowsPerSnapshot rows.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "kernel/base/slab.h"
#include "kernel/mvcc/reader.h"
#include "kernel/mvcc/store.h"
#include "kernel/mvcc/views.h"

namespace tenon::mvcc {

class ReadView : public Reader {
 public:
  static constexpr size_t kRowsPerSnapshot = 10000;
  static constexpr size_t kScanFrom = 2000;   // hits; a range of so many leaves the engine's cache as it is
  static constexpr size_t kManyRows = 10000;  // held at once: worth larger pieces of memory

  explicit ReadView(Store& store);
  ReadView(ReadView&&) = delete;
  ~ReadView() override;

  int64_t revision() const override { return revision_; }
  int64_t compact_revision() const override { return store_->compact_revision(); }
  Status Range(std::string_view key, std::string_view end, const RangeOptions& options, RangeHits& out) override;
  Status Single(std::string_view key, const RangeOptions& options, RangeHits& out) override;

  // In two steps, for answers that are sent in pieces: find, then load hits [from, from + n). The revision that was
  // asked for is registered until the next Find.
  Status Find(std::string_view key, std::string_view end, bool single, const RangeOptions& options, RangeHits& out);
  Status Load(RangeHits& out, size_t from, size_t n, bool index_only = false);

  // Registers the newest published revision.
  static Views::Handle Newest(Store& store);

 private:
  using Hits = std::vector<KeyIndex::Hit>;
  // The rows of hits[i], for each i of `part`, which is in the order of revisions.
  Status Get(storage::Snapshot& snapshot, Hits& hits, std::span<const uint32_t> part);
  Status Scan(storage::Snapshot& snapshot, Hits& hits, std::span<const uint32_t> part);
  Status Missing(const KeyIndex::Hit& hit) const;
  Status Check() const;

  Store* store_;
  Views::Handle base_;
  int64_t revision_;
  Tally tally_;
  BlockSlab slab_;                         // of rows that scans read
  size_t scanned_ = 0;                     // rows
  std::optional<Views::Handle> historic_;  // at the older revision that was asked for last
};

}  // namespace tenon::mvcc
