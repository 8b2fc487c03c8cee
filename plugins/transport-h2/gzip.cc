#include "plugins/transport-h2/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

namespace tenon::transport_h2 {
namespace {

constexpr size_t kFirstGuess = 4096;

struct Stream {
  z_stream z{};
  Stream() { inflateInit2(&z, 15 + 16); }  // the largest window, with gzip's header
  ~Stream() { inflateEnd(&z); }
};

Status Broken(const char* why) {
  return absl::InternalError(ToAbsl(fmt::format("grpc: failed to decompress the received message: {}", why)));
}

MessagePtr Grown(MessagePtr message, size_t bytes, size_t capacity) {
  MessagePtr larger = Message::Make(capacity);
  memcpy(larger->data(), message->data(), bytes);
  return larger;
}

}  // namespace

Result<MessagePtr> Gunzip(std::string_view packed, size_t limit) {
  Stream stream;
  stream.z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.z.avail_in = static_cast<uInt>(packed.size());
  size_t capacity = std::min(limit + 1, std::max(kFirstGuess, packed.size() * 4)), bytes = 0;
  MessagePtr out = Message::Make(capacity);
  for (;;) {
    stream.z.next_out = out->data() + bytes;
    stream.z.avail_out = static_cast<uInt>(capacity - bytes);
    int rc = inflate(&stream.z, Z_NO_FLUSH);
    bytes = capacity - stream.z.avail_out;
    if (bytes > limit) {
      return absl::ResourceExhaustedError(
          ToAbsl(fmt::format("grpc: received message after decompression larger than max {}", limit)));
    }
    if (rc == Z_STREAM_END) break;
    if (rc != Z_OK && rc != Z_BUF_ERROR) return Broken(stream.z.msg == nullptr ? "gzip: invalid data" : stream.z.msg);
    if (stream.z.avail_out > 0) return Broken("unexpected EOF");
    capacity = std::min(limit + 1, capacity * 2);
    out = Grown(std::move(out), bytes, capacity);
  }
  out->set_size(bytes);
  return out;
}

}  // namespace tenon::transport_h2
