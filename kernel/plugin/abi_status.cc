#include "kernel/plugin/abi_status.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

namespace tenon::plugin {

const char* StatusName(tenon_status status) {
  switch (status) {
    case TENON_OK: return "OK";
    case TENON_CANCELLED: return "CANCELLED";
    case TENON_UNKNOWN: return "UNKNOWN";
    case TENON_INVALID: return "INVALID";
    case TENON_DEADLINE: return "DEADLINE";
    case TENON_NOT_FOUND: return "NOT_FOUND";
    case TENON_EXISTS: return "EXISTS";
    case TENON_DENIED: return "DENIED";
    case TENON_EXHAUSTED: return "EXHAUSTED";
    case TENON_PRECONDITION: return "PRECONDITION";
    case TENON_ABORTED: return "ABORTED";
    case TENON_RANGE: return "RANGE";
    case TENON_UNIMPLEMENTED: return "UNIMPLEMENTED";
    case TENON_INTERNAL: return "INTERNAL";
    case TENON_UNAVAILABLE: return "UNAVAILABLE";
    case TENON_DATA_LOSS: return "DATA_LOSS";
    case TENON_UNAUTHENTICATED: return "UNAUTHENTICATED";
    case TENON_AGAIN: return "AGAIN";
    case TENON_CORRUPT: return "CORRUPT";
    case TENON_NO_SPACE: return "NO_SPACE";
    case TENON_IO: return "IO";
    case TENON_FATAL: return "FATAL";
  }
  return "?";
}

Status FromAbi(tenon_status status, const tenon_error* error) {
  if (status == TENON_OK) return Ok();
  std::string text;
  if (error != nullptr) {
    text.assign(error->msg, strnlen(error->msg, sizeof error->msg));
    if (error->sys_errno != 0) {
      text += fmt::format("{}{}", text.empty() ? "" : ": ", std::strerror(error->sys_errno));
    }
  }
  if (text.empty()) text = fmt::format("{} ({}) without a text", StatusName(status), status);
  StatusCode code = StatusCode::kInternal;
  if (status > 0 && status <= TENON_UNAUTHENTICATED) {
    code = static_cast<StatusCode>(status);
  } else if (status == TENON_AGAIN) {
    code = StatusCode::kUnavailable;
  } else if (status == TENON_CORRUPT) {
    code = StatusCode::kDataLoss;
  } else if (status == TENON_NO_SPACE) {
    code = StatusCode::kResourceExhausted;
  }
  return Status(code, text);
}

tenon_status ToAbi(const Status& status, tenon_error* to) {
  const tenon_status code = static_cast<tenon_status>(status.raw_code());
  if (to == nullptr || status.ok() || to->size < offsetof(tenon_error, msg) + 1) return code;
  to->code = code;
  to->etcd_error = 0;
  to->sys_errno = 0;
  const std::string_view text = Message(status);
  const size_t room = std::min<size_t>(to->size, sizeof *to) - offsetof(tenon_error, msg);
  const size_t n = std::min(text.size(), room - 1);
  std::memcpy(to->msg, text.data(), n);
  to->msg[n] = '\0';
  return code;
}

}  // namespace tenon::plugin
