// grpc-encoding: gzip.
#pragma once
#include <cstdint>
#include <string_view>

#include "kernel/base/status.h"
#include "plugins/transport-h2/message.h"

namespace tenon::transport_h2 {

// Inflates into at most `limit` bytes; more is refused in grpc-go's words, and at most that much memory is used.
Result<MessagePtr> Gunzip(std::string_view packed, size_t limit);

}  // namespace tenon::transport_h2
