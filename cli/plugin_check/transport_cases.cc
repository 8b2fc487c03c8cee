#include "cli/plugin_check/transport_cases.h"

namespace tenon::plugin_check {

std::span<const Case> TransportCases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> list;
    for (const auto& group : {LifecycleCases(), UnaryCases(), StreamCases(), DrainCases()}) {
      list.insert(list.end(), group.begin(), group.end());
    }
    return list;
  }();
  return all;
}

}  // namespace tenon::plugin_check
