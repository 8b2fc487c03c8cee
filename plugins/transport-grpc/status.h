// Statuses: the ABI's to gRPC's, and ours to the ABI's.
#pragma once
#include <grpcpp/support/status.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "kernel/base/status.h"
#include "tenon/abi/base.h"

namespace tenon::transport_grpc {

// Tenon's own codes never reach a client.
inline grpc::Status ToGrpc(tenon_status status, const tenon_error* error, std::string details = {}) {
  if (status == TENON_OK) return grpc::Status::OK;
  if (status < 0 || status > TENON_UNAUTHENTICATED) status = TENON_INTERNAL;
  return {static_cast<grpc::StatusCode>(status), error == nullptr ? "" : error->msg, std::move(details)};
}

// Fills *error, which may be NULL, and returns the code.
inline tenon_status ToAbi(const Status& status, tenon_error* error) {
  auto code = static_cast<tenon_status>(status.code());
  if (error == nullptr || status.ok()) return code;
  error->code = code;
  error->etcd_error = 0;
  error->sys_errno = 0;
  size_t n = std::min(status.message().size(), sizeof error->msg - 1);
  memcpy(error->msg, status.message().data(), n);
  error->msg[n] = '\0';
  return code;
}

}  // namespace tenon::transport_grpc
