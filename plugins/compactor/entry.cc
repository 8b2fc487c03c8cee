#include <tenon/sdk/sdk.hpp>

#include "plugins/compactor/compactor.h"

TENON_PLUGIN("io.tenon.compactor", "Apache-2.0",
             {sizeof(tenon_module_desc), TENON_F_SWAPPABLE, TENON_KIND_COMPACTOR, "compactor",
              "keeps a time (periodic) or a number of revisions (revision), as --auto-compaction-* say",
              tenon::compactor::kConfigSchema, &tenon::compactor::kTable.m, nullptr})
