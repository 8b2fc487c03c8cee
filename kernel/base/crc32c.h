// CRC-32C (Castagnoli), as in RFC 3720 and Go's crc32.Castagnoli table: the checksum of the WAL and of HashKV.
#pragma once
#include <cstdint>
#include <string_view>

namespace tenon {

// The checksum of A+B, given `crc` = checksum of A (0 for nothing). Uses the processor's instruction where there is
// one.
uint32_t Crc32c(uint32_t crc, std::string_view data);

}  // namespace tenon
