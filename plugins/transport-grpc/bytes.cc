#include "plugins/transport-grpc/bytes.h"

#include <atomic>
#include <cstring>
#include <vector>

namespace tenon::transport_grpc {
namespace {

// Below these sizes a copy costs less than the two allocations of a shared slice.
constexpr size_t kCopyPart = 512;
constexpr size_t kCopyWhole = 2048;

// A slice of up to 23 bytes lives inside grpc::Slice, so the part is taken from its final place.
struct OneSlice {
  grpc::Slice slice;
  tenon_slice part;
};
struct ManySlices {
  std::vector<grpc::Slice> slices;
  std::vector<tenon_slice> parts;
};

template <class T>
void Delete(void* p) {
  delete static_cast<T*>(p);
}

tenon_slice PartOf(const grpc::Slice& slice) { return {slice.begin(), slice.size()}; }

struct SharedBufs {
  std::atomic<size_t> users;
  tenon_bufs bufs;
  std::shared_ptr<Lent> lent;
};

void DropShared(void* p) {
  auto* shared = static_cast<SharedBufs*>(p);
  if (shared->users.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  TENON_RELEASE(shared->bufs);
  shared->lent->Sub();
  delete shared;
}

// One slice with a copy of n parts.
grpc::Slice CopyParts(const tenon_slice* part, size_t n, size_t bytes) {
  grpc::Slice copy(bytes);
  auto* to = const_cast<uint8_t*>(copy.begin());
  for (size_t i = 0; i < n; ++i) {
    if (part[i].n == 0) continue;
    memcpy(to, part[i].p, part[i].n);
    to += part[i].n;
  }
  return copy;
}

}  // namespace

tenon_bufs TakeMessage(grpc::ByteBuffer& buffer) {
  tenon_bufs bufs{};
  auto* one = new OneSlice;
  if (buffer.TrySingleSlice(&one->slice).ok()) {
    one->part = PartOf(one->slice);
    bufs = {&one->part, 1, one, &Delete<OneSlice>};
  } else {
    delete one;
    auto* many = new ManySlices;
    (void)buffer.Dump(&many->slices);  // fails only for no message at all: then there is no part
    many->parts.reserve(many->slices.size());
    for (const grpc::Slice& slice : many->slices) many->parts.push_back(PartOf(slice));
    bufs = {many->parts.data(), many->parts.size(), many, &Delete<ManySlices>};
  }
  buffer.Clear();
  return bufs;
}

grpc::ByteBuffer MakeMessage(tenon_bufs bufs, const std::shared_ptr<Lent>& lent) {
  size_t bytes = Length(bufs);
  if (bytes <= kCopyWhole) {
    grpc::Slice copy = CopyParts(bufs.part, bufs.n, bytes);
    TENON_RELEASE(bufs);
    return grpc::ByteBuffer(&copy, 1);
  }
  auto* shared = new SharedBufs{.users = 1, .bufs = bufs, .lent = lent};
  lent->Add();
  std::vector<grpc::Slice> slices;
  for (size_t i = 0; i < bufs.n;) {
    if (bufs.part[i].n >= kCopyPart) {
      shared->users.fetch_add(1, std::memory_order_relaxed);
      slices.emplace_back(const_cast<uint8_t*>(bufs.part[i].p), bufs.part[i].n, &DropShared, shared);
      ++i;
      continue;
    }
    size_t end = i, run = 0;
    for (; end < bufs.n && bufs.part[end].n < kCopyPart; ++end) run += bufs.part[end].n;
    if (run > 0) slices.push_back(CopyParts(bufs.part + i, end - i, run));
    i = end;
  }
  grpc::ByteBuffer message(slices.data(), slices.size());
  slices.clear();  // before the last user here goes: the message now holds the slices
  DropShared(shared);
  return message;
}

}  // namespace tenon::transport_grpc
