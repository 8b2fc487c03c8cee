// What a plugin says of itself, checked before any of it is believed.
//
// All of it reads only: the plugin's code is called once, by the caller, for tenon_plugin_query_v1. The sentences are
// predicates ("is built for ..."): the caller puts the file's name before them.
#pragma once
#include <string>

#include "kernel/base/status.h"
#include "kernel/plugin/kinds.h"
#include "tenon/abi/abi.h"

namespace tenon::plugin {

// The plugin struct, every module descriptor and, for kinds that this kernel knows, every table.
// Modules of unknown kinds are left alone: a plugin may serve newer kernels too.
Status ValidatePlugin(const tenon_plugin* plugin);

// The module that an entry means. NotFound: none of that kind, or several and none is named.
Result<const tenon_module_desc*> ChooseModule(const tenon_plugin& plugin, const KindInfo& kind, const std::string& use,
                                              const std::string& module);

// The i-th descriptor: the array's stride is the plugin's.
const tenon_module_desc* ModuleAt(const tenon_plugin& plugin, uint32_t i);

}  // namespace tenon::plugin
