// SHA-1 and SHA-256 (FIPS 180-4): the names of members and clusters, and the digests of plugin files.
//
// By libmd: libcrypto, mapped for these two, would cost an idle server 4 MB, a fifth of what it has. Nothing here is a
// secret.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace tenon {

std::array<uint8_t, 20> Sha1(std::string_view bytes);
std::array<uint8_t, 32> Sha256(std::string_view bytes);

}  // namespace tenon
