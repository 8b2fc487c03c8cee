// sim-mutants [--starts N] [--most SEEDS] [--only NAME]: how many seeds each planted mistake needs, the median of N
// starts (default 5, at seeds 1, 10001, 20001, ...), and what found it first; as lines of a table for docs/testing.md.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "fmt/format.h"
#include "tests/sim/mutants.h"

int main(int argc, char** argv) {
  uint64_t starts = 5, most = 5000;
  std::string_view only;
  for (int i = 1; i < argc; i++) {
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (value != nullptr && std::strcmp(argv[i], "--starts") == 0) {
      starts = std::strtoull(argv[++i], nullptr, 10);
    } else if (value != nullptr && std::strcmp(argv[i], "--most") == 0) {
      most = std::strtoull(argv[++i], nullptr, 10);
    } else if (value != nullptr && std::strcmp(argv[i], "--only") == 0) {
      only = argv[++i];
    } else {
      std::fprintf(stderr, "usage: sim-mutants [--starts N] [--most SEEDS] [--only NAME]\n");
      return 2;
    }
  }
  if (starts == 0 || most == 0) return 2;
  bool all = true;
  for (const auto& bug : tenon::sim::PlantedBugs()) {
    if (!only.empty() && bug.name != only) continue;
    std::vector<uint64_t> needed;
    tenon::sim::Found first;
    for (uint64_t n = 0; n < starts; n++) {
      const tenon::sim::Found found = tenon::sim::Find(bug, 1 + 10'000 * n, most);
      needed.push_back(found.seeds > 0 ? found.seeds : most + 1);
      if (n == 0 || first.seeds == 0) first = found;
    }
    std::sort(needed.begin(), needed.end());
    all = all && needed.back() <= most;
    std::string by = first.seeds > 0 ? first.violation : "not found; besides: " + first.another;
    std::replace(by.begin(), by.end(), '\n', ' ');
    std::replace(by.begin(), by.end(), '|', '/');
    const auto count = [&](uint64_t n) { return n > most ? fmt::format("> {}", most) : fmt::format("{}", n); };
    fmt::print("| {} | {} | {} | {} | {} | {} | seed {}: {} |\n", bug.name, bug.what, bug.origin,
               bug.members > 0 ? fmt::format("{}", bug.members) : "any", count(needed[needed.size() / 2]),
               count(needed.back()), first.seed, by.substr(0, 110));
    std::fflush(stdout);
  }
  return all ? 0 : 1;
}
