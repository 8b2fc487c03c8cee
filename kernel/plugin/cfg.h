// A module's `config` as the ABI shows it: the concrete tenon_cfg behind tenon.host.config/1.
//
// A plain owning tree, so that this library does not know the YAML reader: whoever reads the configuration fills one.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/abi/host.h"

struct tenon_cfg {
  tenon_cfg_kind kind = TENON_CFG_NULL;
  std::string scalar;                                       // as written
  bool quoted = false;                                      // a quoted scalar is text, never a number or a boolean
  std::string where;                                        // "file:line:col"
  std::vector<std::pair<std::string, tenon_cfg>> children;  // keys are empty in a list

  // Declared, so that this is no aggregate: a pair asks whether its parts can be made of {}, and clang answers for an
  // aggregate only by looking into `children`, which is that pair.
  tenon_cfg();
  tenon_cfg(tenon_cfg_kind kind, std::string scalar, std::string where,
            std::vector<std::pair<std::string, tenon_cfg>> children);

  static tenon_cfg Scalar(std::string_view text, std::string_view where = "");
  static tenon_cfg Map(std::vector<std::pair<std::string, tenon_cfg>> children, std::string_view where = "");
  static tenon_cfg List(std::vector<tenon_cfg> items, std::string_view where = "");
};

namespace tenon::plugin {

// tenon.host.config/1. Null nodes are allowed everywhere and read as absent.
extern const tenon_host_config_v1 kConfigTable;

}  // namespace tenon::plugin
