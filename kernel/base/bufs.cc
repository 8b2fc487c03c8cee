#include "kernel/base/bufs.h"

#include "kernel/base/check.h"

namespace tenon {
namespace {

std::string_view View(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }
tenon_slice Slice(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

}  // namespace

std::string_view Bufs::Flatten(std::string& scratch) const {
  if (raw_.n == 0) return {};
  if (raw_.n == 1) return View(raw_.part[0]);
  scratch.clear();
  scratch.reserve(size());
  for (size_t i = 0; i < raw_.n; i++) scratch += View(raw_.part[i]);
  return scratch;
}

char* BufsBuilder::Reserve(size_t n) {
  if (message_ == nullptr) {
    message_ = std::make_unique<Message>();
    at_ = message_->first;
    end_ = at_ + sizeof message_->first;
  }
  if (static_cast<size_t>(end_ - at_) < n) {
    const size_t size = std::max(n, kChunk);
    at_ = message_->chunks.emplace_back(new char[size]).get();
    end_ = at_ + size;
  }
  return at_;
}

void BufsBuilder::Commit(size_t n) {
  CHECK_LE(n, static_cast<size_t>(end_ - at_));
  const auto* start = reinterpret_cast<const uint8_t*>(at_);
  auto& parts = message_->parts;
  if (!parts.empty() && parts.back().p + parts.back().n == start) {
    parts.back().n += n;
  } else if (n > 0) {
    parts.push_back({start, n});
  }
  at_ += n;
  size_ += n;
}

void BufsBuilder::Append(std::string_view bytes) {
  bytes.copy(Reserve(bytes.size()), bytes.size());
  Commit(bytes.size());
}

void BufsBuilder::Append(const Block& block) {
  if (block.size() < kShareFrom) return Append(block.view());
  Reserve(0);
  message_->blocks.push_back(block);
  message_->parts.push_back(Slice(block.view()));
  size_ += block.size();
}

Bufs BufsBuilder::Take() {
  size_ = 0;
  at_ = end_ = nullptr;
  Message* message = message_.release();
  if (message == nullptr) return {};
  return Bufs(
      {message->parts.data(), message->parts.size(), message, [](void* m) { delete static_cast<Message*>(m); }});
}

}  // namespace tenon
