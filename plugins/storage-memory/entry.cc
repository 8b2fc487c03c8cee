#include <tenon/sdk/sdk.hpp>

#include "plugins/storage-memory/storage_memory.h"

TENON_PLUGIN("io.tenon.storage-memory", "Apache-2.0",
             {sizeof(tenon_module_desc), 0, TENON_KIND_STORAGE, "memory",
              "ordered tables in memory; lost when the process ends", tenon::storage_memory::kConfigSchema,
              &tenon::storage_memory::kTable.m, nullptr})
