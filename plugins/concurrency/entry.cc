#include <tenon/sdk/sdk.hpp>

#include "plugins/concurrency/service.h"

TENON_PLUGIN("io.tenon.concurrency", "Apache-2.0",
             {sizeof(tenon_module_desc), 0, TENON_KIND_SERVICE, "concurrency",
              "etcd's lock and election services, on nothing but the server's own API",
              tenon::concurrency::kConfigSchema, &tenon::concurrency::kTable.m, nullptr})
