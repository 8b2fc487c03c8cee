// Builds the key index from the rows of the table `key`: the start without a usable index snapshot.
//
// Rows come in the order of their revisions, so keys come in any order. A hash table finds a key's former rows, and the
// keys are sorted once, at the end: a million random insertions into a tree of keys cost several times more.
#pragma once
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "kernel/mvcc/key_index.h"

namespace tenon::mvcc {

class IndexBuilder {
 public:
  explicit IndexBuilder(KeyIndex& empty) : index_(empty) {}
  ~IndexBuilder();  // without Finish: the index stays empty
  IndexBuilder(const IndexBuilder&) = delete;

  // Rows ascending by revision.
  void Put(std::string_view key, Revision revision, int64_t create, int64_t version, int64_t lease,
           uint32_t digest = 0);
  void Tombstone(std::string_view key, Revision revision, uint32_t digest = 0);
  // Hands everything to the index.
  void Finish();

 private:
  using Entry = KeyIndex::Entry;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view key) const { return absl::Hash<absl::string_view>()({key.data(), key.size()}); }
    size_t operator()(const Entry* entry) const { return (*this)(entry->key()); }
  };
  struct Equal {
    using is_transparent = void;
    static std::string_view Key(std::string_view key) { return key; }
    static std::string_view Key(const Entry* entry) { return entry->key(); }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return Key(a) == Key(b);
    }
  };
  // The key's entry, which stands at `revision` now.
  Entry* Advance(std::string_view key, Revision revision, uint32_t digest);

  KeyIndex& index_;
  absl::flat_hash_set<Entry*, Hash, Equal> entries_;
};

}  // namespace tenon::mvcc
