// An order-free checksum over the rows of the table `key`, kept while they come and go.
//
// Each row's hash is added when it is written and taken away when a compaction removes it, so the sum says what the
// table must hold, whatever way it came there. It is stored with each batch; a scan of the rows that does not arrive at
// it has found an engine that lost, changed or revived some.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "kernel/base/coding.h"
#include "kernel/base/crc32c.h"
#include "kernel/mvcc/revision.h"

namespace tenon::mvcc {

// 24 bits of a row's value: the key index keeps them where it has room to spare, so that a removed row need not be
// read.
inline uint32_t RowDigest(std::string_view value) { return Crc32c(0, value) & 0xffffff; }

struct RowSum {
  uint64_t rows = 0, sum = 0;

  static uint64_t Hash(Revision revision, bool tombstone, uint32_t digest) {
    const uint64_t rest = static_cast<uint64_t>(revision.sub) << 25 | uint64_t{tombstone} << 24 | digest;
    return Mix(Mix(static_cast<uint64_t>(revision.main)) + rest);
  }
  void Add(Revision revision, bool tombstone, uint32_t digest) {
    rows++;
    sum += Hash(revision, tombstone, digest);
  }
  void Remove(Revision revision, bool tombstone, uint32_t digest) {
    rows--;
    sum -= Hash(revision, tombstone, digest);
  }
  bool operator==(const RowSum&) const = default;

  // As a row of the table meta.
  std::string Encode() const {
    std::string out(16, '\0');
    PutBigEndian64(out.data(), rows);
    PutBigEndian64(out.data() + 8, sum);
    return out;
  }
  static bool Parse(std::string_view row, RowSum& out) {
    if (row.size() != 16) return false;
    out = {GetBigEndian64(row.data()), GetBigEndian64(row.data() + 8)};
    return true;
  }

 private:
  static uint64_t Mix(uint64_t z) {  // splitmix64
    z += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
};

}  // namespace tenon::mvcc
