// A plugin of one module with a planted mistake.
#pragma once
#include "tenon/abi/abi.h"

// For the one call of tenon_plugin_query_v1.
inline const tenon_plugin* MutantPlugin(const char* kind, const tenon_module_vt* table) {
  static const tenon_module_desc module = {
      .size = sizeof module, .kind = kind, .name = "mutant", .summary = "has a planted mistake", .vt = table};
  static const tenon_plugin plugin = {.size = sizeof plugin,
                                      .abi_major = TENON_ABI_MAJOR,
                                      .abi_minor = TENON_ABI_MINOR,
                                      .id = "tenon.test.mutant",
                                      .version = "1",
                                      .vendor = "tenon",
                                      .license = "Apache-2.0",
                                      .build = "test",
                                      .module_desc_size = sizeof(tenon_module_desc),
                                      .module_count = 1,
                                      .modules = &module};
  return &plugin;
}
