// The groups of transport cases; transport_cases.cc puts them together.
#pragma once
#include <vector>

#include "cli/plugin_check/case.h"

namespace tenon::plugin_check {

std::vector<Case> LifecycleCases();
std::vector<Case> UnaryCases();
std::vector<Case> StreamCases();
std::vector<Case> DrainCases();

}  // namespace tenon::plugin_check
