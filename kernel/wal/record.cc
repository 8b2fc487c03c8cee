#include "kernel/wal/record.h"

#include <algorithm>

#include "kernel/base/coding.h"
#include "kernel/base/crc32c.h"
#include "kernel/wal/wire.h"

namespace tenon::wal {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr char kTypeTag = 0x08, kCrcTag = 0x10, kDataTag = 0x1a;  // walpb.Record's fields

bool IsZero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}
size_t NextSector(size_t offset) { return offset / kSectorBytes * kSectorBytes + kSectorBytes; }
size_t PaddingOf(size_t record_bytes) { return (8 - record_bytes % 8) % 8; }

// The length of the record in the lower 7 bytes; the highest says how much padding follows, so that the length itself
// is 8-byte aligned and can never be torn.
uint64_t LengthField(size_t record_bytes) {
  const size_t padding = PaddingOf(record_bytes);
  return padding == 0 ? record_bytes : record_bytes | (0x80 | padding) << 56;
}

// walpb.Record up to its data.
struct Head {
  enum Kind { kWhole, kCut /* ends before it says how long the data is */, kBad };
  Kind kind = kBad;
  uint8_t type = 0;
  uint64_t crc = 0;
  bool has_data = false;
  uint64_t data_bytes = 0;
  size_t size = 0;
};

// `record_ends`: nothing follows `bytes` in the record, so that it may be one without data.
Head ParseHead(std::string_view bytes, bool record_ends) {
  Head head;
  std::string_view rest = bytes;
  const auto cut = [&] { return Head{.kind = record_ends ? Head::kBad : Head::kCut}; };
  if (rest.empty()) return cut();
  if (rest[0] != kTypeTag) return {};
  if (rest.size() < 2) return cut();
  head.type = static_cast<uint8_t>(rest[1]);
  if (head.type < 1 || head.type > 5) return {};
  rest.remove_prefix(2);
  if (rest.empty()) return cut();
  if (rest[0] != kCrcTag) return {};
  rest.remove_prefix(1);
  if (!TakeVarint(rest, head.crc)) return rest.size() < 10 ? cut() : Head{};
  if (head.crc > UINT32_MAX) return {};
  if (rest.empty() && record_ends) {
    head.kind = Head::kWhole;
    head.size = bytes.size();
    return head;
  }
  if (rest.empty()) return cut();
  if (rest[0] != kDataTag) return {};
  rest.remove_prefix(1);
  if (!TakeVarint(rest, head.data_bytes)) return rest.size() < 10 ? cut() : Head{};
  head.kind = Head::kWhole;
  head.has_data = true;
  head.size = bytes.size() - rest.size();
  return head;
}

Frame Torn(std::string_view why) { return {.kind = Frame::Kind::kTorn, .why = why}; }
Frame Corrupt(std::string_view why) { return {.kind = Frame::Kind::kCorrupt, .why = why}; }

}  // namespace

void RecordWriter::Crc() { Put(RecordType::kCrc, {}, {}); }
void RecordWriter::Data(RecordType type, std::string_view data) { Put(type, data, {}); }
void RecordWriter::Entry(const raft::Entry& entry) {
  Put(RecordType::kEntry, raft::EntryHead(entry).bytes(), entry.bytes());
}

void RecordWriter::Put(RecordType type, std::string_view head, std::string_view body) {
  crc_ = Crc32c(Crc32c(crc_, head), body);
  const size_t n = head.size() + body.size();

  char front[kLengthBytes + 2 + 1 + 5 + 1 + 10];
  char* p = front + kLengthBytes;
  *p++ = kTypeTag;
  *p++ = static_cast<char>(type);
  *p++ = kCrcTag;
  p = PutVarint(p, crc_);
  if (type != RecordType::kCrc) {
    *p++ = kDataTag;
    p = PutVarint(p, n);
  }
  const size_t record = static_cast<size_t>(p - front) - kLengthBytes + n;
  PutLittleEndian64(front, LengthField(record));

  buffer_.append(front, p);
  buffer_.append(head);
  buffer_.append(body);
  buffer_.append(PaddingOf(record), '\0');
}

Frame LookAt(std::string_view segment, size_t offset) {
  const size_t left = segment.size() - offset;
  if (left < kLengthBytes) {
    return IsZero(segment.substr(offset)) ? Frame{} : Torn("the file ends inside a record's length");
  }
  const uint64_t field = GetLittleEndian64(segment.data() + offset);
  if (field == 0) {
    if (IsZero(segment.substr(offset))) return {};
    const size_t sector_end = std::min(NextSector(offset), segment.size());
    if (IsZero(segment.substr(offset, sector_end - offset))) return Torn("an unwritten sector in front of data");
    return Corrupt("a record of length zero");
  }

  const uint64_t record_bytes = field & ~(uint64_t{0xff} << 56);
  if (record_bytes == 0 || record_bytes > INT64_MAX / 2 || LengthField(record_bytes) != field) {
    return Corrupt("a record's length field is not well formed");
  }
  const size_t padding = PaddingOf(record_bytes);
  const bool whole = record_bytes + padding <= left - kLengthBytes;  // else it runs past the end of the file

  // The length stands twice, here and in the record's own head: a length that was damaged after it was written cannot
  // pass for the torn end of a longer record. Of the head only what reached the disk can be compared.
  const size_t begin = offset + kLengthBytes;
  const size_t end = whole ? begin + record_bytes : segment.size();
  size_t visible = std::min(end, begin + 32);
  for (const size_t sector : {begin, NextSector(begin)}) {
    if (sector % kSectorBytes != 0 || sector >= visible) continue;
    if (IsZero(segment.substr(sector, std::min(NextSector(sector), end) - sector))) visible = sector;
  }
  const bool record_ends = whole && visible == end;
  const Head head = ParseHead(segment.substr(begin, visible - begin), record_ends);
  if (head.kind == Head::kBad) return Corrupt("not a record");
  if (head.kind == Head::kCut) {
    return Torn(visible == segment.size() ? "the file ends inside a record" : "an unwritten sector inside a record");
  }
  if (head.size + head.data_bytes != record_bytes || head.data_bytes > record_bytes) {
    return Corrupt("a record's two lengths differ");
  }
  if (!whole) return Torn("the file ends inside a record");
  const auto type = static_cast<RecordType>(head.type);
  const bool may_have = type != RecordType::kCrc, must_have = may_have && type != RecordType::kMetadata;
  if (head.has_data ? !may_have : must_have) return Corrupt("a record's type and content do not fit");
  return {.kind = Frame::Kind::kRecord,
          .type = type,
          .crc = static_cast<uint32_t>(head.crc),
          .data = segment.substr(begin + head.size, head.data_bytes),
          .size = kLengthBytes + record_bytes + padding};
}

bool LacksASector(std::string_view segment, size_t offset, size_t size) {
  const size_t end = offset + size;
  for (size_t at = offset + kLengthBytes; at < end; at = NextSector(at)) {
    if (IsZero(segment.substr(at, std::min(NextSector(at), end) - at))) return true;
  }
  return false;
}

}  // namespace tenon::wal
