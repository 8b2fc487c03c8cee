// The ABI's statuses as gRPC's.
#pragma once
#include <grpcpp/support/status.h>

#include <string>

#include "plugins/transport-common/abi_error.h"
#include "tenon/abi/base.h"

namespace tenon::transport_grpc {

// Tenon's own codes never reach a client.
inline grpc::Status ToGrpc(tenon_status status, const tenon_error* error, std::string details = {}) {
  if (status == TENON_OK) return grpc::Status::OK;
  if (status < 0 || status > TENON_UNAUTHENTICATED) status = TENON_INTERNAL;
  return {static_cast<grpc::StatusCode>(status), error == nullptr ? "" : error->msg, std::move(details)};
}

using transport::ToAbi;

}  // namespace tenon::transport_grpc
