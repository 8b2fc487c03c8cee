// tenon_status and tenon_error to Status and back.
#pragma once
#include "kernel/base/status.h"
#include "tenon/abi/base.h"

namespace tenon::plugin {

// An empty error for a callee to fill.
inline tenon_error NewError() {
  tenon_error error{};
  error.size = sizeof error;
  return error;
}

// The text is error->msg, or the name of the code if there is none; NULL is allowed. Tenon's own codes become the
// nearest gRPC code; a number that base.h does not know becomes Internal.
Status FromAbi(tenon_status status, const tenon_error* error);

// Fills *to, if not NULL, as far as its size reaches, and returns the code.
tenon_status ToAbi(const Status& status, tenon_error* to);

const char* StatusName(tenon_status status);  // "NO_SPACE"; "?" for an unknown number

}  // namespace tenon::plugin
