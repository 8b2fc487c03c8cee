#include "kernel/mvcc/event.h"

#include <cstring>

#include "kernel/base/check.h"
#include "kernel/base/coding.h"

namespace tenon::mvcc {
namespace {

// Tags: field number << 3 | wire type (0 varint, 2 length-delimited).
constexpr char kRowKey = 0x0a, kRowMod = 0x18;            // mvccpb.KeyValue
constexpr char kType = 0x08, kKv = 0x12, kFormer = 0x1a;  // mvccpb.Event
constexpr char kEvents = 0x5a;                            // etcdserverpb.WatchResponse
constexpr char kDelete = 1;

size_t Framed(size_t bytes) { return 1 + VarintSize(bytes) + bytes; }

// A deleted key's KeyValue is its key and, added here, the revision of the delete.
size_t KvSize(const Event& e) {
  return e.row.size() + (e.tombstone ? 1 + VarintSize(static_cast<uint64_t>(e.revision.main)) : 0);
}
size_t BodySize(const Event& e, bool with_former) {
  return (e.tombstone ? 2 : 0) + Framed(KvSize(e)) + (with_former && e.former ? Framed(e.former.size()) : 0);
}

char* Begin(char* to, char tag, size_t size) {
  *to++ = tag;
  return PutVarint(to, size);
}
char* Append(char* to, std::string_view bytes) {
  std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

std::string_view KeyOf(std::string_view row) {
  CHECK(!row.empty() && row[0] == kRowKey);
  row.remove_prefix(1);
  uint64_t size = 0;
  CHECK(TakeVarint(row, size) && size <= row.size());
  return row.substr(0, size);
}

}  // namespace

Event::Event(Revision revision, bool tombstone, Block row, Revision before, Block former)
    : revision(revision),
      before(before),
      tombstone(tombstone),
      row(std::move(row)),
      former(std::move(former)),
      key(KeyOf(this->row.view())) {}

size_t EncodedSize(const Event& event, bool with_former) { return Framed(BodySize(event, with_former)); }

Block EncodeEvents(std::span<const Event> events, std::span<const uint32_t> which, bool with_former) {
  size_t size = 0;
  for (const uint32_t i : which) size += EncodedSize(events[i], with_former);
  Block block = Block::Allocate(size);
  char* to = block.data();
  for (const uint32_t i : which) {
    const Event& e = events[i];
    to = Begin(to, kEvents, BodySize(e, with_former));
    if (e.tombstone) {
      *to++ = kType;
      *to++ = kDelete;
    }
    to = Begin(to, kKv, KvSize(e));
    to = Append(to, e.row.view());
    if (e.tombstone) {
      *to++ = kRowMod;
      to = PutVarint(to, static_cast<uint64_t>(e.revision.main));
    }
    if (with_former && e.former) {
      to = Begin(to, kFormer, e.former.size());
      to = Append(to, e.former.view());
    }
  }
  CHECK_EQ(static_cast<size_t>(to - block.data()), size);
  return block;
}

size_t FirstEncodedEvent(std::string_view bytes) {
  const size_t all = bytes.size();
  CHECK(!bytes.empty() && bytes[0] == kEvents);
  bytes.remove_prefix(1);
  uint64_t body = 0;
  CHECK(TakeVarint(bytes, body) && body <= bytes.size());
  return all - bytes.size() + body;
}

}  // namespace tenon::mvcc
