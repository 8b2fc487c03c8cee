// Immutable bytes with many owners: one allocation, one counter. Or, of many blocks that are made and dropped together,
// a part of an allocation.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string_view>
#include <utility>

namespace tenon {

// A counted reference to a run of bytes; empty when default made. Copies share the bytes. [any thread]
class Block {
 public:
  Block() = default;
  Block(const Block& o) : rep_(o.rep_) {
    if (rep_ != nullptr) rep_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  Block(Block&& o) noexcept : rep_(std::exchange(o.rep_, nullptr)) {}
  Block& operator=(Block o) noexcept {
    std::swap(rep_, o.rep_);
    return *this;
  }
  ~Block() {
    if (rep_ != nullptr && rep_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) Free(rep_);
  }

  // n bytes for the caller to fill through data() before the first copy is made.
  static Block Allocate(size_t n) {
    void* memory = std::malloc(sizeof(Rep) + n);
    if (memory == nullptr) throw std::bad_alloc();
    Block b;
    b.rep_ = new (memory) Rep{{1}, static_cast<uint32_t>(n)};
    return b;
  }
  static Block Copy(std::string_view bytes) {
    Block b = Allocate(bytes.size());
    bytes.copy(b.data(), bytes.size());
    return b;
  }

  explicit operator bool() const { return rep_ != nullptr; }
  char* data() { return reinterpret_cast<char*>(rep_ + 1); }
  size_t size() const { return rep_ == nullptr ? 0 : rep_->size & kSizeMask; }
  std::string_view view() const {
    return rep_ == nullptr ? std::string_view() : std::string_view(reinterpret_cast<const char*>(rep_ + 1), size());
  }
  // A part of a BlockSlab: who keeps it for long had better make a copy.
  bool in_slab() const { return rep_ != nullptr && (rep_->size & kInSlab) != 0; }
  static constexpr size_t kOverhead = 8;  // bytes beside the payload

 private:
  friend class BlockSlab;
  static constexpr uint32_t kInSlab = 1u << 31, kInLargePiece = 1u << 30;  // in Rep::size
  static constexpr uint32_t kSizeMask = kInLargePiece - 1;
  struct Rep {
    std::atomic<uint32_t> refs;
    uint32_t size;
  };
  static_assert(sizeof(Rep) == kOverhead);
  static void Free(Rep* rep);
  Rep* rep_ = nullptr;
};

}  // namespace tenon
