// The module's table and schema: what entry.cc exports, and what tests use without loading the .so.
#pragma once
#include <tenon/abi/service.h>

namespace tenon::concurrency {

extern const tenon_service_v1 kTable;
extern const char kConfigSchema[];

}  // namespace tenon::concurrency
