// Leases that are only asked whether they exist.
#pragma once
#include <string>
#include <vector>

#include "kernel/apply/leases.h"

namespace tenon::testing {

struct FakeLeases : apply::Leases {
  Result<int64_t> Grant(apply::EntryContext, int64_t, int64_t) override { return absl::UnimplementedError("fake"); }
  Result<std::vector<std::string>> Revoke(apply::EntryContext, int64_t) override {
    return absl::UnimplementedError("fake");
  }
  Status Checkpoint(apply::EntryContext, int64_t, int64_t) override { return absl::UnimplementedError("fake"); }
  void Move(std::string_view, int64_t, int64_t) override {}
};

}  // namespace tenon::testing
