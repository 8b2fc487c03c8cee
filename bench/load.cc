// tenon-load: asks a server that speaks etcd's API as fast as it can, or at a rate, and says how long it took.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>

#include "bench/h2_client.h"
#include "bench/runner.h"
#include "kernel/base/units.h"

namespace tenon::bench {
namespace {

constexpr const char* kHelp = R"(Load generator for servers with etcd's API (plain HTTP/2, one thread).

Operations:
  put        write one key
  txn-put    if version(key) > -1, write it: a transaction
  delete     delete one key
  range      read one key
  list       read the first --limit keys of --prefix
  stream     the same by RangeStream, in several messages
  empty      grpc.health.v1.Health/Check: what a call costs that does nothing

Keys are --prefix, then their number in --key-space, filled with zeros to --key-size. Every answer is looked at: a key
that is not there, a list of the wrong length or any status but OK is an error, and the first one ends the run with
exit code 1 unless --allow-errors.

Examples:
  tenon-load put --clients 100 --connections 10 --duration 10s
  tenon-load range --serializable --preload --clients 100 --connections 10
  tenon-load list --limit 10000 --value-size 1024 --key-space 10000 --preload --total 2
  tenon-load put --rate 1000 --clients 100      # latency from when each request was due)";

const std::map<std::string, Operation> kOperations = {{"put", Operation::kPut},       {"txn-put", Operation::kTxnPut},
                                                      {"delete", Operation::kDelete}, {"range", Operation::kRange},
                                                      {"list", Operation::kList},     {"stream", Operation::kStream},
                                                      {"empty", Operation::kEmpty}};

struct Arguments {
  std::string operation;
  Plan plan;
  std::string endpoints = "127.0.0.1:2379";
  std::string order = "random";
  std::string duration = "10s", warmup = "1s", retry_for = "0s";
  std::string value_size = "256";
  bool missing_ok = false;
  bool preload = false;
  bool json = false;
};

void Declare(CLI::App& app, Arguments& a) {
  app.add_option("operation", a.operation, "put, txn-put, delete, range, list, stream or empty")
      ->required()
      ->check(CLI::IsMember(kOperations));
  app.add_option("--endpoints", a.endpoints, "HOST:PORT[,HOST:PORT...]; connections take turns over them")
      ->capture_default_str();
  app.add_option("--clients", a.plan.clients, "requests in flight")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--connections", a.plan.connections, "clients take turns over them")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--total", a.plan.total, "measured requests; without it --duration decides");
  app.add_option("--duration", a.duration, "how long to measure")->capture_default_str();
  app.add_option("--warmup", a.warmup, "the same requests before, not counted")->capture_default_str();
  app.add_option("--rate", a.plan.rate, "requests per second; latency counts from when each was due");
  app.add_option("--key-space", a.plan.shape.key_space, "number of keys")->capture_default_str();
  app.add_option("--key-size", a.plan.shape.key_size, "bytes of a key")->capture_default_str();
  app.add_option("--prefix", a.plan.shape.prefix, "what keys begin with");
  app.add_option("--value-size", a.value_size, "bytes of a value, which no engine can compress")->capture_default_str();
  app.add_option("--order", a.order, "of the keys: random or sequential")
      ->capture_default_str()
      ->check(CLI::IsMember({"random", "sequential"}));
  app.add_option("--seed", a.plan.seed, "of the random order and the values")->capture_default_str();
  app.add_option("--limit", a.plan.shape.limit, "keys that a list or stream asks for; 0: all");
  app.add_flag("--serializable", a.plan.shape.serializable, "range and list from the member's own state");
  app.add_flag("--missing-ok", a.missing_ok, "a range or list that does not find its keys is no error");
  app.add_flag("--preload", a.preload, "put every key of the key space once before");
  app.add_flag("--allow-errors", a.plan.allow_errors, "count errors and go on");
  app.add_option("--retry-for", a.retry_for, "repeat a run that failed for so long: waits for a server that starts")
      ->capture_default_str();
  app.add_option("--server-pid", a.plan.server, "also count this process's CPU and context switches");
  app.add_flag("--json", a.json, "print JSON");
}

Status Complete(Arguments& a) {
  a.plan.shape.operation = kOperations.at(a.operation);
  a.plan.shape.expect_found = !a.missing_ok;
  a.plan.order = a.order == "random" ? Order::kRandom : Order::kSequential;
  ASSIGN_OR_RETURN(a.plan.duration_ns, ParseDurationNs(a.duration));
  ASSIGN_OR_RETURN(a.plan.warmup_ns, ParseDurationNs(a.warmup));
  ASSIGN_OR_RETURN(a.plan.shape.value_size, ParseBytes(a.value_size));
  if (a.plan.seed == 0) return absl::InvalidArgumentError("--seed must not be 0");
  a.plan.endpoints = CLI::detail::split(a.endpoints, ',');
  return Validate(a.plan.shape);
}

// Every key once, by at least 100 clients.
Result<Outcome> Preload(const Plan& plan) {
  Plan load = plan;
  load.shape.operation = Operation::kPut;
  load.order = Order::kSequential;
  load.clients = std::max<size_t>(plan.clients, 100);
  load.connections = std::max<size_t>(plan.connections, 10);
  load.total = plan.shape.key_space;
  load.warmup_ns = 0;
  load.rate = 0;
  load.server = 0;
  load.allow_errors = false;
  return RunPlan(load);
}

Result<Outcome> RunUntilItWorks(const Plan& plan, int64_t retry_for_ns) {
  const uint64_t until = NowNs() + static_cast<uint64_t>(retry_for_ns);
  while (true) {
    Result<Outcome> outcome = RunPlan(plan);
    if ((outcome.ok() && outcome->errors.empty()) || NowNs() >= until) return outcome;
    const timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

std::string ErrorsJson(const Outcome& o) {
  std::string text;
  for (const auto& [code, count] : o.errors) {
    if (!text.empty()) text += ", ";
    text += fmt::format("\"{}\": {}", absl::StatusCodeToString(code), count);
  }
  return "{" + text + "}";
}

std::string EachJson(const Outcome& o) {
  std::string text;
  if (o.requests() > o.each_ns.size()) return "null";
  for (const uint64_t ns : o.each_ns) text += fmt::format("{}{:.1f}", text.empty() ? "" : ", ", ns / 1e3);
  return "[" + text + "]";
}

double Per(double sum, uint64_t count) { return count == 0 ? 0 : sum / static_cast<double>(count); }

void PrintJson(const Arguments& a, const Outcome& o) {
  const Histogram& h = o.latency_ns;
  fmt::print("{{\"operation\": \"{}\", \"clients\": {}, \"connections\": {}, \"requests\": {}, \"seconds\": {:.6f}, ",
             a.operation, a.plan.clients, a.plan.connections, o.requests(), o.seconds);
  fmt::print("\"rate\": {:.1f}, \"min_us\": {:.1f}, \"mean_us\": {:.1f}, \"p50_us\": {:.1f}, \"p90_us\": {:.1f}, ",
             o.seconds > 0 ? static_cast<double>(o.requests()) / o.seconds : 0, h.min() / 1e3, h.mean() / 1e3,
             h.Quantile(0.5) / 1e3, h.Quantile(0.9) / 1e3);
  fmt::print("\"p99_us\": {:.1f}, \"p999_us\": {:.1f}, \"max_us\": {:.1f}, \"each_us\": {}, \"errors\": {}, ",
             h.Quantile(0.99) / 1e3, h.Quantile(0.999) / 1e3, h.max() / 1e3, EachJson(o), ErrorsJson(o));
  fmt::print(
      "\"own_cpu_us\": {:.3f}, \"bytes_read\": {}, \"bytes_written\": {}, \"keys\": {}, \"answered_at_ns\": {}, ",
      Per(o.own_cpu_us, o.requests()), o.bytes_read, o.bytes_written, o.keys, o.answered_at_ns);
  if (o.server) {
    const ServerUse& s = *o.server;
    fmt::print("\"server\": {{\"cpu_us\": {:.3f}, \"user_us\": {:.3f}, \"system_us\": {:.3f}, \"switches\": {:.4f}, ",
               Per(s.user_us + s.system_us, o.requests()), Per(s.user_us, o.requests()), Per(s.system_us, o.requests()),
               Per(static_cast<double>(s.switches), o.requests()));
    fmt::print("\"rss_bytes\": {}, \"rss_anon_bytes\": {}}}}}\n", s.rss_bytes, s.rss_anon_bytes);
  } else {
    fmt::print("\"server\": null}}\n");
  }
}

void PrintText(const Arguments& a, const Outcome& o) {
  const Histogram& h = o.latency_ns;
  fmt::print("{}: {} requests in {:.3f} s, {} clients on {} connections: {:.0f}/s\n", a.operation, o.requests(),
             o.seconds, a.plan.clients, a.plan.connections, o.seconds > 0 ? o.requests() / o.seconds : 0);
  fmt::print("latency ms: p50 {:.3f}  p90 {:.3f}  p99 {:.3f}  p99.9 {:.3f}  max {:.3f}\n", h.Quantile(0.5) / 1e6,
             h.Quantile(0.9) / 1e6, h.Quantile(0.99) / 1e6, h.Quantile(0.999) / 1e6, h.max() / 1e6);
  fmt::print("bytes a request: {:.0f} out, {:.0f} in; keys in the answers: {}\n",
             Per(static_cast<double>(o.bytes_written), o.requests()),
             Per(static_cast<double>(o.bytes_read), o.requests()), o.keys);
  fmt::print("own CPU: {:.2f} us a request\n", Per(o.own_cpu_us, o.requests()));
  if (o.server) {
    const ServerUse& s = *o.server;
    fmt::print(
        "server: {:.2f} us CPU a request ({:.2f} user, {:.2f} system), {:.3f} context switches; RSS {} MB, {} MB "
        "anonymous\n",
        Per(s.user_us + s.system_us, o.requests()), Per(s.user_us, o.requests()), Per(s.system_us, o.requests()),
        Per(static_cast<double>(s.switches), o.requests()), s.rss_bytes >> 20, s.rss_anon_bytes >> 20);
  }
}

int Fail(const Status& status) {
  fmt::print(stderr, "tenon-load: {}\n", Message(status));
  return 1;
}

int Main(int argc, char** argv) {
  CLI::App app(kHelp, "tenon-load");
  Arguments a;
  Declare(app, a);
  CLI11_PARSE(app, argc, argv);
  if (const Status s = Complete(a); !s.ok()) return Fail(s);
  const Result<int64_t> retry_for_ns = ParseDurationNs(a.retry_for);
  if (!retry_for_ns.ok()) return Fail(retry_for_ns.status());

  if (a.preload) {
    const Result<Outcome> loaded = Preload(a.plan);
    if (!loaded.ok()) return Fail(loaded.status());
    if (!loaded->errors.empty()) return Fail(absl::UnavailableError("preload: " + loaded->first_error));
  }
  const Result<Outcome> outcome = RunUntilItWorks(a.plan, *retry_for_ns);
  if (!outcome.ok()) return Fail(outcome.status());
  a.json ? PrintJson(a, *outcome) : PrintText(a, *outcome);
  if (outcome->errors.empty()) return 0;
  fmt::print(stderr, "tenon-load: errors {}, the first: {}\n", ErrorsJson(*outcome), outcome->first_error);
  return a.plan.allow_errors ? 0 : 1;
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) { return tenon::bench::Main(argc, argv); }
