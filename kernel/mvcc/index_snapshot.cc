#include "kernel/mvcc/index_snapshot.h"

#include <algorithm>
#include <vector>

#include "kernel/base/coding.h"
#include "kernel/base/crc32c.h"
#include "kernel/base/log.h"
#include "kernel/base/mutant.h"
#include "kernel/base/units.h"
#include "kernel/mvcc/key_value.h"
#include "kernel/mvcc/read_view.h"
#include "kernel/mvcc/store.h"
#include "kernel/snapshot/files.h"

namespace tenon::mvcc {
namespace {

constexpr std::string_view kFormat = "tenon-index/2";
constexpr std::string_view kSuffix = "index";
constexpr size_t kKept = 2;  // the newer one may be ahead of what a crash leaves of the engine

// The first byte of a frame.
enum Kind : char { kHeader = 'H', kEntries = 'K', kTrailer = 'E' };
constexpr uint64_t kIsTombstone = 1, kHasOlder = 2;  // an entry's flags

void AppendFixed64(std::string& to, int64_t v) {
  char bytes[8];
  PutLittleEndian64(bytes, static_cast<uint64_t>(v));
  to.append(bytes, 8);
}

void AppendDigest(std::string& to, uint32_t digest) {
  uint8_t bytes[3];
  KeyIndex::PackDigest(bytes, digest);
  to.append(reinterpret_cast<const char*>(bytes), 3);
}

void AppendNumber(std::string& to, int64_t v) { AppendVarint(to, static_cast<uint64_t>(v)); }

// Takes the numbers of an entry from the front of a frame; remembers that something was missing.
struct Taker {
  std::string_view rest;
  bool ok = true;
  int64_t Number() {
    uint64_t v = 0;
    ok = ok && TakeVarint(rest, v);
    return static_cast<int64_t>(v);
  }
  uint32_t Digest() {
    const std::string_view bytes = Bytes(3);
    if (!ok) return 0;
    return static_cast<uint8_t>(bytes[0]) | uint32_t{static_cast<uint8_t>(bytes[1])} << 8 |
           uint32_t{static_cast<uint8_t>(bytes[2])} << 16;
  }
  std::string_view Bytes(int64_t n) {
    ok = ok && n >= 0 && static_cast<uint64_t>(n) <= rest.size();
    if (!ok) return {};
    const std::string_view bytes = rest.substr(0, static_cast<size_t>(n));
    rest.remove_prefix(static_cast<size_t>(n));
    return bytes;
  }
};

// One key: what it shares with the key before it in the frame, the rest of it, flags, and revisions as differences,
// each with its row's digest.
void AppendItem(std::string& to, std::string_view before, std::string_view key, const KeyIndex::Image::Item& item,
                const KeyIndex::Change* older) {
  const std::string_view head = key.substr(0, before.size());
  const auto shared = static_cast<size_t>(std::mismatch(head.begin(), head.end(), before.begin()).first - head.begin());
  AppendVarint(to, shared);
  AppendVarint(to, key.size() - shared);
  to += key.substr(shared);
  AppendVarint(to, (item.tombstone ? kIsTombstone : 0) | (item.older > 0 ? kHasOlder : 0));
  AppendNumber(to, item.mod.main);
  AppendNumber(to, item.mod.sub);
  AppendDigest(to, item.digest);
  if (!item.tombstone) {
    AppendNumber(to, item.mod.main - item.create);
    AppendNumber(to, item.version);
    AppendNumber(to, item.lease);
  }
  if (item.older == 0) return;
  AppendVarint(to, item.older);
  int64_t main = 0;
  for (uint32_t i = 0; i < item.older; i++) {
    AppendNumber(to, older[i].main - main);
    AppendVarint(to, uint64_t{older[i].sub} << 1 | older[i].tombstone);
    AppendDigest(to, KeyIndex::Digest(older[i].digest));
    main = older[i].main;
  }
}

}  // namespace

std::string IndexSnapshot::PathOf(int64_t revision) const {
  return directory_ + "/" + snapshot::NumberedName(static_cast<uint64_t>(revision), kSuffix);
}

// ---- what the engine holds ----

Result<int64_t> IndexSnapshot::EngineRevision() {
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, store_->engine().OpenSnapshot());
  ASSIGN_OR_RETURN(storage::Cursor cursor, snapshot.OpenCursor(store_->key_table(), {}, {}, TENON_CUR_REVERSE));
  tenon_kv row;
  ASSIGN_OR_RETURN(const size_t n, cursor.Next({&row, 1}, 1));
  Revision revision;
  bool tombstone;
  if (n == 0 || !ParseRevisionKey(storage::View(row.key), revision, tombstone)) return 0;
  return revision.main;
}

// The last row of a revision outlives every compaction up to that revision, so it identifies the history.
Result<uint32_t> IndexSnapshot::Anchor(int64_t revision) {
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, store_->engine().OpenSnapshot());
  const RevisionKey low({revision, 0}), high({revision + 1, 0});
  ASSIGN_OR_RETURN(storage::Cursor cursor,
                   snapshot.OpenCursor(store_->key_table(), low.view(), high.view(), TENON_CUR_REVERSE));
  tenon_kv row;
  ASSIGN_OR_RETURN(const size_t n, cursor.Next({&row, 1}, 1));
  if (n == 0) return absl::NotFoundError(fmt::format("the engine has no row of revision {}", revision));
  return Crc32c(Crc32c(0, storage::View(row.key)), storage::View(row.val));
}

int64_t IndexSnapshot::StoreCompactRevision() const { return std::max<int64_t>(store_->compact_revision(), 0); }

// ---- writing ----

Status IndexSnapshot::WriteIfDue() {
  const uint64_t changes = store_->rows_written() - rows_written_;
  const uint64_t now = clock_.MonoNs();
  const bool many = changes >= std::max<uint64_t>(options_.min_changes, store_->keys() / 4);
  // A compaction behind the file's revision has made it useless.
  const bool useless = StoreCompactRevision() > revision_ && store_->keys() >= options_.min_changes &&
                       now - written_ns_ >= options_.compaction_interval_ns;
  return many || useless ? Write() : Ok();
}

Status IndexSnapshot::WriteIfChanged() {
  if (store_->revision() == revision_ && StoreCompactRevision() == compact_) return Ok();
  return Write();
}

Status IndexSnapshot::Write() {
  written_ns_ = clock_.MonoNs();  // also if it fails: not again at once
  const uint64_t rows = store_->rows_written();
  rows_written_ = rows;
  if (store_->keys() == 0) return Ok();
  // Registered, so that what this revision sees stays while we read it.
  const Views::Handle view = ReadView::Newest(*store_);
  const int64_t revision = view.revision();
  ASSIGN_OR_RETURN(const uint32_t anchor, Anchor(revision));

  ASSIGN_OR_RETURN(const std::unique_ptr<snapshot::NewFile> file,
                   snapshot::NewFile::Create(disk_, directory_, kSuffix));
  snapshot::FrameWriter frames([&](std::string_view bytes) { return file->Append(bytes); });
  std::string frame(1, kHeader);
  frame += kFormat;
  AppendFixed64(frame, revision);
  AppendVarint(frame, anchor);
  RETURN_IF_ERROR(frames.Write(frame));

  uint64_t keys = 0;
  RETURN_IF_ERROR(WriteEntries(revision, frames, keys));
  RETURN_IF_ERROR(view.Check());  // ended by a compaction: the file would have holes

  // Only now: a removal that began meanwhile has already taken changes out of what we read.
  const int64_t removal = store_->removal_revision();
  frame.assign(1, kTrailer);
  AppendVarint(frame, keys);
  AppendNumber(frame, removal);
  RETURN_IF_ERROR(frames.Write(frame));
  RETURN_IF_ERROR(file->Commit(static_cast<uint64_t>(revision)));
  RETURN_IF_ERROR(snapshot::KeepNewest(disk_, directory_, kSuffix, kKept));
  revision_ = revision;
  compact_ = StoreCompactRevision();
  LOG_INFO("wrote the index snapshot", {"revision", revision}, {"keys", keys},
           {"took", FormatDurationNs(static_cast<int64_t>(clock_.MonoNs() - written_ns_))});
  return Ok();
}

Status IndexSnapshot::WriteEntries(int64_t revision, snapshot::FrameWriter& frames, uint64_t& keys) {
  KeyIndex::Image image;
  std::string frame(1, kEntries), before;
  std::optional<std::string> next = "";
  while (next) {
    next = store_->index().Read(*next, revision, image);
    RETURN_IF_ERROR(LookUp(image));
    const char* key = image.keys.data();
    const KeyIndex::Change* older = image.older.data();
    for (const KeyIndex::Image::Item& item : image.items) {
      const std::string_view name(key, item.key_size);
      AppendItem(frame, before, name, item, older);
      before.assign(name);
      key += item.key_size;
      older += item.older;
      if (frame.size() < snapshot::kFrameTarget) continue;
      if (frame.size() > snapshot::kMaxFrame) {
        return absl::OutOfRangeError(fmt::format("a key of {} changes does not fit", item.older));
      }
      RETURN_IF_ERROR(frames.Write(frame));
      frame.assign(1, kEntries);
      before.clear();
    }
    keys += image.items.size();
  }
  return frame.size() > 1 ? frames.Write(frame) : Ok();
}

// A key that has changed since the registered revision: what it was is in its row.
Status IndexSnapshot::LookUp(KeyIndex::Image& image) {
  std::vector<KeyIndex::Image::Item*> unknown;
  for (KeyIndex::Image::Item& item : image.items) {
    if (!item.known) unknown.push_back(&item);
  }
  if (unknown.empty()) return Ok();
  std::sort(unknown.begin(), unknown.end(), [](const auto* a, const auto* b) { return a->mod < b->mod; });
  std::vector<RevisionKey> names;
  std::vector<tenon_slice> keys;
  for (const auto* item : unknown) names.emplace_back(item->mod);
  for (const RevisionKey& name : names) keys.push_back(storage::Slice(name.view()));
  std::vector<tenon_slice> values(keys.size());
  ASSIGN_OR_RETURN(storage::Snapshot snapshot, store_->engine().OpenSnapshot());
  for (size_t done = 0; done < keys.size();) {
    const std::span<const tenon_slice> rest = std::span(keys).subspan(done);
    ASSIGN_OR_RETURN(const size_t got, snapshot.MultiGet(store_->key_table(), rest, 4 << 20, values.data()));
    for (size_t i = 0; i < got; i++) {
      KeyIndex::Image::Item& item = *unknown[done + i];
      KeyValue kv;
      // Absent if the view was ended: the caller's Check says so.
      if (values[i].p == nullptr || !Decode(storage::View(values[i]), kv)) {
        return absl::OutOfRangeError(fmt::format("row {}/{} is gone", item.mod.main, item.mod.sub));
      }
      item.create = kv.create_revision;
      item.version = kv.version;
      item.lease = kv.lease;
    }
    done += got;
  }
  return Ok();
}

// ---- reading ----

Result<int64_t> IndexSnapshot::Load(Store& store, int64_t scheduled_compact, int64_t finished_compact) {
  store_ = &store;
  written_ns_ = clock_.MonoNs();
  ASSIGN_OR_RETURN(std::vector<uint64_t> revisions, snapshot::ListNumbered(disk_, directory_, kSuffix));
  if (revisions.empty()) return 0;
  ASSIGN_OR_RETURN(const int64_t engine_revision, EngineRevision());
  for (; !revisions.empty(); revisions.pop_back()) {
    const auto revision = static_cast<int64_t>(revisions.back());
    const bool stale = revision < std::max(scheduled_compact, finished_compact);
    if (revision > engine_revision || (stale && !Planted(Mutant::kStaleIndex))) {
      LOG_INFO("the index snapshot does not fit the engine", {"revision", revision},
               {"engine-revision", engine_revision},
               {"compact-revision", std::max(scheduled_compact, finished_compact)});
      continue;
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk_.OpenFile(PathOf(revision), Disk::Open::kRead));
    const Status loaded = LoadFile(*file, revision, finished_compact);
    if (loaded.ok()) {
      revision_ = revision;
      return revision;
    }
    store.index().Clear();
    LOG_WARN("an index snapshot cannot be used; reading the rows instead", {"file", PathOf(revision)},
             {"error", loaded});
  }
  return 0;
}

Status IndexSnapshot::LoadFile(File& file, int64_t revision, int64_t finished_compact) {
  snapshot::FrameReader frames(snapshot::FileSource(file));
  ASSIGN_OR_RETURN(std::string_view frame, frames.Next());
  std::string header(1, kHeader);
  header += kFormat;
  AppendFixed64(header, revision);
  if (frame.substr(0, header.size()) != header) {
    return frames.Damaged(fmt::format("it does not begin as a {} file of its name's revision", kFormat));
  }
  Taker head{frame.substr(header.size())};
  const auto anchor = static_cast<uint64_t>(head.Number());
  ASSIGN_OR_RETURN(const uint32_t engine_anchor, Anchor(revision));
  if (!head.ok || anchor != engine_anchor) {
    return absl::FailedPreconditionError("it was written over another history than the engine holds");
  }

  KeyIndex& index = store_->index();
  uint64_t keys = 0;
  std::string key, last;
  std::vector<KeyIndex::Change> older;
  for (;;) {
    ASSIGN_OR_RETURN(frame, frames.Next());
    if (frame.empty()) return frames.Damaged("it ends before its trailer");
    Taker t{frame.substr(1)};
    if (frame[0] == kTrailer) {
      const auto count = static_cast<uint64_t>(t.Number());
      const int64_t removal = t.Number();
      compact_ = removal;
      if (!t.ok || count != keys) return frames.Damaged("its trailer does not match what came before");
      if (removal > std::max<int64_t>(finished_compact, 0) && !Planted(Mutant::kStaleIndex)) {
        return absl::FailedPreconditionError(fmt::format(
            "a compaction at {} had begun to remove rows when it was written, and the engine has not finished it",
            removal));
      }
      ASSIGN_OR_RETURN(frame, frames.Next());
      return frame.empty() ? Ok() : frames.Damaged("something follows its trailer");
    }
    if (frame[0] != kEntries) return frames.Damaged("a frame of an unknown kind");
    key.clear();
    while (!t.rest.empty()) {
      const auto shared = static_cast<uint64_t>(t.Number());
      const int64_t rest = t.Number();
      if (!t.ok || shared > key.size()) return frames.Damaged("an entry's key is wrong");
      key.resize(shared);
      key += t.Bytes(rest);
      const auto flags = static_cast<uint64_t>(t.Number());
      const int64_t main = t.Number(), sub = t.Number();
      const uint32_t digest = t.Digest();
      int64_t create = 0, version = 0, lease = 0;
      if (!(flags & kIsTombstone)) {
        create = main - t.Number();
        version = t.Number();
        lease = t.Number();
      }
      older.clear();
      if (flags & kHasOlder) {
        const int64_t n = t.Number();
        int64_t at = 0;
        if (n < 0 || static_cast<uint64_t>(n) > t.rest.size()) t.ok = false;  // each takes five bytes at least
        for (int64_t i = 0; t.ok && i < n; i++) {
          at += t.Number();
          const auto packed = static_cast<uint64_t>(t.Number());
          KeyIndex::Change& change =
              older.emplace_back(KeyIndex::Change{at, static_cast<uint32_t>(packed >> 1), (packed & 1) != 0, {}});
          KeyIndex::PackDigest(change.digest, t.Digest());
        }
      }
      const bool alive = !(flags & kIsTombstone);
      if (!t.ok || key.empty() || key <= last || main <= 0 || main > revision || (alive && create <= 0)) {
        return frames.Damaged("an entry is wrong");
      }
      index.AppendSorted(key, {main, sub}, create, version, lease, older, digest);
      last = key;
      keys++;
    }
  }
}

}  // namespace tenon::mvcc
