// tenonutl: for operators, beside a member's data directory.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "cli/tenonutl/replace.h"
#include "kernel/base/units.h"
#include "kernel/config/config.h"
#include "kernel/os/disk.h"

namespace tenon::utl {
namespace {

constexpr const char* kHelp = "What is done to one member of a cluster where its data directory lies.";

constexpr const char* kReplaceHelp =
    R"(Replaces a member whose log is damaged or lost by a new one in the same data directory.

Such a member may have voted and acknowledged what it no longer knows, so it never comes back under its id: its server
refuses to start, and names this command. Run it on the member's machine, as the server's user, with the server stopped:
the cluster removes the member and adds a learner in its place, the old data is set aside (renamed, never deleted), and
once the server is started, as always and with its usual configuration, the learner is promoted.

The cluster works meanwhile; all its other voters must be up. Cut off at any moment and run again, it goes on where it
was. A member whose log is whole needs none of this: it fetches what it lacks from the others by itself.

Exit code: 0 the new member votes, 1 refused, and nothing was changed, 2 a bad command line, 3 begun and not finished:
run it again.

Examples:
  tenonutl member replace --endpoints http://10.0.0.1:2379,http://10.0.0.2:2379 --data-dir /var/lib/tenon --name c
  tenonutl member replace --endpoints http://10.0.0.1:2379 --data-dir /var/lib/tenon --id 8e9e05c52164694d --dry-run)";

struct Arguments {
  Replace::Options options;
  std::vector<std::string> endpoints = {"http://127.0.0.1:2379"};
  std::string id, timeout = "2m";
  bool yes = false;
};

constexpr int kRefused = 1, kBadCommandLine = 2, kUnfinished = 3;
constexpr auto kPatience = std::chrono::seconds(10);  // longer than a server's own for a request
constexpr auto kPause = std::chrono::milliseconds(200);

int Complain(const Status& status, int code) {
  std::fprintf(stderr, "tenonutl: %s\n", std::string(Message(status)).c_str());
  return code;
}

bool Confirm(const Arguments& a, const std::string& plan) {
  std::printf("%s\n", plan.c_str());
  if (a.yes) return true;
  if (isatty(STDIN_FILENO) == 0) {
    std::fprintf(stderr, "tenonutl: nobody is there to confirm it: give --yes\n");
    return false;
  }
  std::printf("replace it? [y/N] ");
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "yes";
}

int RunReplace(Arguments a) {
  if (!a.id.empty()) {
    const char* const end = a.id.data() + a.id.size();
    const auto [at, error] = std::from_chars(a.id.data(), end, a.options.id, 16);
    if (error != std::errc() || at != end || a.options.id == 0) {
      return Complain(absl::InvalidArgumentError(fmt::format("--id {}: not a member's id in hex", a.id)),
                      kBadCommandLine);
    }
  }
  const Result<int64_t> timeout_ns = ParseDurationNs(a.timeout);
  if (!timeout_ns.ok()) return Complain(timeout_ns.status(), kBadCommandLine);
  if (const Status known = RemoteCluster::Check(a.endpoints); !known.ok()) return Complain(known, kBadCommandLine);

  const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(*timeout_ns);
  const char* const end_after = std::getenv("TENONUTL_END_AFTER");  // as if killed there; for tests
  OsDisk disk;
  RemoteCluster cluster(a.endpoints, kPatience);
  Replace replace({disk, cluster,
                   [](const std::string& line) {
                     std::printf("%s\n", line.c_str());
                     std::fflush(stdout);
                   },
                   [&](const std::string& plan) { return Confirm(a, plan); },
                   [&] {
                     if (std::chrono::steady_clock::now() >= end) return false;
                     std::this_thread::sleep_for(kPause);
                     return true;
                   },
                   [&](std::string_view step) {
                     if (end_after != nullptr && step == end_after) std::_Exit(137);
                   }},
                  a.options);
  const Status status = replace.Run();
  if (status.ok()) return 0;
  if (!replace.begun()) return Complain(status, kRefused);
  Complain(status, kUnfinished);
  std::fprintf(stderr, "tenonutl: not finished: run the same command again\n");
  return kUnfinished;
}

}  // namespace
}  // namespace tenon::utl

int main(int argc, char** argv) {
  using namespace tenon::utl;
  CLI::App app(kHelp, "tenonutl");
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("tenonutl {}", tenon::kTenonVersion));
  CLI::App* const member = app.add_subcommand("member", "about one member of a cluster");
  member->require_subcommand(1);
  Arguments a;
  CLI::App* const replace = member->add_subcommand("replace", kReplaceHelp);
  replace->add_option("--endpoints", a.endpoints, "client URLs of other members")
      ->delimiter(',')
      ->capture_default_str();
  replace->add_option("--data-dir", a.options.data_dir, "the member's, as its server has it")->required();
  replace->add_option("--wal-dir", a.options.wal_dir, "the same, if its server has one");
  auto* const id = replace->add_option("--id", a.id, "of the member, in hex, as etcdctl member list shows it");
  replace->add_option("--name", a.options.name, "the member's name, instead of its id")->excludes(id);
  replace->add_option("--peer-urls", a.options.peer_urls, "of the new member, if they are not to be the former's")
      ->delimiter(',');
  replace->add_option("--timeout", a.timeout, "how long to wait for the server and the cluster")->capture_default_str();
  replace->add_flag("--log-is-damaged", a.options.log_is_damaged,
                    "the server says that the log is shorter than what it applied; by itself it reads as whole");
  replace->add_flag("--dry-run", a.options.dry_run, "say what would be done, and change nothing");
  replace->add_flag("--yes", a.yes, "do not ask");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kBadCommandLine;
  }
  return RunReplace(std::move(a));
}
