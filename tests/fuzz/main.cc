// The fuzz targets without a fuzzer: `fuzz_replay TARGET CONFIGS FOLDER` gives a target its seeds, each also cut short
// and with one byte changed, and what FOLDER has: inputs that once did harm. `fuzz_replay --write FOLDER CONFIGS`
// writes the seeds to FOLDER/TARGET for a fuzzer to begin with.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "tests/fuzz/seeds.h"

using Target = int(const uint8_t* data, size_t size);
extern "C" Target fuzz_calls, fuzz_entry, fuzz_requests, fuzz_wal, fuzz_yaml;

namespace {

using namespace tenon;  // NOLINT: a test's own file

Target* Find(std::string_view name) {
  static constexpr Target* kFunctions[] = {fuzz_calls, fuzz_entry, fuzz_requests, fuzz_wal, fuzz_yaml};
  for (size_t i = 0; i < std::size(fuzz::kTargets); i++) {
    if (fuzz::kTargets[i] == name) return kFunctions[i];
  }
  return nullptr;
}

void Write(const std::filesystem::path& folder, const std::string& configs) {
  for (const std::string_view target : fuzz::kTargets) {
    std::filesystem::create_directories(folder / target);
    for (const fuzz::Seed& seed : fuzz::Seeds(target, configs)) {
      std::ofstream(folder / target / seed.name, std::ios::binary) << seed.bytes;
    }
  }
}

int Replay(const char* name, Target* target, const std::string& configs, const std::filesystem::path& folder) {
  // The heap holds the input alone, so that a sanitizer sees one byte too far.
  const auto run = [&](const std::string& bytes) {
    const auto copy = std::make_unique<uint8_t[]>(bytes.size());
    std::memcpy(copy.get(), bytes.data(), bytes.size());
    target(copy.get(), bytes.size());
  };
  // Each input of these has a whole member made for it: half a second.
  const bool slow = target == fuzz_calls || target == fuzz_entry;
  const size_t places = slow ? 0 : 12;  // of each seed
  int seeds = 0, changed = 0, files = 0;
  for (const fuzz::Seed& seed : fuzz::Seeds(name, configs)) {
    run(seed.bytes);
    seeds++;
    if (places == 0) continue;
    const size_t step = std::max<size_t>(seed.bytes.size() / places, 1);
    for (size_t at = 0; at < seed.bytes.size(); at += step, changed += 2) {
      run(seed.bytes.substr(0, at));
      std::string flipped = seed.bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at / step % 8)));
      run(flipped);
    }
  }
  if (std::filesystem::exists(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::printf("%s\n", entry.path().c_str());
      std::ifstream file(entry.path(), std::ios::binary);
      run({std::istreambuf_iterator<char>(file), {}});
      files++;
    }
  }
  std::printf("%s: %d seeds, %d changed ones, %d files\n", name, seeds, changed, files);
  return seeds > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "fuzz_replay TARGET CONFIGS FOLDER | --write FOLDER CONFIGS\n"), 2;
  if (std::strcmp(argv[1], "--write") == 0) return Write(argv[2], argv[3]), 0;
  Target* target = Find(argv[1]);
  if (target == nullptr) return std::fprintf(stderr, "no target %s\n", argv[1]), 2;
  return Replay(argv[1], target, argv[2], argv[3]);
}
