#include "kernel/base/sha.h"

#include <bit>
#include <cstring>

namespace tenon {
namespace {

constexpr size_t kBlock = 64;

// Words from the message's blocks, the last one or two of which end with a one, zeros and the length in bits.
template <size_t n, class Round>
std::array<uint8_t, 4 * n> Digest(std::array<uint32_t, n> state, std::string_view bytes, Round round) {
  const auto add = [&](const char* block) {
    std::array<uint32_t, 16> words;
    for (size_t i = 0; i < words.size(); i++) {
      std::memcpy(&words[i], block + 4 * i, 4);
      words[i] = __builtin_bswap32(words[i]);
    }
    round(state, words);
  };
  const size_t whole = bytes.size() / kBlock * kBlock, rest = bytes.size() - whole;
  for (size_t at = 0; at < whole; at += kBlock) add(bytes.data() + at);
  char last[2 * kBlock] = {};
  bytes.copy(last, rest, whole);
  last[rest] = '\x80';
  const size_t end = rest + 1 + 8 <= kBlock ? kBlock : 2 * kBlock;
  const uint64_t bits = __builtin_bswap64(uint64_t{bytes.size()} * 8);
  std::memcpy(last + end - 8, &bits, 8);
  for (size_t at = 0; at < end; at += kBlock) add(last + at);

  std::array<uint8_t, 4 * n> digest;
  for (size_t i = 0; i < n; i++) {
    const uint32_t word = __builtin_bswap32(state[i]);
    std::memcpy(&digest[4 * i], &word, 4);
  }
  return digest;
}

void RoundOfSha1(std::array<uint32_t, 5>& state, const std::array<uint32_t, 16>& words) {
  uint32_t w[80];
  for (size_t i = 0; i < 16; i++) w[i] = words[i];
  for (size_t i = 16; i < 80; i++) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  auto [a, b, c, d, e] = state;
  for (size_t i = 0; i < 80; i++) {
    const uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                       : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                       : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                : (b ^ c ^ d) + 0xca62c1d6;
    const uint32_t next = std::rotl(a, 5) + f + e + w[i];
    e = d, d = c, c = std::rotl(b, 30), b = a, a = next;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

void RoundOfSha256(std::array<uint32_t, 8>& state, const std::array<uint32_t, 16>& words) {
  static constexpr uint32_t kRound[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
      0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
      0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
      0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
      0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
      0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
      0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  uint32_t w[64];
  for (size_t i = 0; i < 16; i++) w[i] = words[i];
  for (size_t i = 16; i < 64; i++) {
    const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
    const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (size_t i = 0; i < 64; i++) {
    const uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
    const uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

}  // namespace

std::array<uint8_t, 20> Sha1(std::string_view bytes) {
  constexpr std::array<uint32_t, 5> kStart = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  return Digest(kStart, bytes, RoundOfSha1);
}

std::array<uint8_t, 32> Sha256(std::string_view bytes) {
  constexpr std::array<uint32_t, 8> kStart = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                              0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  return Digest(kStart, bytes, RoundOfSha256);
}

}  // namespace tenon
