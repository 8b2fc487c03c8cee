// tenon-lease: what leases cost a server that speaks etcd's API.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "bench/h2_client.h"
#include "bench/process.h"
#include "kernel/base/coding.h"

namespace tenon::bench {
namespace {

constexpr const char* kHelp = R"(Grants leases, keeps them alive, or lets many end together (plain HTTP/2, one thread).

grant:      leases of an hour, --clients calls at a time
keepalive:  --streams calls of LeaseKeepAlive, each with its part of --total renewals, sent as fast as they are taken
expire:     --total leases with one key each that end in the same second; how late is the last key gone?

A call that fails ends the run with exit code 1. Server CPU is that of all the requests counted.)";

struct Arguments {
  std::string mode, endpoint = "127.0.0.1:2379";
  size_t clients = 100, connections = 10, streams = 100, total = 100'000;
  double lead = 60;
  pid_t server = 0;
  bool json = false;
};

std::string Frame(std::string_view message) {
  std::string out(5, '\0');
  const uint32_t size = __builtin_bswap32(static_cast<uint32_t>(message.size()));
  std::memcpy(out.data() + 1, &size, 4);
  return out.append(message);
}

void AppendNumber(std::string& out, char tag, uint64_t value) {
  out += tag;
  AppendVarint(out, value);
}

void AppendBytes(std::string& out, char tag, std::string_view bytes) {
  AppendNumber(out, tag, bytes.size());
  out += bytes;
}

std::string GrantRequest(uint64_t id, uint64_t ttl_s) {
  std::string request;
  AppendNumber(request, 0x08, ttl_s);
  AppendNumber(request, 0x10, id);
  return Frame(request);
}

std::string PutRequest(uint64_t id) {
  std::string request;
  AppendBytes(request, 0x0a, fmt::format("lease/{:08}", id));
  AppendBytes(request, 0x12, "v");
  AppendNumber(request, 0x18, id);
  return Frame(request);
}

std::string KeepAliveRequest(uint64_t id) {
  std::string request;
  AppendNumber(request, 0x08, id);
  return Frame(request);
}

// The number in a message's own field `tag`; 0: it is not there.
uint64_t NumberIn(std::string_view message, uint64_t tag) {
  while (!message.empty()) {
    uint64_t at, number = 0;
    if (!TakeVarint(message, at) || !TakeVarint(message, number)) return 0;
    if (at == tag) return number;
    if ((at & 7) == 2) message.remove_prefix(std::min<size_t>(number, message.size()));
  }
  return 0;
}

struct Progress {
  size_t begun = 0, done = 0;
  uint64_t value = 0;  // of the last answer
  std::string error;
};

// Unary calls, one after the other, until all have begun.
class Client : public Call {
 public:
  using Request = std::function<std::string(size_t number)>;
  Client(Connection& to, Progress& progress, std::string path, size_t total, Request request)
      : to_(to), progress_(progress), path_(std::move(path)), total_(total), make_(std::move(request)) {}
  void Next() {
    if (progress_.begun == total_) return;
    request_ = make_(progress_.begun++);
    if (!to_.Start(*this, path_, request_)) progress_.error = "a connection was lost";
  }

 private:
  void OnMessage(std::string_view message) override { progress_.value = NumberIn(message, 0x20); }
  void OnDone(const CallResult& result) override {
    if (result.code != StatusCode::kOk) progress_.error = result.message;
    progress_.done++;
    Next();
  }
  Connection& to_;
  Progress& progress_;
  const std::string path_;
  const size_t total_;
  const Request make_;
  std::string request_;
};

class Renewals : public Call {
 public:
  explicit Renewals(Progress& progress) : progress_(progress) { keeps_open_ = true; }

 private:
  void OnMessage(std::string_view message) override {
    progress_.done++;
    if (NumberIn(message, 0x18) == 0) progress_.error = "a lease that was granted is not known";
  }
  void OnDone(const CallResult& result) override { progress_.error = "a stream ended: " + result.message; }
  Progress& progress_;
};

class Run {
 public:
  explicit Run(const Arguments& a) : a_(a) {}

  Status Connect() {
    for (size_t i = 0; i < a_.connections; i++) {
      ASSIGN_OR_RETURN(connections_.emplace_back(), Connection::Open(loop_, a_.endpoint));
    }
    return Ok();
  }

  Status Unary(const std::string& path, size_t total, const Client::Request& request, uint64_t* value = nullptr) {
    Progress progress;
    std::vector<std::unique_ptr<Client>> clients;
    for (size_t i = 0; i < std::min(a_.clients, total); i++) {
      clients.push_back(
          std::make_unique<Client>(*connections_[i % connections_.size()], progress, path, total, request));
      clients.back()->Next();
    }
    while (progress.done < total && progress.error.empty()) loop_.Turn(100'000'000);
    if (value != nullptr) *value = progress.value;
    return progress.error.empty() ? Ok() : absl::UnavailableError(path + ": " + progress.error);
  }
  // The leases 1, 2, ...; or, with 0 as id, any that the server chooses.
  Status Grant(size_t total, const std::function<uint64_t(size_t)>& ttl, bool chosen = false) {
    return Unary("/etcdserverpb.Lease/LeaseGrant", total,
                 [&](size_t i) { return GrantRequest(chosen ? 0 : i + 1, ttl(i)); });
  }

  Status KeepAlive() {
    const size_t leases = 1000;
    RETURN_IF_ERROR(Grant(leases, [](size_t) { return 3600; }));
    RETURN_IF_ERROR(Begin());
    Progress progress;
    std::vector<std::string> requests(a_.streams);
    for (size_t i = 0; i < a_.total; i++) requests[i % a_.streams] += KeepAliveRequest(i % leases + 1);
    std::vector<std::unique_ptr<Renewals>> streams;
    for (size_t i = 0; i < a_.streams; i++) {
      streams.push_back(std::make_unique<Renewals>(progress));
      if (!connections_[i % connections_.size()]->Start(*streams[i], "/etcdserverpb.Lease/LeaseKeepAlive",
                                                        requests[i])) {
        return absl::UnavailableError("a connection was lost");
      }
    }
    while (progress.done < a_.total && progress.error.empty()) loop_.Turn(100'000'000);
    if (!progress.error.empty()) return absl::UnavailableError(progress.error);
    RETURN_IF_ERROR(End());
    connections_.clear();  // before the calls that they know
    return Ok();
  }

  Status Grants() {
    RETURN_IF_ERROR(Begin());
    RETURN_IF_ERROR(Grant(
        a_.total, [](size_t) { return 3600; }, true));
    return End();
  }

  Status Expire() {
    const uint64_t end_ns = NowNs() + static_cast<uint64_t>(a_.lead * 1e9);
    RETURN_IF_ERROR(Grant(a_.total, [&](size_t) { return std::max<uint64_t>((end_ns - NowNs()) / 1'000'000'000, 5); }));
    RETURN_IF_ERROR(Unary("/etcdserverpb.KV/Put", a_.total, [](size_t i) { return PutRequest(i + 1); }));
    if (NowNs() > end_ns - 2'000'000'000) return absl::DeadlineExceededError("granting took too long: a longer --lead");
    std::string count;
    AppendBytes(count, 0x0a, "lease/");
    AppendBytes(count, 0x12, "lease0");
    AppendNumber(count, 0x48, 1);  // count_only
    count = Frame(count);
    while (NowNs() < end_ns - 1'500'000'000) loop_.Turn(100'000'000);
    RETURN_IF_ERROR(Begin());
    for (uint64_t left = a_.total; left > 0;) {
      loop_.Turn(50'000'000);
      RETURN_IF_ERROR(Unary(
          "/etcdserverpb.KV/Range", 1, [&](size_t) { return count; }, &left));
      if (NowNs() > end_ns + 600'000'000'000) return absl::DeadlineExceededError(fmt::format("{} keys stay", left));
    }
    RETURN_IF_ERROR(End());
    late_s_ = (static_cast<double>(NowNs()) - static_cast<double>(end_ns)) / 1e9;
    return Ok();
  }

  void Print() const {
    const double rate = static_cast<double>(a_.total) / seconds_;
    const double cpu = server_us_ / static_cast<double>(a_.total), own = own_us_ / static_cast<double>(a_.total);
    if (a_.json) {
      fmt::print(
          "{{\"seconds\": {:.6f}, \"rate\": {:.1f}, \"server_cpu_us\": {:.3f}, \"own_cpu_us\": {:.3f}, "
          "\"late_s\": {:.3f}}}\n",
          seconds_, rate, cpu, own, late_s_);
      return;
    }
    fmt::print("{} in {:.3f} s: {:.0f}/s; server CPU {:.2f} us, own {:.2f} us each\n", a_.total, seconds_, rate, cpu,
               own);
    if (a_.mode == "expire") fmt::print("the last key was gone {:.2f} s after its time\n", late_s_);
  }

 private:
  Status Begin() {
    if (a_.server != 0) {
      ASSIGN_OR_RETURN(before_, SampleProcess(a_.server));
    }
    own_us_ = OwnCpuUs();
    seconds_ = static_cast<double>(NowNs()) / 1e9;
    return Ok();
  }
  Status End() {
    seconds_ = static_cast<double>(NowNs()) / 1e9 - seconds_;
    own_us_ = OwnCpuUs() - own_us_;
    if (a_.server == 0) return Ok();
    ASSIGN_OR_RETURN(const ProcessSample after, SampleProcess(a_.server));
    server_us_ = after.user_us + after.system_us - before_.user_us - before_.system_us;
    return Ok();
  }

  const Arguments& a_;
  Loop loop_;
  std::vector<std::unique_ptr<Connection>> connections_;
  ProcessSample before_;
  double seconds_ = 0, own_us_ = 0, server_us_ = 0, late_s_ = 0;
};

int Main(int argc, char** argv) {
  Arguments a;
  CLI::App app(kHelp, "tenon-lease");
  app.add_option("mode", a.mode)->required()->check(CLI::IsMember({"grant", "keepalive", "expire"}));
  app.add_option("--endpoint", a.endpoint, "HOST:PORT")->capture_default_str();
  app.add_option("--clients", a.clients, "calls at a time")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--connections", a.connections)->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--streams", a.streams, "of keepalive")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--total", a.total, "grants, renewals or leases")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--lead", a.lead, "expire: seconds until they end")->capture_default_str();
  app.add_option("--server-pid", a.server, "whose CPU to count");
  app.add_flag("--json", a.json, "one line of JSON");
  CLI11_PARSE(app, argc, argv);
  Run run(a);
  Status status = run.Connect();
  if (status.ok()) status = a.mode == "grant" ? run.Grants() : a.mode == "keepalive" ? run.KeepAlive() : run.Expire();
  if (!status.ok()) {
    fmt::print(stderr, "tenon-lease: {}\n", Message(status));
    return 1;
  }
  run.Print();
  return 0;
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) { return tenon::bench::Main(argc, argv); }
