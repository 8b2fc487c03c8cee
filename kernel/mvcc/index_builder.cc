#include "kernel/mvcc/index_builder.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernel/base/check.h"
#include "kernel/base/coding.h"

namespace tenon::mvcc {
namespace {

// A key in a form that mostly sorts without looking at the key: what follows the part that all keys share.
struct Sortable {
  uint64_t head[2];
  KeyIndex::Entry* entry;
};

uint64_t HeadOf(std::string_view key, size_t from) {
  char bytes[8] = {};
  if (from < key.size()) std::memcpy(bytes, key.data() + from, std::min<size_t>(8, key.size() - from));
  return GetBigEndian64(bytes);
}

size_t SharedWith(std::string_view a, std::string_view b, size_t at_most) {
  const size_t n = std::min({a.size(), b.size(), at_most});
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + n, b.begin()).first - a.begin());
}

}  // namespace

IndexBuilder::~IndexBuilder() {
  for (Entry* entry : entries_) KeyIndex::FreeEntry(entry);
}

KeyIndex::Entry* IndexBuilder::Advance(std::string_view key, Revision revision, uint32_t digest) {
  bool made = false;
  Entry* entry = *entries_.lazy_emplace(key, [&](const auto& make) {
    made = true;
    make(KeyIndex::NewEntry(key));
  });
  if (made) {
    KeyIndex::SetRevision(*entry, revision, digest);
  } else {
    KeyIndex::Advance(*entry, revision, digest);
  }
  return entry;
}

void IndexBuilder::Put(std::string_view key, Revision revision, int64_t create, int64_t version, int64_t lease,
                       uint32_t digest) {
  CHECK_GT(create, 0);
  Entry* entry = Advance(key, revision, digest);
  entry->create_main = create;
  entry->version = version;
  entry->lease = lease;
}

void IndexBuilder::Tombstone(std::string_view key, Revision revision, uint32_t digest) {
  if (const auto it = entries_.find(key); it != entries_.end() && (*it)->tombstone()) return;  // says nothing new
  Entry* entry = Advance(key, revision, digest);
  entry->create_main = entry->version = entry->lease = 0;
}

void IndexBuilder::Finish() {
  std::vector<Sortable> order;
  order.reserve(entries_.size());
  size_t shared = SIZE_MAX;
  for (Entry* entry : entries_) {
    shared = SharedWith(entry->key(), (*entries_.begin())->key(), shared);
    order.push_back({{0, 0}, entry});
  }
  entries_ = {};
  for (Sortable& s : order) {
    s.head[0] = HeadOf(s.entry->key(), shared);
    s.head[1] = HeadOf(s.entry->key(), shared + 8);
  }
  std::sort(order.begin(), order.end(), [](const Sortable& a, const Sortable& b) {
    if (a.head[0] != b.head[0]) return a.head[0] < b.head[0];
    if (a.head[1] != b.head[1]) return a.head[1] < b.head[1];
    return a.entry->key() < b.entry->key();  // equal heads: one may be padded, so the whole keys decide
  });
  for (const Sortable& s : order) index_.AppendEntry(s.entry);
}

}  // namespace tenon::mvcc
