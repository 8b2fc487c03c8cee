// The changes of one apply turn, on their way into the engine as one atomic batch.
#pragma once
#include <array>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "kernel/base/block.h"
#include "tenon/abi/storage.h"

namespace tenon::storage {

// Owns what its operations point to. One thread.
class Batch {
 public:
  void Put(uint32_t table, std::string_view key, std::string_view value) { Add(TENON_OP_PUT, table, key, Copy(value)); }
  // Shares the block instead of copying it.
  void Put(uint32_t table, std::string_view key, Block value) {
    kept_.push_back(std::move(value));
    Add(TENON_OP_PUT, table, key, kept_.back().view());
  }
  void Delete(uint32_t table, std::string_view key) { Add(TENON_OP_DEL, table, key, {}); }

  std::span<const tenon_op> ops() const { return ops_; }
  bool empty() const { return ops_.empty(); }
  void Clear();
  // Drops what came after the first n operations.
  void Truncate(size_t n);
  // Changes when operations went: whoever remembers some of them begins anew.
  uint64_t generation() const { return generation_; }

 private:
  static tenon_slice Slice(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }
  void Add(uint32_t type, uint32_t table, std::string_view key, std::string_view value) {
    ops_.push_back({type, table, Slice(Copy(key)), Slice(value)});
  }
  std::string_view Copy(std::string_view bytes);

  static constexpr size_t kChunk = 64 << 10;
  std::vector<tenon_op> ops_;
  std::vector<Block> kept_;
  std::vector<std::unique_ptr<char[]>> chunks_;  // the first one is kept for the next turn
  char* at_ = nullptr;
  size_t left_ = 0;
  uint64_t generation_ = 0;
};

}  // namespace tenon::storage
