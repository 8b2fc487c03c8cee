#include <tenon/sdk/sdk.hpp>

#include "plugins/lease/lease.h"

TENON_PLUGIN("io.tenon.lease", "Apache-2.0",
             {sizeof(tenon_module_desc), 0, TENON_KIND_LEASE, "lease", "leases with a time to live, as etcd's",
              tenon::lease_module::kConfigSchema, &tenon::lease_module::kTable.m, tenon::lease_module::kTables})
