#include "kernel/mvcc/history.h"

#include <algorithm>

#include "kernel/mvcc/key_value.h"

namespace tenon::mvcc {
namespace {

// The end of a single key's stretch is its successor.
KeyRange Stretch(KeyRange range) {
  if (range.single()) range.end = range.key + '\0';
  return range;
}

Status LoadFormers(Store& store, const Views::Handle& pin, std::vector<Event>& events) {
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, store.engine().OpenSnapshot());
  for (Event& event : events) {
    if (std::exchange(event.before, {}) == Revision{}) continue;
    const int64_t at = event.revision.main - 1;
    KeyIndex::Hit hit;
    if (at < pin.revision() || !store.index().Get(event.key, at, hit)) continue;
    event.before = hit.revision;
    const Result<std::string_view> row = snapshot.Get(store.key_table(), RevisionKey(hit.revision).view());
    if (!row.ok()) {
      RETURN_IF_ERROR(pin.Check());
      return absl::DataLossError(fmt::format("store: row {}/{} is in the index but not readable: {}", hit.revision.main,
                                             hit.revision.sub, Message(row.status())));
    }
    event.former = Block::Copy(*row);
  }
  return Ok();
}

}  // namespace

KeySet::KeySet(std::vector<KeyRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const KeyRange& a, const KeyRange& b) { return a.key < b.key; });
  for (KeyRange& range : ranges) {
    KeyRange next = Stretch(std::move(range));
    if (stretches_.empty() || stretches_.back().EndsAtOrBefore(next.key)) {
      stretches_.push_back(std::move(next));
    } else if (KeyRange& last = stretches_.back(); !last.open() && (next.open() || last.end < next.end)) {
      last.end = std::move(next.end);
    }
  }
}

bool KeySet::Contains(std::string_view key) const {
  const auto behind = std::upper_bound(stretches_.begin(), stretches_.end(), key,
                                       [](std::string_view k, const KeyRange& s) { return k < s.key; });
  return behind != stretches_.begin() && !std::prev(behind)->EndsAtOrBefore(key);
}

Result<History> ReadHistory(Store& store, const Views::Handle& pin, const HistoryWindow& window, const KeySet& wanted) {
  static constexpr size_t kRows = 256;
  tenon_kv rows[kRows];
  History out{{}, window.through};
  size_t seen = 0, bytes = 0;
  bool full = false;
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, store.engine().OpenSnapshot());
  ASSIGN_OR_RETURN(storage::Cursor cursor,
                   snapshot.OpenCursor(store.key_table(), RevisionKey({window.from, 0}).view(),
                                       RevisionKey({window.through + 1, 0}).view(), TENON_CUR_NO_FILL));
  int64_t last = window.from - 1;  // of which something was read
  for (bool end = false; !end && !full;) {
    ASSIGN_OR_RETURN(const size_t n, cursor.Next(rows, window.most_bytes));
    end = n == 0;
    for (size_t i = 0; i < n; i++) {
      Revision revision;
      bool tombstone;
      KeyValue kv;
      if (!ParseRevisionKey(storage::View(rows[i].key), revision, tombstone) ||
          !Decode(storage::View(rows[i].val), kv) || kv.key.empty()) {
        return absl::DataLossError(fmt::format("store: a row behind revision {} is damaged", last));
      }
      // Only between two revisions: the changes of one belong together.
      full = revision.main != last && (seen >= window.most_rows || bytes >= window.most_bytes);
      if (full) {
        out.through = revision.main - 1;
        break;
      }
      last = revision.main;
      seen++;
      if (!wanted.Contains(kv.key)) continue;
      bytes += rows[i].val.n;
      // A put that made its key replaces nothing; the others are marked, and LoadFormers finds the revision.
      const bool look = window.formers && (tombstone || kv.create_revision != kv.mod_revision);
      out.events.emplace_back(revision, tombstone, Block::Copy(storage::View(rows[i].val)),
                              look ? revision : Revision{}, Block());
    }
  }
  RETURN_IF_ERROR(pin.Check());
  if (window.formers) RETURN_IF_ERROR(LoadFormers(store, pin, out.events));
  return out;
}

}  // namespace tenon::mvcc
