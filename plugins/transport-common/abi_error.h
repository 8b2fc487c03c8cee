// Our statuses as the ABI wants them.
#pragma once
#include <algorithm>
#include <cstring>

#include "kernel/base/status.h"
#include "tenon/abi/base.h"

namespace tenon::transport {

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

}  // namespace tenon::transport
