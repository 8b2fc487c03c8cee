#include "kernel/storage/batch.h"

#include <algorithm>

namespace tenon::storage {

std::string_view Batch::Copy(std::string_view bytes) {
  if (left_ < bytes.size()) {
    const size_t size = std::max(bytes.size(), kChunk);
    at_ = chunks_.emplace_back(new char[size]).get();
    left_ = size;
  }
  char* const start = at_;
  bytes.copy(start, bytes.size());
  at_ += bytes.size();
  left_ -= bytes.size();
  return {start, bytes.size()};
}

void Batch::Truncate(size_t n) {
  if (n == ops_.size()) return;
  ops_.resize(n);
  generation_++;
}

void Batch::Clear() {
  ops_.clear();
  generation_++;
  kept_.clear();
  if (!chunks_.empty()) {
    chunks_.resize(1);
    at_ = chunks_[0].get();
    left_ = kChunk;
  }
}

}  // namespace tenon::storage
