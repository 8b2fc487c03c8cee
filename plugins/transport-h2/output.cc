#include "plugins/transport-h2/output.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel/base/check.h"
#include "plugins/transport-common/slice.h"
#include "plugins/transport-h2/wire.h"

namespace tenon::transport_h2 {

void Reply::Unheld() {
  TENON_RELEASE(bufs);
  bufs = {};
  if (home != nullptr) {
    home->Drop();
  } else {
    delete this;
  }
}

void Reply::Set(tenon_bufs owned, bool framed) {
  bufs = owned;
  bytes = transport::Length(bufs);
  part = 0;
  offset = 0;
  prefix_left = 0;
  if (!framed) return;
  WritePrefix(static_cast<uint32_t>(bytes), prefix);
  prefix_left = sizeof prefix;
  bytes += sizeof prefix;
}

void Output::Copy(const void* bytes, size_t n) {
  auto* from = static_cast<const uint8_t*>(bytes);
  while (n > 0) {
    if (block_ == blocks_.size()) blocks_.push_back(std::make_unique_for_overwrite<uint8_t[]>(kBlock));
    size_t fits = std::min(n, kBlock - used_);
    uint8_t* to = blocks_[block_].get() + used_;
    memcpy(to, from, fits);
    if (!segments_.empty() && segments_.back().owner == nullptr && segments_.back().p + segments_.back().n == to) {
      segments_.back().n += fits;
    } else {
      segments_.push_back({to, fits, nullptr});
    }
    bytes_ += fits;
    used_ += fits;
    from += fits;
    n -= fits;
    if (used_ == kBlock) {
      ++block_;
      used_ = 0;
    }
  }
}

void Output::Refer(const uint8_t* p, size_t n, Reply* owner) {
  owner->Hold();
  segments_.push_back({p, n, owner});
  bytes_ += n;
}

void Output::Take(Reply* reply, size_t n) {
  CHECK_LE(n, reply->bytes);
  reply->bytes -= n;
  if (reply->prefix_left > 0) {
    size_t take = std::min<size_t>(n, reply->prefix_left);
    Copy(reply->prefix + sizeof reply->prefix - reply->prefix_left, take);
    reply->prefix_left = static_cast<uint8_t>(reply->prefix_left - take);
    n -= take;
  }
  while (n > 0) {
    const tenon_slice& part = reply->bufs.part[reply->part];
    size_t take = std::min(n, part.n - reply->offset);
    if (take >= kCopyBelow) {
      Refer(part.p + reply->offset, take, reply);
    } else {
      Copy(part.p + reply->offset, take);
    }
    n -= take;
    reply->offset += take;
    if (reply->offset == part.n) {
      ++reply->part;
      reply->offset = 0;
    }
  }
}

Output::Wrote Output::WriteTo(int fd) {
  constexpr size_t kMost = 1024;  // segments in one call
  iovec vec[kMost];
  while (bytes_ > 0) {
    size_t n = 0;
    for (; n < kMost && first_ + n < segments_.size(); ++n) {
      const Segment& segment = segments_[first_ + n];
      vec[n] = {const_cast<uint8_t*>(segment.p), segment.n};
    }
    msghdr message{.msg_iov = vec, .msg_iovlen = n};
    ssize_t wrote = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (wrote < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? Wrote::kBlocked : Wrote::kFailed;
    }
    auto left = static_cast<size_t>(wrote);
    bytes_ -= left;
    while (left > 0) {
      Segment& segment = segments_[first_];
      size_t take = std::min(left, segment.n);
      segment.p += take;
      segment.n -= take;
      left -= take;
      if (segment.n > 0) break;
      if (segment.owner != nullptr) segment.owner->Drop();
      segment.owner = nullptr;
      ++first_;
    }
  }
  Clear();
  return Wrote::kAll;
}

void Output::Clear() {
  for (; first_ < segments_.size(); ++first_) {
    if (segments_[first_].owner != nullptr) segments_[first_].owner->Drop();
  }
  segments_.clear();
  if (segments_.capacity() > 1024) segments_.shrink_to_fit();
  if (blocks_.size() > 2) blocks_.resize(2);
  first_ = block_ = used_ = bytes_ = 0;
}

}  // namespace tenon::transport_h2
