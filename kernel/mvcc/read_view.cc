#include "kernel/mvcc/read_view.h"

#include <malloc.h>

#include <algorithm>
#include <array>

#include "kernel/base/errors.h"

namespace tenon::mvcc {

ReadView::ReadView(Store& store)
    : store_(&store), base_(Newest(store)), revision_(base_.revision()), tally_(store.counts()) {}

// The engine's pages came and went between what stays: without this malloc keeps their memory.
ReadView::~ReadView() {
  if (scanned_ >= kScanFrom) malloc_trim(0);
}

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

  for (std::span<const uint32_t> rest = missing; !rest.empty();) {
    ASSIGN_OR_RETURN(storage::Snapshot snapshot, store_->engine().OpenSnapshot());
    const auto part = rest.first(std::min(rest.size(), kRowsPerSnapshot));
    rest = rest.subspan(part.size());
    // Of many rows those that lie together are passed over once, without pushing others out of the engine's cache. To
    // step over three rows costs less than to search for one.
    const int64_t spread = out.hits[part.back()].revision.main - out.hits[part.front()].revision.main;
    const bool scan = out.hits.size() >= kScanFrom && spread < static_cast<int64_t>(4 * part.size());
    RETURN_IF_ERROR(scan ? Scan(snapshot, out.hits, part) : Get(snapshot, out.hits, part));
  }
  RETURN_IF_ERROR(Check());
  for (size_t i = from; i < from + n; i += KeyIndex::kStep) {
    store_->index().Fill(out.hits, i, std::min<size_t>(KeyIndex::kStep, from + n - i));
  }
  return Ok();
}

// The rows of `part` one by one, by their names.
Status ReadView::Get(storage::Snapshot& snapshot, Hits& hits, std::span<const uint32_t> part) {
  static constexpr size_t kRows = 256;
  static constexpr size_t kBytes = 4 << 20;
  std::vector<RevisionKey> names;
  std::vector<tenon_slice> keys;
  std::array<tenon_slice, kRows> values;
  while (!part.empty()) {
    names.clear();
    keys.clear();
    for (const uint32_t i : part.first(std::min(kRows, part.size()))) names.emplace_back(hits[i].revision);
    for (const RevisionKey& name : names) keys.push_back(storage::Slice(name.view()));
    ASSIGN_OR_RETURN(const size_t got, snapshot.MultiGet(store_->key_table(), keys, kBytes, values.data()));
    for (size_t i = 0; i < got; i++) {
      if (values[i].p == nullptr) return Missing(hits[part[i]]);
      hits[part[i]].record = Block::Copy(storage::View(values[i]));
    }
    part = part.subspan(got);
  }
  return Ok();
}

// The same by a cursor over all rows from the first to the last of them.
Status ReadView::Scan(storage::Snapshot& snapshot, Hits& hits, std::span<const uint32_t> part) {
  static constexpr size_t kBytes = 64 << 10;  // few enough to be still in the processor's cache when they are copied
  ASSIGN_OR_RETURN(
      storage::Cursor cursor,
      snapshot.OpenCursor(store_->key_table(), RevisionKey(hits[part.front()].revision).view(), {}, TENON_CUR_NO_FILL));
  std::array<tenon_kv, 64> rows;
  size_t at = 0, got = 0;
  for (size_t i = 0; i < part.size();) {
    if (at == got) {
      at = 0;
      ASSIGN_OR_RETURN(got, cursor.Next(std::span(rows).first(std::min(rows.size(), part.size() - i)), kBytes));
    }
    const RevisionKey name(hits[part[i]].revision);
    const std::string_view key = got == 0 ? std::string_view() : storage::View(rows[at].key);
    if (got == 0 || key > name.view()) return Missing(hits[part[i]]);
    if (key == name.view()) hits[part[i++]].record = slab_.Copy(storage::View(rows[at].val));
    at++;
  }
  scanned_ += part.size();
  return Ok();
}

Status ReadView::Missing(const KeyIndex::Hit& hit) const {
  RETURN_IF_ERROR(Check());  // ended, and the row is compacted
  return absl::DataLossError(
      fmt::format("store: row {}/{} is in the index but not in the engine", hit.revision.main, hit.revision.sub));
}

Status ReadView::Range(std::string_view key, std::string_view end, const RangeOptions& options, RangeHits& out) {
  RETURN_IF_ERROR(Find(key, end, false, options, out));
  if (out.hits.size() >= kManyRows) slab_.ExpectMany();
  return Load(out, 0, out.hits.size(), options.index_only);
}

Status ReadView::Single(std::string_view key, const RangeOptions& options, RangeHits& out) {
  RETURN_IF_ERROR(Find(key, {}, true, options, out));
  return Load(out, 0, out.hits.size(), options.index_only);
}

}  // namespace tenon::mvcc
