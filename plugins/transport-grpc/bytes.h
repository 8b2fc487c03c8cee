// Messages cross between gRPC's slices and the ABI's parts without a copy, apart from small pieces.
#pragma once
#include <grpcpp/support/byte_buffer.h>

#include <string>
#include <string_view>

#include "tenon/abi/base.h"

namespace tenon::transport_grpc {

inline std::string_view View(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }
inline std::string Text(tenon_slice s) { return std::string(View(s)); }
inline tenon_slice Slice(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

size_t Length(const tenon_bufs& bufs);

// The received message for the host, which releases it at any time later. Empties `buffer`.
tenon_bufs TakeMessage(grpc::ByteBuffer& buffer);

// The message for gRPC. Takes `bufs`: released here if all of it was copied, else when gRPC has sent it.
grpc::ByteBuffer MakeMessage(tenon_bufs bufs);

}  // namespace tenon::transport_grpc
