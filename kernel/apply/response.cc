#include "kernel/apply/response.h"

#include <span>

#include "kernel/base/coding.h"

namespace tenon::apply {
namespace {

// ---- protobuf in small pieces ----

constexpr char Tag(int field, int wire) { return static_cast<char>(field << 3 | wire); }

size_t IntSize(uint64_t v) { return v == 0 ? 0 : 1 + VarintSize(v); }
size_t MessageSize(size_t n) { return 1 + VarintSize(n) + n; }

char* PutInt(char* to, int field, uint64_t v) {
  if (v == 0) return to;
  *to++ = Tag(field, 0);
  return PutVarint(to, v);
}
void AddInt(BufsBuilder& out, int field, uint64_t v) {
  if (v == 0) return;
  char* start = out.Reserve(11);
  out.Commit(static_cast<size_t>(PutInt(start, field, v) - start));
}
void OpenMessage(BufsBuilder& out, int field, size_t size) {
  char* start = out.Reserve(11);
  *start = Tag(field, 2);
  out.Commit(static_cast<size_t>(PutVarint(start + 1, size) - start));
}

// ---- header ----

size_t Size(const ResponseHeader& h) {
  return IntSize(h.cluster_id) + IntSize(h.member_id) + IntSize(static_cast<uint64_t>(h.revision)) +
         IntSize(h.raft_term);
}
void Add(BufsBuilder& out, const ResponseHeader& h) {
  const size_t size = Size(h);
  char* start = out.Reserve(2 + size);  // a header is shorter than 128 bytes
  char* to = start;
  *to++ = Tag(1, 2);
  *to++ = static_cast<char>(size);
  to = PutInt(to, 1, h.cluster_id);
  to = PutInt(to, 2, h.member_id);
  to = PutInt(to, 3, static_cast<uint64_t>(h.revision));
  to = PutInt(to, 4, h.raft_term);
  out.Commit(static_cast<size_t>(to - start));
}

// The header of an answer inside a transaction: etcd fills in the revision only.
ResponseHeader Inner(int64_t revision) { return {0, 0, revision, 0}; }

// ---- rows ----

size_t RowsSize(std::span<const Block> rows) {
  size_t n = 0;
  for (const Block& row : rows) n += MessageSize(row.size());
  return n;
}
void AddRows(BufsBuilder& out, int field, std::span<const Block> rows) {
  for (const Block& row : rows) {
    OpenMessage(out, field, row.size());
    out.Append(row);
  }
}

// ---- answers: size and bytes, without the outer tag ----

size_t Size(const RangeAnswer& a, const ResponseHeader& h) {
  return MessageSize(Size(h)) + RowsSize(a.kvs) + (a.more ? 2 : 0) + IntSize(static_cast<uint64_t>(a.count));
}
void Add(BufsBuilder& out, const RangeAnswer& a, const ResponseHeader& h) {
  Add(out, h);
  AddRows(out, 2, a.kvs);
  AddInt(out, 3, a.more);
  AddInt(out, 4, static_cast<uint64_t>(a.count));
}

size_t Size(const PutAnswer& a, const ResponseHeader& h) {
  return MessageSize(Size(h)) + (a.prev_kv ? MessageSize(a.prev_kv.size()) : 0);
}
void Add(BufsBuilder& out, const PutAnswer& a, const ResponseHeader& h) {
  Add(out, h);
  if (a.prev_kv) AddRows(out, 2, {&a.prev_kv, 1});
}

size_t Size(const DeleteAnswer& a, const ResponseHeader& h) {
  return MessageSize(Size(h)) + IntSize(static_cast<uint64_t>(a.deleted)) + RowsSize(a.prev_kvs);
}
void Add(BufsBuilder& out, const DeleteAnswer& a, const ResponseHeader& h) {
  Add(out, h);
  AddInt(out, 2, static_cast<uint64_t>(a.deleted));
  AddRows(out, 3, a.prev_kvs);
}

size_t Size(const TxnAnswer& a, const ResponseHeader& h);
void Add(BufsBuilder& out, const TxnAnswer& a, const ResponseHeader& h);

// The answer inside a ResponseOp, and the field of the oneof that it is. An operation without an answer is empty.
size_t InnerSize(const OpAnswer& op) {
  return std::visit(
      [](const auto& a) -> size_t {
        if constexpr (std::is_same_v<std::decay_t<decltype(a)>, std::monostate>) {
          return 0;
        } else {
          return Size(a, Inner(a.revision));
        }
      },
      op);
}
size_t Size(const OpAnswer& op) { return std::holds_alternative<std::monostate>(op) ? 0 : MessageSize(InnerSize(op)); }
void Add(BufsBuilder& out, const OpAnswer& op) {
  OpenMessage(out, 3, Size(op));
  std::visit(
      [&](const auto& a) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(a)>, std::monostate>) {
          OpenMessage(out, static_cast<int>(op.index()), InnerSize(op));
          Add(out, a, Inner(a.revision));
        }
      },
      op);
}

size_t Size(const TxnAnswer& a, const ResponseHeader& h) {
  size_t n = MessageSize(Size(h)) + (a.succeeded ? 2 : 0);
  for (const OpAnswer& op : a.responses) n += MessageSize(Size(op));
  return n;
}
void Add(BufsBuilder& out, const TxnAnswer& a, const ResponseHeader& h) {
  Add(out, h);
  AddInt(out, 2, a.succeeded);
  for (const OpAnswer& op : a.responses) Add(out, op);
}

template <class Answer>
Bufs EncodeWhole(const Answer& answer, ResponseHeader header) {
  if (answer.revision != 0) header.revision = answer.revision;
  BufsBuilder out;
  Add(out, answer, header);
  return out.Take();
}

}  // namespace

Bufs Encode(const RangeAnswer& answer, ResponseHeader header) { return EncodeWhole(answer, header); }
Bufs Encode(const PutAnswer& answer, ResponseHeader header) { return EncodeWhole(answer, header); }
Bufs Encode(const DeleteAnswer& answer, ResponseHeader header) { return EncodeWhole(answer, header); }
Bufs Encode(const TxnAnswer& answer, ResponseHeader header) { return EncodeWhole(answer, header); }

Bufs EncodeHeaderOnly(ResponseHeader header) {
  BufsBuilder out;
  Add(out, header);
  return out.Take();
}

Bufs EncodeStreamPart(const std::vector<Block>& kvs, size_t from, size_t n, const ResponseHeader* header_of_last,
                      bool more, int64_t count) {
  const std::span<const Block> rows(kvs.data() + from, n);
  size_t size = RowsSize(rows);
  if (header_of_last != nullptr) {
    size += MessageSize(Size(*header_of_last)) + (more ? 2 : 0) + IntSize(static_cast<uint64_t>(count));
  }
  BufsBuilder out;
  OpenMessage(out, 1, size);
  if (header_of_last != nullptr) Add(out, *header_of_last);
  AddRows(out, 2, rows);
  if (header_of_last != nullptr) {
    AddInt(out, 3, more);
    AddInt(out, 4, static_cast<uint64_t>(count));
  }
  return out.Take();
}

}  // namespace tenon::apply
