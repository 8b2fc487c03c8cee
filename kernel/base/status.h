// Status and Result: how a function says "the world said no".
//
// absl's types under our names. Codes are gRPC's numbers, texts that reach a client are etcd's exact words
// (kernel/api/errors.h); build them with fmt::format. What is our own fault is a CHECK (check.h), never a Status.
#pragma once
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "fmt/format.h"

namespace tenon {

using Status = absl::Status;
using StatusCode = absl::StatusCode;
template <class T>
using Result = absl::StatusOr<T>;

inline Status Ok() { return absl::OkStatus(); }

// Debian's absl is built with its own string_view: these two cross over.
inline std::string_view Message(const Status& status) { return {status.message().data(), status.message().size()}; }
inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

#define TENON_CONCAT_(a, b) a##b
#define TENON_CONCAT(a, b) TENON_CONCAT_(a, b)

#define RETURN_IF_ERROR(expression)                                                                \
  do {                                                                                             \
    if (auto&& status_ = (expression); !status_.ok()) return ::tenon::internal::AsStatus(status_); \
  } while (0)

#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_(TENON_CONCAT(result_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_(result, declaration, expression) \
  auto result = (expression);                              \
  if (!result.ok()) return std::move(result).status();     \
  declaration = *std::move(result)

namespace internal {
inline const Status& AsStatus(const Status& s) { return s; }
template <class T>
const Status& AsStatus(const Result<T>& r) {
  return r.status();
}
}  // namespace internal

}  // namespace tenon
