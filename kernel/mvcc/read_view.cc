#include "kernel/mvcc/read_view.h"

#include <algorithm>
#include <numeric>

#include "kernel/base/errors.h"

namespace tenon::mvcc {

ReadView::ReadView(Store& store)
    : store_(&store), base_(Newest(store)), revision_(base_.revision()), tally_(store.counts()) {}

Views::Handle ReadView::Newest(Store& store) {
  for (;;) {  // a second turn only if a compaction was published since we looked
    Result<Views::Handle> handle = store.views().Open(store.revision());
    if (handle.ok()) return *std::move(handle);
  }
}

Status ReadView::Find(std::string_view key, std::string_view end, bool single, const RangeOptions& options,
                      RangeHits& out) {
  tally_.ranges++;
  if (options.revision > revision_) return errors::FutureRevision();
  const int64_t at = options.revision <= 0 ? revision_ : options.revision;
  historic_.reset();
  if (at != revision_) {
    ASSIGN_OR_RETURN(Views::Handle handle, store_->views().Open(at));
    historic_.emplace(std::move(handle));
  }
  if (single) {
    KeyIndex::Hit hit;
    out.count = store_->index().Get(key, at, hit);
    if (out.count > 0 && !options.count_only) out.hits.push_back(std::move(hit));
  } else {
    out.count =
        store_->index().Range(key, end, at, options.limit, options.count_all, options.count_only ? nullptr : &out.hits);
  }
  return Check();
}

Status ReadView::Check() const {
  RETURN_IF_ERROR(base_.Check());
  return historic_ ? historic_->Check() : Ok();
}

Status ReadView::Load(RangeHits& out, size_t from, size_t n, bool index_only) {
  // Rows lie in the order of revisions, hits in the order of keys: ask for rows in their order.
  std::vector<uint32_t> missing;
  for (size_t i = from; i < from + n; i++) {
    if (!out.hits[i].record && !(index_only && out.hits[i].newest)) missing.push_back(static_cast<uint32_t>(i));
  }
  if (missing.empty()) return Ok();
  std::sort(missing.begin(), missing.end(),
            [&](uint32_t a, uint32_t b) { return out.hits[a].revision < out.hits[b].revision; });

  static constexpr size_t kRows = 256;
  static constexpr size_t kBytes = 4 << 20;
  std::vector<RevisionKey> names;
  std::vector<tenon_slice> keys;
  std::array<tenon_slice, kRows> values;
  for (size_t done = 0; done < missing.size();) {
    ASSIGN_OR_RETURN(storage::Snapshot snapshot, store_->engine().OpenSnapshot());
    const size_t stop = std::min(missing.size(), done + kRowsPerSnapshot);
    while (done < stop) {
      const size_t want = std::min(kRows, stop - done);
      names.clear();
      keys.clear();
      for (size_t i = 0; i < want; i++) names.emplace_back(out.hits[missing[done + i]].revision);
      for (const RevisionKey& name : names) keys.push_back(storage::Slice(name.view()));
      ASSIGN_OR_RETURN(const size_t got, snapshot.MultiGet(store_->key_table(), keys, kBytes, values.data()));
      for (size_t i = 0; i < got; i++) {
        KeyIndex::Hit& hit = out.hits[missing[done + i]];
        if (values[i].p == nullptr) {
          RETURN_IF_ERROR(Check());  // ended, and the row is compacted
          return absl::DataLossError(fmt::format("store: row {}/{} is in the index but not in the engine",
                                                 hit.revision.main, hit.revision.sub));
        }
        hit.record = Block::Copy(storage::View(values[i]));
      }
      done += got;
    }
  }
  RETURN_IF_ERROR(Check());
  for (size_t i = from; i < from + n; i += KeyIndex::kStep) {
    store_->index().Fill(out.hits, i, std::min<size_t>(KeyIndex::kStep, from + n - i));
  }
  return Ok();
}

Status ReadView::Range(std::string_view key, std::string_view end, const RangeOptions& options, RangeHits& out) {
  RETURN_IF_ERROR(Find(key, end, false, options, out));
  return Load(out, 0, out.hits.size(), options.index_only);
}

Status ReadView::Single(std::string_view key, const RangeOptions& options, RangeHits& out) {
  RETURN_IF_ERROR(Find(key, {}, true, options, out));
  return Load(out, 0, out.hits.size(), options.index_only);
}

}  // namespace tenon::mvcc
