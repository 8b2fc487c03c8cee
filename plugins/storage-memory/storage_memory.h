// The module's table and schema: what entry.cc exports, and what the simulator uses without loading the .so.
#pragma once
#include <tenon/abi/storage.h>

namespace tenon::storage_memory {

extern const tenon_storage_v1 kTable;
extern const char kConfigSchema[];

// The table for a host that links this module.
const tenon_storage_v1* Vtable();

}  // namespace tenon::storage_memory
