#include <tenon/sdk/sdk.hpp>

#include "plugins/quota/quota.h"

TENON_PLUGIN("io.tenon.quota", "Apache-2.0",
             {sizeof(tenon_module_desc), TENON_F_SWAPPABLE, TENON_KIND_QUOTA, "quota",
              "refuses writes when the bytes in use reach --quota-backend-bytes", tenon::quota::kConfigSchema,
              &tenon::quota::kTable.m, nullptr})
