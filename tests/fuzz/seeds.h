// The inputs that the fuzzers begin with: one of each kind that a target tells apart, made by the code that writes
// them.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::fuzz {

struct Seed {
  std::string name;
  std::string bytes;
};

inline constexpr std::string_view kTargets[] = {"fuzz_calls", "fuzz_entry", "fuzz_requests", "fuzz_wal", "fuzz_yaml"};

// Of one target; `configs` is the folder whose files are fuzz_yaml's.
std::vector<Seed> Seeds(std::string_view target, const std::string& configs);

}  // namespace tenon::fuzz
