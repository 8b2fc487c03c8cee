// Runs a case in a process of its own, so that a plugin that crashes, hangs or leaks fails one case and not the tool.
#pragma once
#include <string>

#include "cli/plugin_check/case.h"

namespace tenon::plugin_check {

enum class Outcome { kOk, kFailed, kNotApplicable };

struct Verdict {
  Outcome outcome = Outcome::kFailed;
  std::string why;     // unless ok
  std::string output;  // the end of what the case wrote to stderr
  double seconds = 0;
};

// The caller has no thread but its own.
Verdict RunApart(const Case& test, const void* table, const testing::Config& config, int limit_seconds);

}  // namespace tenon::plugin_check
