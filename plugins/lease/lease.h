// The module's table and schema: what entry.cc exports, and what the simulator uses without loading the .so.
#pragma once
#include <tenon/abi/lease.h>

namespace tenon::lease_module {

extern const tenon_lease_v1 kTable;
extern const char kConfigSchema[];
extern const char* const kTables[];

}  // namespace tenon::lease_module
