// The key index: every key with its revisions, in memory, in key order.
//
// One writer (the apply thread), many readers. A reader asks for the state at a revision that is published, so it
// never sees a change that the writer has made but not published: what is newer than its revision is passed over.
// An entry is one allocation: the newest revision and the key inside, older revisions in a list of their own that
// exists only for keys that were changed since the last compaction. The record cache (the newest row's bytes) hangs
// off the entry, within a budget of bytes.
//
// Locking: readers hold the lock for at most kStep keys at a time. A pointer to an Entry that a reader got at a
// revision stays valid while the reader's view is registered (read_view.h), also when the view was ended: Compact only
// unlinks entries, and they are freed when no reader is left who may hold one.
//
// Reference: etcd storage/mvcc/key_index.go; its generations are the stretches of `older` between tombstones.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "kernel/base/block.h"
#include "kernel/base/mutex.h"
#include "kernel/mvcc/revision.h"

namespace tenon::mvcc {

class KeyIndex {
 public:
  static constexpr int kStep = 1000;  // keys per holding of the lock
  static constexpr int64_t kNewest = std::numeric_limits<int64_t>::max();

  // A row's digest in three bytes that alignment leaves over.
  static void PackDigest(uint8_t (&to)[3], uint32_t digest) {
    to[0] = static_cast<uint8_t>(digest);
    to[1] = static_cast<uint8_t>(digest >> 8);
    to[2] = static_cast<uint8_t>(digest >> 16);
  }
  static uint32_t Digest(const uint8_t (&from)[3]) {
    return uint32_t{from[0]} | uint32_t{from[1]} << 8 | uint32_t{from[2]} << 16;
  }

  // A former revision of a key.
  struct Change {
    int64_t main;
    uint32_t sub;
    bool tombstone;
    uint8_t digest[3];  // of the row: row_sum.h
    Revision revision() const { return {main, sub}; }
  };

  struct Entry {
    int64_t mod_main;
    int64_t create_main;  // 0: the newest change is a tombstone
    int64_t version;
    int64_t lease;
    std::vector<Change>* older;  // ascending; null: none
    Block record;                // the newest row's value, if cached
    uint32_t mod_sub;
    uint32_t key_size;
    uint32_t cache_slot;  // position in the clock, if cached
    std::atomic<bool> referenced;
    uint8_t digest[3];  // of the newest row: row_sum.h

    std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_size}; }
    Revision mod() const { return {mod_main, mod_sub}; }
    bool tombstone() const { return create_main == 0; }
  };

  // A live key at the asked revision.
  struct Hit {
    Entry* entry;
    Revision revision;  // of the row
    Block record;       // the row; empty: not in the cache, read it
    bool newest;        // it is the key's newest row, and these are its fields:
    int64_t create, version, lease;
  };

  explicit KeyIndex(size_t record_cache_bytes) : cache_budget_(record_cache_bytes) {}
  ~KeyIndex();
  KeyIndex(const KeyIndex&) = delete;

  // ---- the writer ----
  // Finds without the lock; only the writer may.
  Entry* Find(std::string_view key) const;
  // The key's newest row is `revision` now. `record` is what the row holds (empty: do not cache). Returns the row
  // before it, if that was cached; so does Tombstone.
  Block Put(Entry* entry_or_null, std::string_view key, Revision revision, int64_t create, int64_t version,
            int64_t lease, Block record, uint32_t digest = 0);
  Block Tombstone(Entry* entry, Revision revision, uint32_t digest = 0);
  // A key of which nothing but a tombstone is left; only found when the table is scanned.
  void AddTombstone(std::string_view key, Revision revision, uint32_t digest = 0);
  // Removes what no one at a revision >= `compact` can see, for up to kStep keys and about as many rows from `from` on
  // (inclusive; empty: the first). Appends the rows that go. Returns the key to go on from, nothing at the end.
  struct RemovedRow {
    Revision revision;
    bool tombstone;
    uint32_t digest;
  };
  std::optional<std::string> Compact(std::string_view from, int64_t compact, std::vector<RemovedRow>& removed);
  // Frees the entries that Compact unlinked: no reader holds one any more.
  void FreeRemoved();

  // ---- anyone ----
  // The key at revision `at`; false: it does not exist there.
  bool Get(std::string_view key, int64_t at, Hit& hit);
  // Keys in [key, end) (end empty: to the last key), live at `at`, in order. Stops collecting at `limit` hits
  // (0: none) but counts on if `count_all`. Returns how many are live (or were seen).
  int64_t Range(std::string_view key, std::string_view end, int64_t at, int64_t limit, bool count_all,
                std::vector<Hit>* hits);
  int64_t Count(std::string_view key, std::string_view end, int64_t at) {
    return Range(key, end, at, 0, true, nullptr);
  }
  // The revision of the row that holds `key` at `at`, if it lives there. For HashKV.
  std::optional<Revision> RevisionAt(std::string_view key, int64_t at);
  // What the index says of keys at revision `at`, which the caller has registered: for index_snapshot.h.
  struct Image {
    struct Item {
      uint32_t key_size;
      uint32_t older;  // how many of Image::older
      Revision mod;
      bool tombstone;
      bool known;  // else create, version and lease are in the engine's row `mod`
      int64_t create, version, lease;
      uint32_t digest;
    };
    std::vector<Item> items;
    std::string keys;           // one behind the other
    std::vector<Change> older;  // likewise
  };
  // Replaces `image` by up to kStep keys from `from` on (inclusive); returns the key to go on from, nothing at the end.
  std::optional<std::string> Read(std::string_view from, int64_t at, Image& image) const;
  // Hands in rows that a reader has read; caches those that are still newest, while they fit.
  void Fill(std::vector<Hit>& hits, size_t from, size_t n);

  size_t keys() const { return size_.load(std::memory_order_relaxed); }
  size_t cached_bytes() const { return cached_bytes_.load(std::memory_order_relaxed); }

  // ---- start and stop: nobody else is there ----
  // Calls fn for each entry in key order.
  void ForEach(const std::function<void(const Entry&)>& fn) const;
  // Adds an entry behind all others (keys ascending), as a snapshot holds them.
  void AppendSorted(std::string_view key, Revision mod, int64_t create, int64_t version, int64_t lease,
                    std::vector<Change> older, uint32_t digest);
  void Clear();

 private:
  friend class IndexBuilder;
  struct Less {
    using is_transparent = void;
    bool operator()(const Entry* a, const Entry* b) const { return a->key() < b->key(); }
    bool operator()(const Entry* a, std::string_view b) const { return a->key() < b; }
    bool operator()(std::string_view a, const Entry* b) const { return a < b->key(); }
  };
  static Entry* NewEntry(std::string_view key);
  static void FreeEntry(Entry* entry);
  static void SetRevision(Entry& entry, Revision revision, uint32_t digest);
  static void Advance(Entry& entry, Revision revision, uint32_t digest);  // what it was becomes its newest older change
  void AppendEntry(Entry* entry);
  static bool At(Entry& entry, int64_t at, Hit& hit);
  void SetRecord(Entry& entry, Block record);
  Block DropRecord(Entry& entry);
  void Evict();

  mutable Mutex mutex_;
  absl::btree_set<Entry*, Less> entries_;
  std::atomic<size_t> size_{0};
  std::vector<Entry*> unlinked_;  // by Compact, not yet freed [writer]
  // The record cache: a clock over the entries that have a record.
  std::vector<Entry*> clock_;
  size_t hand_ = 0;
  std::atomic<size_t> cached_bytes_{0};
  const size_t cache_budget_;
};

}  // namespace tenon::mvcc
