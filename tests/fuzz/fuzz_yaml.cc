// Any bytes as a configuration file: they load or are refused with places inside the file, and never hurt. What loads
// must print as a file that loads to the same.
#include <cstddef>
#include <cstdint>
#include <string>

#include "kernel/base/check.h"
#include "kernel/config/config.h"
#include "kernel/config/schema.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tenon;
  const auto load = [](const std::string& text) {
    return Load({"--config-file=f"}, {}, [&](const std::string&) -> Result<std::string> { return text; });
  };
  const LoadOutcome outcome = load(std::string(reinterpret_cast<const char*>(data), size));
  if (const auto* problems = std::get_if<Problems>(&outcome)) {
    CHECK(!problems->list.empty());
    for (const Problem& problem : problems->list) CHECK(!problem.text.empty());
    return 0;
  }
  const Config& config = std::get<Loaded>(outcome).config;
  const std::string printed = ToYaml(config);
  const LoadOutcome again = load(printed);
  CHECK(std::holds_alternative<Loaded>(again));
  CHECK(ToYaml(std::get<Loaded>(again).config) == printed);
  std::vector<Problem> problems;
  CHECK(CheckAgainstSchema(R"({"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}}})",
                           config.modules.storage.config, "storage", problems)
            .ok());
  return 0;
}
