#include "kernel/base/slab.h"

#include <sys/mman.h>

#include <mutex>
#include <new>

namespace tenon {
namespace {

constexpr size_t kPiece = 256 << 10;     // bytes, and its address is a multiple of that
constexpr size_t kLargePiece = 2 << 20;  // the same; one huge page, where the system has them
constexpr size_t kLargest = kPiece / 8;
constexpr size_t kKept = 8;  // small pieces for the next ones; their memory is there already

std::mutex kept_mutex;
size_t kept_n = 0;
void* kept[kKept];

void* TakeKept() {
  const std::lock_guard lock(kept_mutex);
  return kept_n == 0 ? nullptr : kept[--kept_n];
}

bool Keep(void* memory) {
  const std::lock_guard lock(kept_mutex);
  if (kept_n == kKept) return false;
  kept[kept_n++] = memory;
  return true;
}

void* Map(size_t size) {
  void* all = mmap(nullptr, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc();
  char* const start = static_cast<char*>(all);
  const size_t before = (size - reinterpret_cast<uintptr_t>(all) % size) % size;
  if (before > 0) munmap(start, before);
  munmap(start + before + size, size - before);
  // All of it is about to be written. The system may refuse either.
  if (size == kLargePiece) madvise(start + before, size, MADV_HUGEPAGE);
  madvise(start + before, size, MADV_POPULATE_WRITE);
  return start + before;
}

}  // namespace

struct BlockSlab::Piece {
  std::atomic<uint32_t> holders;  // its blocks, and the slab that fills it
  const bool large;

  size_t size() const { return large ? kLargePiece : kPiece; }
};

BlockSlab::Piece* BlockSlab::NewPiece(bool large) {
  void* memory = large ? nullptr : TakeKept();
  if (memory == nullptr) memory = Map(large ? kLargePiece : kPiece);
  return new (memory) Piece{1, large};
}

void BlockSlab::Drop(Piece* piece) {
  if (piece->holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (piece->large || !Keep(piece)) munmap(piece, piece->size());
}

void BlockSlab::Release(Block::Rep* rep) {
  const size_t size = (rep->size & Block::kInLargePiece) != 0 ? kLargePiece : kPiece;
  Drop(reinterpret_cast<Piece*>(reinterpret_cast<uintptr_t>(rep) & ~(size - 1)));
}

void BlockSlab::ExpectMany() {
  LetGo();
  large_ = true;
}

void BlockSlab::LetGo() {
  if (piece_ != nullptr) Drop(std::exchange(piece_, nullptr));
}

Block BlockSlab::Copy(std::string_view bytes) {
  if (bytes.size() > kLargest) return Block::Copy(bytes);
  const size_t need = (sizeof(Block::Rep) + bytes.size() + 7) / 8 * 8;
  if (piece_ == nullptr || used_ + need > piece_->size()) {
    LetGo();
    piece_ = NewPiece(large_);
    used_ = sizeof(Block::Rep);  // behind the piece's own counter
  }
  piece_->holders.fetch_add(1, std::memory_order_relaxed);
  Block block;
  block.rep_ = new (reinterpret_cast<char*>(piece_) + used_)
      Block::Rep{{1}, static_cast<uint32_t>(bytes.size()) | Block::kInSlab | (large_ ? Block::kInLargePiece : 0)};
  bytes.copy(block.data(), bytes.size());
  used_ += need;
  return block;
}

}  // namespace tenon
