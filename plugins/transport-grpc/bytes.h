// Messages cross between gRPC's slices and the ABI's parts without a copy, apart from small pieces.
#pragma once
#include <grpcpp/support/byte_buffer.h>

#include "plugins/transport-common/slice.h"
#include "tenon/abi/base.h"

namespace tenon::transport_grpc {

using transport::Length;
using transport::Slice;
using transport::Text;
using transport::View;

// The received message for the host, which releases it at any time later. Empties `buffer`.
tenon_bufs TakeMessage(grpc::ByteBuffer& buffer);

// The message for gRPC. Takes `bufs`: released here if all of it was copied, else when gRPC has sent it.
grpc::ByteBuffer MakeMessage(tenon_bufs bufs);

}  // namespace tenon::transport_grpc
