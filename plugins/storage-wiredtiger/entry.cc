#include <tenon/sdk/sdk.hpp>

#include "plugins/storage-wiredtiger/storage_wiredtiger.h"

// Our source is Apache-2.0; the .so links WiredTiger and so is a GPL work as a whole.
TENON_PLUGIN("io.tenon.storage-wiredtiger", "GPL-3.0-only",
             {sizeof(tenon_module_desc), 0, TENON_KIND_STORAGE, "wiredtiger", "B-trees on disk, durable by checkpoint",
              tenon::storage_wiredtiger::kConfigSchema, &tenon::storage_wiredtiger::kTable.m, nullptr})
