// What was asked of the store since the start, for etcd_mvcc_*_total. Counted where etcd counts it: per operation of
// the store, so a put inside a transaction is a put, and the look at the previous value of a key is a range.
#pragma once
#include <atomic>
#include <cstdint>
#include <utility>

namespace tenon::mvcc {

struct Counts {
  std::atomic<uint64_t> ranges{0}, puts{0}, deletes{0};
  std::atomic<uint64_t> txns{0};       // that did more than one of these
  std::atomic<uint64_t> put_bytes{0};  // of keys and values
};

// The operations of one transaction or view; they join the counts when it ends.
class Tally {
 public:
  explicit Tally(Counts& counts) : counts_(&counts) {}
  Tally(Tally&& o) noexcept
      : ranges(o.ranges),
        puts(o.puts),
        deletes(o.deletes),
        put_bytes(o.put_bytes),
        counts_(std::exchange(o.counts_, nullptr)) {}
  ~Tally() {
    if (counts_ == nullptr) return;
    Add(counts_->ranges, ranges);
    Add(counts_->puts, puts);
    Add(counts_->deletes, deletes);
    Add(counts_->put_bytes, put_bytes);
    Add(counts_->txns, ranges + puts + deletes > 1);
  }

  uint64_t ranges = 0, puts = 0, deletes = 0, put_bytes = 0;

 private:
  static void Add(std::atomic<uint64_t>& to, uint64_t n) {
    if (n > 0) to.fetch_add(n, std::memory_order_relaxed);
  }
  Counts* counts_;
};

}  // namespace tenon::mvcc
