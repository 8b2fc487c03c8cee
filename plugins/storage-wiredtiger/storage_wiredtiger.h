// The module's table and schema.
#pragma once
#include <tenon/abi/storage.h>

namespace tenon::storage_wiredtiger {

extern const tenon_storage_v1 kTable;
extern const char kConfigSchema[];

}  // namespace tenon::storage_wiredtiger
