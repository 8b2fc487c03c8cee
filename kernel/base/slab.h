// Blocks by the hundreds, for the rows of a large answer.
//
// They lie one behind the other in pieces of memory that go back to the system when the last block of a piece is
// dropped. Made one by one they would leave the allocator full of holes: a list of 100 MB kept its server at that size.
#pragma once
#include <cstddef>
#include <string_view>

#include "kernel/base/block.h"

namespace tenon {

// One thread at a time; its blocks are like any others.
class BlockSlab {
 public:
  BlockSlab() = default;
  BlockSlab(BlockSlab&& from) noexcept
      : large_(from.large_), piece_(std::exchange(from.piece_, nullptr)), used_(from.used_) {}
  BlockSlab& operator=(BlockSlab&&) = delete;
  ~BlockSlab() { LetGo(); }

  // From here on pieces of 2 MiB, which cost the system less: for rows that are all held at the same time.
  void ExpectMany();
  Block Copy(std::string_view bytes);

 private:
  friend class Block;
  struct Piece;
  static Piece* NewPiece(bool large);
  static void Drop(Piece* piece);
  static void Release(Block::Rep* rep);  // nobody holds the block any more
  void LetGo();

  bool large_ = false;
  Piece* piece_ = nullptr;
  size_t used_ = 0;  // bytes of it
};

}  // namespace tenon
