#include "kernel/snapshot/frames.h"

#include <algorithm>

#include "kernel/base/check.h"
#include "kernel/base/coding.h"
#include "kernel/base/crc32c.h"

namespace tenon::snapshot {
namespace {

constexpr size_t kHead = 8;  // length, checksum
constexpr size_t kPiece = 1 << 20;

void PutLittleEndian(char* to, uint32_t v) { std::memcpy(to, &v, 4); }

}  // namespace

Status FrameWriter::Write(std::string_view payload) {
  CHECK(!payload.empty() && payload.size() <= kMaxFrame);
  char head[kHead];
  PutLittleEndian(head, static_cast<uint32_t>(payload.size()));
  crc_ = Crc32c(Crc32c(crc_, std::string_view(head, 4)), payload);
  PutLittleEndian(head + 4, crc_);
  RETURN_IF_ERROR(sink_(std::string_view(head, kHead)));
  return sink_(payload);
}

Status FrameReader::Damaged(std::string_view why) const {
  return absl::DataLossError(fmt::format("damaged at offset {}: {}", offset_, why));
}

Result<std::string_view> FrameReader::Next() {
  offset_ = next_;
  char head[kHead];
  ASSIGN_OR_RETURN(const size_t got, source_(head, kHead));
  if (got == 0) return std::string_view();
  if (got < kHead) return Damaged("it ends inside the head of a frame");
  const uint32_t size = GetLittleEndian32(head);
  if (size == 0 || size > kMaxFrame) return Damaged(fmt::format("a frame of {} bytes cannot be", size));
  // Piece by piece: a damaged length must not cost the memory that it claims.
  payload_.clear();
  for (size_t read = 0; read < size;) {
    payload_.resize(std::min<size_t>(size, read + kPiece));
    ASSIGN_OR_RETURN(const size_t more, source_(payload_.data() + read, payload_.size() - read));
    read += more;
    if (read < payload_.size()) return Damaged(fmt::format("it ends after {} of a frame's {} bytes", read, size));
  }
  crc_ = Crc32c(Crc32c(crc_, std::string_view(head, 4)), payload_);
  if (crc_ != GetLittleEndian32(head + 4)) return Damaged("the checksum does not match");
  next_ += kHead + size;
  return std::string_view(payload_);
}

Source FileSource(File& file) {
  return [&file, at = uint64_t{0}](char* to, size_t n) mutable -> Result<size_t> {
    ASSIGN_OR_RETURN(const size_t got, file.ReadAt(at, to, n));
    at += got;
    return got;
  };
}

}  // namespace tenon::snapshot
