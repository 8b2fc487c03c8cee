// The module's table and schema: what entry.cc exports, and what tests use without loading the .so.
#pragma once
#include <tenon/abi/compactor.h>

namespace tenon::compactor {

extern const tenon_compactor_v1 kTable;
extern const char kConfigSchema[];

}  // namespace tenon::compactor
