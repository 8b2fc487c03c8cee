#include "kernel/mvcc/hash.h"

#include <algorithm>
#include <string>

#include "kernel/base/crc32c.h"
#include "kernel/base/errors.h"
#include "kernel/mvcc/key_value.h"
#include "kernel/mvcc/read_view.h"
#include "kernel/mvcc/store.h"

namespace tenon::mvcc {
namespace {

// Rows up to the compact revision count only if a reader at this revision sees them, since the others may be gone
// already. It is the asked one. But where no key lives there etcd's set of rows to keep is empty, which etcd takes for
// "keep all that there are": those that the compaction left. Source: etcd storage/mvcc/hash.go, WriteKeyValue.
int64_t KeptAt(Store& store, const HashByRevision& asked) {
  if (asked.compact_revision <= 0) return asked.revision;
  const bool empty = store.index().Range("", "", asked.revision, 1, false, nullptr) == 0;
  return empty ? asked.compact_revision : asked.revision;
}

bool Kept(Store& store, const tenon_kv& row, Revision revision, bool tombstone, int64_t asked) {
  if (tombstone) return false;
  KeyValue kv;
  if (!Decode(storage::View(row.val), kv)) return false;
  return store.index().RevisionAt(kv.key, asked) == revision;
}

// Fills in result.hash; result.revision and result.compact_revision say over what.
Status Compute(Store& store, const Views::Handle& handle, HashByRevision& result) {
  uint32_t crc = Crc32c(0, "key");
  const int64_t kept_at = KeptAt(store, result);
  std::string resume;
  const std::string stop(RevisionKey({std::max<int64_t>(result.revision, -1) + 1, 0}).view());
  tenon_kv rows[256];
  for (bool end = false; !end;) {
    ASSIGN_OR_RETURN(storage::Snapshot snapshot, store.engine().OpenSnapshot());
    ASSIGN_OR_RETURN(storage::Cursor cursor, snapshot.OpenCursor(store.key_table(), resume, stop, TENON_CUR_NO_FILL));
    for (size_t seen = 0; seen < ReadView::kRowsPerSnapshot && !end;) {
      ASSIGN_OR_RETURN(const size_t n, cursor.Next(rows, 4 << 20));
      end = n == 0;
      seen += n;
      for (size_t i = 0; i < n; i++) {
        const std::string_view key = storage::View(rows[i].key);
        Revision row;
        bool tombstone;
        if (!ParseRevisionKey(key, row, tombstone)) return absl::DataLossError("store: a row key is damaged");
        if (row.main <= result.compact_revision && !Kept(store, rows[i], row, tombstone, kept_at)) continue;
        crc = Crc32c(Crc32c(crc, key), storage::View(rows[i].val));
      }
      if (n > 0) {
        resume.assign(storage::View(rows[n - 1].key));
        resume += '\0';
      }
    }
    RETURN_IF_ERROR(handle.Check());
  }
  result.hash = crc;
  return Ok();
}

}  // namespace

Result<HashByRevision> HashKv(Store& store, int64_t revision) {
  if (std::optional<HashByRevision> stored = store.compaction_hashes().Find(revision)) {
    stored->current_revision = store.revision();
    return *stored;
  }
  const Views::Handle handle = store.views().OpenAtCompactRevision();  // nothing more goes away while we count
  HashByRevision result;
  result.compact_revision = handle.revision();
  result.current_revision = store.revision();
  if (revision > 0 && revision < result.compact_revision) return errors::Compacted();
  if (revision > result.current_revision) return errors::FutureRevision();
  result.revision = revision == 0 ? result.current_revision : revision;
  RETURN_IF_ERROR(Compute(store, handle, result));
  return result;
}

Result<HashByRevision> HashForCompaction(Store& store, int64_t revision, int64_t compact_revision) {
  const Views::Handle handle = store.views().OpenAtCompactRevision();
  HashByRevision result;
  result.revision = revision;
  result.compact_revision = compact_revision;
  RETURN_IF_ERROR(Compute(store, handle, result));
  return result;
}

void CompactionHashes::Add(const HashByRevision& hash) {
  MutexLock lock(&mutex_);
  hashes_.push_back(hash);
  if (hashes_.size() > kKept) hashes_.pop_front();
}

std::optional<HashByRevision> CompactionHashes::Find(int64_t revision) const {
  MutexLock lock(&mutex_);
  for (const HashByRevision& hash : hashes_) {
    if (hash.revision == revision) return hash;
  }
  return std::nullopt;
}

}  // namespace tenon::mvcc
