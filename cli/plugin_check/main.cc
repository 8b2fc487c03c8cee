// tenon-plugin-check: does a plugin keep the contract of its kind? For those who write one.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "cli/plugin_check/isolate.h"
#include "kernel/plugin/loader.h"

namespace tenon::plugin_check {
namespace {

constexpr const char* kHelp = R"(Loads one plugin as the kernel would and runs the contract of its kind against it.

Each case runs in a process of its own: a crash or a hang fails that case. A transport's host is an echo service; calls
come from a client of the tool's own. An engine's stores lie in folders of the case, under $TMPDIR. Exit code: 0 all
cases hold, 1 some failed, 2 the plugin was not loaded.

Examples:
  tenon-plugin-check ./transport-acme.so
  tenon-plugin-check ./transport-acme.so --only stream. --config threads=2
  tenon-plugin-check ./storage-acme.so --only durable.
  tenon-plugin-check --list)";

struct Arguments {
  std::string file, only, module;
  std::vector<std::string> config;
  int limit_seconds = 60;
  bool list = false, verbose = false;
};

struct Contract {
  std::string_view kind;
  std::span<const Case> (*cases)();
};
const Contract kContracts[] = {{"storage", StorageCases}, {"transport", TransportCases}};

const Contract* ContractOf(std::string_view kind) {
  for (const Contract& contract : kContracts) {
    if (contract.kind == kind) return &contract;
  }
  return nullptr;
}

bool Selected(const Case& test, const std::string& only) {
  return only.empty() || std::string_view(test.name).find(only) != std::string_view::npos;
}

int List(const std::string& only) {
  for (const Contract& contract : kContracts) {
    for (const Case& test : contract.cases()) {
      if (Selected(test, only)) printf("%-26s %s\n", test.name, test.sentence);
    }
  }
  return 0;
}

// The kind is the plugin's to say: the first one under which it loads, best one with a contract.
Result<plugin::LoadedModule> Load(const Arguments& a) {
  plugin::Loader loader(std::filesystem::path(a.file).parent_path().string());
  const auto load = [&](std::string_view kind) {
    return loader.Load({.kind = std::string(kind), .use = a.file, .module = a.module, .where = "tenon-plugin-check"});
  };
  Result<plugin::LoadedModule> first = load("transport");
  if (first.ok()) return first;
  for (const plugin::KindInfo& kind : plugin::AllKinds()) {
    if (kind.name == "transport") continue;
    if (Result<plugin::LoadedModule> module = load(kind.name); module.ok()) return module;
  }
  return first.status();
}

int Run(const Arguments& a) {
  const Result<plugin::LoadedModule> loaded = Load(a);
  if (!loaded.ok()) return fprintf(stderr, "%s\n", std::string(Message(loaded.status())).c_str()), 2;
  const plugin::LoadedModule& module = *loaded;
  printf("%s: %s \"%s\" of %s %s\n", module.path.c_str(), module.desc->kind, module.desc->name, module.plugin->id,
         module.plugin->version);
  const Contract* contract = ContractOf(module.kind->name);
  if (contract == nullptr) {
    return fprintf(stderr, "it loads; this version has no cases for the kind %s\n", module.desc->kind), 2;
  }

  testing::Config config;
  for (const std::string& pair : a.config) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos) return fprintf(stderr, "--config %s: write KEY=VALUE\n", pair.c_str()), 2;
    config[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  int passed = 0, failed = 0, skipped = 0;
  for (const Case& test : contract->cases()) {
    if (!Selected(test, a.only)) continue;
    fflush(stdout);
    const Verdict verdict = RunApart(test, module.vt, config, a.limit_seconds);
    switch (verdict.outcome) {
      case Outcome::kOk:
        ++passed;
        printf("ok      %-26s %s (%.2f s)\n", test.name, test.sentence, verdict.seconds);
        break;
      case Outcome::kNotApplicable:
        ++skipped;
        printf("skip    %-26s %s\n", test.name, verdict.why.c_str());
        break;
      case Outcome::kFailed:
        ++failed;
        printf("FAILED  %-26s %s\n        %s\n", test.name, test.sentence, verdict.why.c_str());
        break;
    }
    if (!verdict.output.empty() && (a.verbose || verdict.outcome == Outcome::kFailed)) {
      printf("        it wrote: %s\n", verdict.output.c_str());
    }
  }
  if (passed + failed + skipped == 0)
    return fprintf(stderr, "no case is named like \"%s\"; see --list\n", a.only.c_str()), 2;
  printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tenon::plugin_check

int main(int argc, char** argv) {
  using namespace tenon::plugin_check;
  CLI::App app(kHelp, "tenon-plugin-check");
  Arguments a;
  app.add_option("plugin", a.file, "the .so");
  app.add_option("--only", a.only, "cases with this in their name");
  app.add_option("--config", a.config, "KEY=VALUE of the module's configuration; may be repeated")->take_all();
  app.add_option("--module", a.module, "which module, if the plugin has several of the kind");
  app.add_option("--timeout", a.limit_seconds, "seconds that one case may take")->capture_default_str();
  app.add_flag("--list", a.list, "print the cases and what they want");
  app.add_flag("--verbose", a.verbose, "print what the plugin wrote also for cases that hold");
  CLI11_PARSE(app, argc, argv);
  if (a.list) return List(a.only);
  if (a.file.empty()) return fprintf(stderr, "which plugin? See --help\n"), 2;
  if (a.file.find('/') == std::string::npos) a.file = "./" + a.file;
  return Run(a);
}
