#include "kernel/mvcc/key_index.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "kernel/base/check.h"

namespace tenon::mvcc {
namespace {

bool Inside(std::string_view key, std::string_view end) { return end.empty() || key < end; }

// Bytes that a cached record costs, allocator included.
size_t Cost(const Block& record) { return record.size() + Block::kOverhead + 16; }

}  // namespace

KeyIndex::~KeyIndex() { Clear(); }

void KeyIndex::Clear() {
  FreeRemoved();
  for (Entry* entry : entries_) FreeEntry(entry);
  entries_.clear();
  clock_.clear();
  size_ = cached_bytes_ = 0;
}

KeyIndex::Entry* KeyIndex::NewEntry(std::string_view key) {
  void* memory = std::malloc(sizeof(Entry) + key.size());
  if (memory == nullptr) throw std::bad_alloc();
  auto* entry = new (memory) Entry{};
  entry->key_size = static_cast<uint32_t>(key.size());
  std::memcpy(reinterpret_cast<char*>(entry) + sizeof(Entry), key.data(), key.size());
  return entry;
}

void KeyIndex::FreeEntry(Entry* entry) {
  delete entry->older;
  entry->~Entry();
  std::free(entry);
}

void KeyIndex::SetRevision(Entry& entry, Revision revision, uint32_t digest) {
  static_assert(sizeof(Entry) == 64 && sizeof(Change) == 16, "the digest must cost no memory");
  PackDigest(entry.digest, digest);
  entry.mod_main = revision.main;
  entry.mod_sub = static_cast<uint32_t>(revision.sub);
}

void KeyIndex::Advance(Entry& entry, Revision revision, uint32_t digest) {
  CHECK_LT(entry.mod(), revision);
  if (entry.older == nullptr) entry.older = new std::vector<Change>;
  entry.older->push_back(
      {entry.mod_main, entry.mod_sub, entry.tombstone(), {entry.digest[0], entry.digest[1], entry.digest[2]}});
  SetRevision(entry, revision, digest);
}

KeyIndex::Entry* KeyIndex::Find(std::string_view key) const {
  const auto it = entries_.find(key);
  return it == entries_.end() ? nullptr : *it;
}

Block KeyIndex::Put(Entry* entry, std::string_view key, Revision revision, int64_t create, int64_t version,
                    int64_t lease, Block record, uint32_t digest) {
  CHECK_GT(create, 0);
  Block former;
  MutexLock lock(&mutex_);
  if (entry == nullptr) {
    entry = NewEntry(key);
    entries_.insert(entry);
    size_.fetch_add(1, std::memory_order_relaxed);
    SetRevision(*entry, revision, digest);
  } else {
    Advance(*entry, revision, digest);
    former = DropRecord(*entry);
  }
  entry->create_main = create;
  entry->version = version;
  entry->lease = lease;
  SetRecord(*entry, std::move(record));
  return former;
}

Block KeyIndex::Tombstone(Entry* entry, Revision revision, uint32_t digest) {
  CHECK(!entry->tombstone());
  MutexLock lock(&mutex_);
  Advance(*entry, revision, digest);
  entry->create_main = entry->version = entry->lease = 0;
  return DropRecord(*entry);
}

void KeyIndex::AddTombstone(std::string_view key, Revision revision, uint32_t digest) {
  Entry* entry = NewEntry(key);
  SetRevision(*entry, revision, digest);
  MutexLock lock(&mutex_);
  entries_.insert(entry);
  size_.fetch_add(1, std::memory_order_relaxed);
}

std::optional<std::string> KeyIndex::Compact(std::string_view from, int64_t compact, std::vector<RemovedRow>& removed) {
  const size_t enough = removed.size() + kStep;
  MutexLock lock(&mutex_);
  auto it = entries_.lower_bound(from);
  for (int n = 0; n < kStep && it != entries_.end() && removed.size() < enough; n++) {
    Entry& entry = **it;
    // Of the changes up to `compact` the last one stays, unless it is a tombstone from before `compact`
    // (one at `compact` itself stays: etcd since 3.5.16, so that a watch from there still sees the delete).
    if (entry.older != nullptr) {
      std::vector<Change>& older = *entry.older;
      const auto behind = std::find_if(older.begin(), older.end(), [&](const Change& c) { return c.main > compact; });
      auto keep = behind;
      if (entry.mod_main > compact && behind != older.begin()) {
        const Change& last = *std::prev(behind);
        if (!last.tombstone || last.main == compact) keep = std::prev(behind);
      }
      // A key that was changed very often takes several slices, oldest rows first.
      const bool too_many = keep - older.begin() > kStep;
      if (too_many) keep = older.begin() + kStep;
      for (auto c = older.begin(); c != keep; ++c) removed.push_back({c->revision(), c->tombstone, Digest(c->digest)});
      older.erase(older.begin(), keep);
      if (older.empty()) {
        delete entry.older;
        entry.older = nullptr;
      } else if (older.capacity() > 2 * older.size()) {
        older.shrink_to_fit();
      }
      if (too_many) return std::string(entry.key());
    }
    if (entry.tombstone() && entry.mod_main < compact) {
      CHECK(entry.older == nullptr);
      removed.push_back({entry.mod(), true, Digest(entry.digest)});
      it = entries_.erase(it);
      size_.fetch_sub(1, std::memory_order_relaxed);
      unlinked_.push_back(&entry);
    } else {
      ++it;
    }
  }
  if (it == entries_.end()) return std::nullopt;
  return std::string((*it)->key());
}

void KeyIndex::FreeRemoved() {
  for (Entry* entry : unlinked_) FreeEntry(entry);
  unlinked_.clear();
}

bool KeyIndex::At(Entry& entry, int64_t at, Hit& hit) {
  if (entry.mod_main <= at) {
    if (entry.tombstone()) return false;
    if (entry.record && !entry.referenced.load(std::memory_order_relaxed)) {
      entry.referenced.store(true, std::memory_order_relaxed);
    }
    hit = {&entry, entry.mod(), entry.record, true, entry.create_main, entry.version, entry.lease};
    return true;
  }
  if (entry.older == nullptr) return false;
  const auto behind = std::upper_bound(entry.older->begin(), entry.older->end(), at,
                                       [](int64_t main, const Change& c) { return main < c.main; });
  if (behind == entry.older->begin() || std::prev(behind)->tombstone) return false;
  hit = {&entry, std::prev(behind)->revision(), {}, false, 0, 0, 0};
  return true;
}

bool KeyIndex::Get(std::string_view key, int64_t at, Hit& hit) {
  ReaderMutexLock lock(&mutex_);
  const auto it = entries_.find(key);
  return it != entries_.end() && At(**it, at, hit);
}

int64_t KeyIndex::Range(std::string_view key, std::string_view end, int64_t at, int64_t limit, bool count_all,
                        std::vector<Hit>* hits) {
  int64_t count = 0;
  std::string resume;
  for (;;) {
    ReaderMutexLock lock(&mutex_);
    auto it = entries_.lower_bound(resume.empty() ? key : std::string_view(resume));
    for (int n = 0; n < kStep; n++, ++it) {
      if (it == entries_.end() || !Inside((*it)->key(), end)) return count;
      Hit hit;
      if (!At(**it, at, hit)) continue;
      count++;
      if (hits != nullptr && (limit <= 0 || count <= limit)) hits->push_back(std::move(hit));
      if (limit > 0 && count >= limit && !count_all) return count;
    }
    if (it == entries_.end()) return count;
    resume = (*it)->key();
  }
}

std::optional<Revision> KeyIndex::RevisionAt(std::string_view key, int64_t at) {
  Hit hit;
  if (!Get(key, at, hit)) return std::nullopt;
  return hit.revision;
}

std::optional<std::string> KeyIndex::Read(std::string_view from, int64_t at, Image& image) const {
  image.items.clear();
  image.keys.clear();
  image.older.clear();
  ReaderMutexLock lock(&mutex_);
  auto it = entries_.lower_bound(from);
  for (int n = 0; n < kStep && it != entries_.end(); n++, ++it) {
    const Entry& e = **it;
    Image::Item item{e.key_size, 0, e.mod(), e.tombstone(), true, e.create_main, e.version, e.lease, Digest(e.digest)};
    size_t older = e.older == nullptr ? 0 : e.older->size();
    if (e.mod_main > at) {
      while (older > 0 && (*e.older)[older - 1].main > at) older--;
      if (older == 0) continue;  // made after `at`
      const Change& last = (*e.older)[--older];
      item = {e.key_size, 0, last.revision(), last.tombstone, last.tombstone, 0, 0, 0, Digest(last.digest)};
    }
    item.older = static_cast<uint32_t>(older);
    if (older > 0)
      image.older.insert(image.older.end(), e.older->begin(), e.older->begin() + static_cast<ptrdiff_t>(older));
    image.keys += e.key();
    image.items.push_back(item);
  }
  if (it == entries_.end()) return std::nullopt;
  return std::string((*it)->key());
}

void KeyIndex::Fill(std::vector<Hit>& hits, size_t from, size_t n) {
  MutexLock lock(&mutex_);
  for (size_t i = from; i < from + n; i++) {
    Hit& hit = hits[i];
    if (!hit.newest || !hit.record || hit.entry->record || hit.entry->mod() != hit.revision) continue;
    // A scan larger than the cache would only push everything else out.
    if (cached_bytes_.load(std::memory_order_relaxed) + Cost(hit.record) > cache_budget_) return;
    if (hit.record.in_slab()) hit.record = Block::Copy(hit.record.view());
    SetRecord(*hit.entry, hit.record);
  }
}

void KeyIndex::SetRecord(Entry& entry, Block record) {
  DropRecord(entry);
  if (!record || Cost(record) > cache_budget_ / 8) return;
  cached_bytes_.fetch_add(Cost(record), std::memory_order_relaxed);
  entry.record = std::move(record);
  entry.referenced.store(false, std::memory_order_relaxed);
  entry.cache_slot = static_cast<uint32_t>(clock_.size());
  clock_.push_back(&entry);
  Evict();
}

Block KeyIndex::DropRecord(Entry& entry) {
  if (!entry.record) return {};
  cached_bytes_.fetch_sub(Cost(entry.record), std::memory_order_relaxed);
  clock_.back()->cache_slot = entry.cache_slot;
  clock_[entry.cache_slot] = clock_.back();
  clock_.pop_back();
  return std::move(entry.record);
}

void KeyIndex::Evict() {
  while (cached_bytes_.load(std::memory_order_relaxed) > cache_budget_ && !clock_.empty()) {
    if (hand_ >= clock_.size()) hand_ = 0;
    Entry& entry = *clock_[hand_];
    if (entry.referenced.exchange(false, std::memory_order_relaxed)) {
      hand_++;
    } else {
      DropRecord(entry);
    }
  }
}

void KeyIndex::ForEach(const std::function<void(const Entry&)>& fn) const {
  for (const Entry* entry : entries_) fn(*entry);
}

void KeyIndex::AppendSorted(std::string_view key, Revision mod, int64_t create, int64_t version, int64_t lease,
                            std::vector<Change> older, uint32_t digest) {
  Entry* entry = NewEntry(key);
  SetRevision(*entry, mod, digest);
  entry->create_main = create;
  entry->version = version;
  entry->lease = lease;
  if (!older.empty()) entry->older = new std::vector<Change>(std::move(older));
  AppendEntry(entry);
}

void KeyIndex::AppendEntry(Entry* entry) {
  CHECK(entries_.empty() || (*entries_.rbegin())->key() < entry->key());
  entries_.insert(entries_.end(), entry);
  size_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace tenon::mvcc
