// What the headers of a shared object say about it, read from its bytes. Nothing of the file runs.
//
// The sentences are predicates ("is built for ..."): the caller puts the file's name before them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/status.h"

namespace tenon::plugin {

struct ElfFacts {
  bool executable = false;  // a program, position independent or not
  bool executable_stack = false;
  bool text_relocations = false;
  std::string rpath;  // DT_RPATH; empty: none (DT_RUNPATH is fine)
  std::vector<std::string> needed;
  std::vector<std::string> exports;         // defined dynamic symbols, versions left out
  std::vector<std::string> unique_exports;  // those with STB_GNU_UNIQUE
  bool uses_protobuf = false;               // refers to google::protobuf's shared library
};

// InvalidArgument: not a shared object of this machine's kind.
Result<ElfFacts> ReadElf(std::string_view file);

// The rules for plugins: a shared object that exports tenon_plugin_query_v1 and none of the things that break
// isolation.
Status CheckPluginElf(const ElfFacts& facts);

}  // namespace tenon::plugin
