#include "cli/plugin_check/store.h"

namespace tenon::plugin_check {

std::span<const Case> StorageCases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> list;
    for (const auto& group : {StorageDataCases(), StorageReadCases(), StorageLifeCases()}) {
      list.insert(list.end(), group.begin(), group.end());
    }
    return list;
  }();
  return all;
}

}  // namespace tenon::plugin_check
