#include "kernel/base/sha.h"

#include <sha1.h>  // libmd
#include <sha2.h>

namespace tenon {
namespace {

const uint8_t* Bytes(std::string_view bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }

}  // namespace

std::array<uint8_t, 20> Sha1(std::string_view bytes) {
  std::array<uint8_t, 20> digest;
  SHA1_CTX context;
  SHA1Init(&context);
  SHA1Update(&context, Bytes(bytes), bytes.size());
  SHA1Final(digest.data(), &context);
  return digest;
}

std::array<uint8_t, 32> Sha256(std::string_view bytes) {
  std::array<uint8_t, 32> digest;
  SHA2_CTX context;
  SHA256Init(&context);
  SHA256Update(&context, Bytes(bytes), bytes.size());
  SHA256Final(digest.data(), &context);
  return digest;
}

}  // namespace tenon
