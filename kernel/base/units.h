// Durations and sizes as people write them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "kernel/base/status.h"

namespace tenon {

// "1m30s", "100ms", "0": Go's syntax (ns us ms s m h), as nanoseconds. InvalidArgument says what is wrong.
Result<int64_t> ParseDurationNs(std::string_view text);
// "256MiB", "2GB", "1024", "64k": bytes. K M G T are powers of 1024 with or without "iB"; KB MB GB TB powers of 1000.
Result<uint64_t> ParseBytes(std::string_view text);

// 123456789 -> "123.456789ms", as Go prints it.
std::string FormatDurationNs(int64_t ns);

}  // namespace tenon
