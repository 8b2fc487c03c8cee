// A revision: the number of a write transaction and the position of a change in it; and its key in the table `key`.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <ostream>
#include <string_view>

#include "kernel/base/coding.h"

namespace tenon::mvcc {

struct Revision {
  int64_t main = 0;
  int64_t sub = 0;
  friend auto operator<=>(const Revision&, const Revision&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Revision& r) { return out << r.main << '/' << r.sub; }
};

// Row keys as in etcd (storage/mvcc/revision.go): main, '_', sub, both big-endian, and 't' behind a tombstone's.
class RevisionKey {
 public:
  explicit RevisionKey(Revision r, bool tombstone = false) : size_(tombstone ? 18 : 17) {
    PutBigEndian64(bytes_.data(), static_cast<uint64_t>(r.main));
    bytes_[8] = '_';
    PutBigEndian64(bytes_.data() + 9, static_cast<uint64_t>(r.sub));
    bytes_[17] = 't';
  }
  std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  std::array<char, 18> bytes_;
  size_t size_;
};

// False: these bytes are not a row key.
inline bool ParseRevisionKey(std::string_view key, Revision& revision, bool& tombstone) {
  if ((key.size() != 17 && key.size() != 18) || key[8] != '_') return false;
  tombstone = key.size() == 18;
  if (tombstone && key[17] != 't') return false;
  revision.main = static_cast<int64_t>(GetBigEndian64(key.data()));
  revision.sub = static_cast<int64_t>(GetBigEndian64(key.data() + 9));
  return true;
}

}  // namespace tenon::mvcc
