// The module's table and schema: what entry.cc exports, and what the simulator uses without loading the .so.
#pragma once
#include <tenon/abi/quota.h>

namespace tenon::quota {

extern const tenon_quota_v1 kTable;
extern const char kConfigSchema[];

}  // namespace tenon::quota
