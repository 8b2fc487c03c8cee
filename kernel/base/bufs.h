// Messages in parts: building a tenon_bufs, and reading one.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "tenon/abi/base.h"
#include "kernel/base/block.h"

namespace tenon {

// Owns a tenon_bufs; releases it once. Moves only.
class Bufs {
 public:
  Bufs() = default;
  explicit Bufs(tenon_bufs raw) : raw_(raw) {}
  Bufs(Bufs&& o) noexcept : raw_(o.Release()) {}
  Bufs& operator=(Bufs&& o) noexcept {
    if (this != &o) {
      TENON_RELEASE(raw_);
      raw_ = o.Release();
    }
    return *this;
  }
  ~Bufs() { TENON_RELEASE(raw_); }

  tenon_bufs Release() {
    tenon_bufs out = raw_;
    raw_ = {};
    return out;
  }
  size_t size() const {
    size_t n = 0;
    for (size_t i = 0; i < raw_.n; i++) n += raw_.part[i].n;
    return n;
  }
  // The bytes in one piece: a view of the only part, or of `scratch`, which gets a copy of several.
  std::string_view Flatten(std::string& scratch) const;

 private:
  tenon_bufs raw_ = {};
};

// Builds a message of copied small pieces and shared blocks. A small one is a single allocation. One thread.
class BufsBuilder {
 public:
  // At least n writable bytes at the end; Commit says how many were used.
  char* Reserve(size_t n);
  void Commit(size_t n);
  void Append(std::string_view bytes);
  // Shares the block when it is large, copies it when a part of its own would cost more.
  void Append(const Block& block);
  size_t size() const { return size_; }
  Bufs Take();

 private:
  static constexpr size_t kShareFrom = 512;  // bytes; below, a copy is cheaper than a part
  static constexpr size_t kChunk = 4096;
  struct Message {
    char first[112];  // the first chunk
    absl::InlinedVector<tenon_slice, 1> parts;
    std::vector<std::unique_ptr<char[]>> chunks;
    std::vector<Block> blocks;
  };
  std::unique_ptr<Message> message_;
  char* at_ = nullptr;  // free bytes of the newest chunk
  char* end_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tenon
