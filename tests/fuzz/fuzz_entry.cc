// Any bytes as an entry of the log: an InternalRaftRequest with one operation, or DataLoss.
#include <cstddef>
#include <cstdint>

#include "kernel/apply/request.h"
#include "kernel/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tenon;
  const auto request = apply::DecodeEntry({reinterpret_cast<const char*>(data), size});
  CHECK(request.ok() || absl::IsDataLoss(request.status()));
  return 0;
}
