// tenon-watch: what events cost a server that speaks etcd's API.
#include <poll.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

#include "bench/h2_client.h"
#include "bench/histogram.h"
#include "bench/process.h"
#include "kernel/base/coding.h"
#include "kernel/base/units.h"

namespace tenon::bench {
namespace {

constexpr const char* kHelp = R"(Opens watchers on one key, puts it, and counts the events (plain HTTP/2, one thread).

At full speed the writer keeps --ahead puts whose events are not at all watchers yet. Every event is looked at: one out
of order, a watcher that ends or a put that fails ends the run with exit code 1. The time of an event counts from when
its put was due to be sent; server CPU is that of the puts and of all their events.

Examples:
  tenon-watch --streams 1000 --connections 100
  tenon-watch --streams 100 --connections 100 --watchers 100   # 10,000 watchers on 100 streams
  tenon-watch --streams 1000 --connections 100 --rate 100      # puts a second)";

struct Arguments {
  std::string endpoint = "127.0.0.1:2379";
  size_t streams = 1000, connections = 100, watchers = 1, ahead = 4, value_size = 256;
  double rate = 0;
  std::string duration = "10s", warmup = "1s";
  pid_t server = 0;
  bool other_keys = false;
  bool json = false;
};

// ---- protobuf by hand: an event must not cost the generator more than the server ----

void AppendField(std::string& out, char tag, std::string_view bytes) {
  char number[10];
  out += tag;
  out.append(number, static_cast<size_t>(PutVarint(number, bytes.size()) - number));
  out += bytes;
}

std::string Frame(std::string_view message) {
  std::string out(5, '\0');
  const uint32_t size = __builtin_bswap32(static_cast<uint32_t>(message.size()));
  std::memcpy(out.data() + 1, &size, 4);
  return out.append(message);
}

std::string CreateRequest(std::string_view key) {
  std::string create, request;
  AppendField(create, 0x0a, key);
  AppendField(request, 0x0a, create);
  return Frame(request);
}

// Calls fn(tag, number, bytes) for each field; false: it is not a message.
template <class Fn>
bool ForEachField(std::string_view message, Fn fn) {
  while (!message.empty()) {
    uint64_t tag, number = 0;
    if (!TakeVarint(message, tag) || !TakeVarint(message, number)) return false;
    std::string_view bytes;
    if ((tag & 7) == 2) {
      if (number > message.size()) return false;
      bytes = message.substr(0, number);
      message.remove_prefix(number);
    } else if ((tag & 7) != 0) {
      return false;
    }
    fn(tag, number, bytes);
  }
  return true;
}

struct Seen {
  uint64_t events = 0;  // since the warm-up
  uint64_t created = 0;
  Histogram latency_ns;
  std::vector<uint64_t> left;  // by number of the put: watchers that have not got it
  uint64_t oldest = 0;         // the first put that some watcher has not got
  std::string error;
};

class Stream : public Call {
 public:
  Stream(Loop& loop, Seen& seen, size_t watchers) : loop_(loop), seen_(seen), last_(watchers) { keeps_open_ = true; }

  void OnMessage(std::string_view message) override {
    uint64_t watcher = 0;
    const bool good = ForEachField(message, [&](uint64_t tag, uint64_t number, std::string_view bytes) {
      if (tag == 0x10) watcher = number;
      if (tag == 0x18) seen_.created++;
      if (tag == 0x20) seen_.error = "a watcher was canceled";
      if (tag == 0x5a) Event(watcher, bytes);
    });
    if (!good) seen_.error = "an answer that is not a message";
  }
  void OnDone(const CallResult& result) override { seen_.error = "a stream ended: " + result.message; }

 private:
  void Event(uint64_t watcher, std::string_view event) {
    ForEachField(event, [&](uint64_t tag, uint64_t, std::string_view kv) {
      if (tag != 0x12) return;
      uint64_t revision = 0, stamp[2] = {};
      ForEachField(kv, [&](uint64_t field, uint64_t number, std::string_view value) {
        if (field == 0x18) revision = number;
        if (field == 0x2a && value.size() >= sizeof stamp) std::memcpy(stamp, value.data(), sizeof stamp);
      });
      if (watcher >= last_.size() || revision <= last_[watcher]) {
        seen_.error = "an event out of order";
        return;
      }
      last_[watcher] = revision;
      seen_.events++;
      seen_.latency_ns.Record(loop_.now_ns() - stamp[1]);
      if (stamp[0] < seen_.left.size()) seen_.left[stamp[0]]--;
    });
  }

  Loop& loop_;
  Seen& seen_;
  std::vector<uint64_t> last_;  // revision, by watcher
};

class Put : public Call {
 public:
  explicit Put(Seen& seen) : seen_(seen) {}
  bool Send(Connection& to, std::string_view key, uint64_t number, uint64_t due_ns, size_t value_size) {
    std::string value(value_size, 'v'), request;
    const uint64_t stamp[2] = {number, due_ns};
    std::memcpy(value.data(), stamp, sizeof stamp);
    AppendField(request, 0x0a, key);
    AppendField(request, 0x12, value);
    request_ = Frame(request);
    return to.Start(*this, "/etcdserverpb.KV/Put", request_);
  }
  bool done = true;

 private:
  void OnMessage(std::string_view) override {}
  void OnDone(const CallResult& result) override {
    done = true;
    if (result.code != StatusCode::kOk) seen_.error = "put: " + result.message;
  }
  Seen& seen_;
  std::string request_;
};

struct Outcome {
  uint64_t events = 0, puts = 0;
  double seconds = 0, own_cpu_us = 0, server_cpu_us = 0;
  double rss_anon_before = 0, rss_anon_open = 0;
  Histogram latency_ns;
};

double Per(double sum, uint64_t count) { return count == 0 ? 0 : sum / static_cast<double>(count); }

void Print(const Arguments& a, const Outcome& o) {
  const size_t watchers = a.streams * a.watchers;
  const double open = (o.rss_anon_open - o.rss_anon_before) / static_cast<double>(watchers);
  const double rate = o.seconds > 0 ? static_cast<double>(o.events) / o.seconds : 0;
  if (a.json) {
    fmt::print(
        "{{\"events\": {}, \"puts\": {}, \"seconds\": {:.6f}, \"rate\": {:.1f}, \"p50_us\": {:.1f}, \"p99_us\": "
        "{:.1f}, "
        "\"own_cpu_us\": {:.3f}, \"server_cpu_us\": {:.3f}, \"watchers\": {}, \"rss_anon_per_watcher\": {:.0f}}}\n",
        o.events, o.puts, o.seconds, rate, static_cast<double>(o.latency_ns.Quantile(0.5)) / 1e3,
        static_cast<double>(o.latency_ns.Quantile(0.99)) / 1e3, Per(o.own_cpu_us, o.events),
        Per(o.server_cpu_us, o.events), watchers, open);
    return;
  }
  fmt::print("{} watchers on {} streams: {} events of {} puts in {:.3f} s: {:.0f} events/s\n", watchers, a.streams,
             o.events, o.puts, o.seconds, rate);
  fmt::print("from put to event, ms: p50 {:.3f}  p99 {:.3f}  max {:.3f}\n",
             static_cast<double>(o.latency_ns.Quantile(0.5)) / 1e6,
             static_cast<double>(o.latency_ns.Quantile(0.99)) / 1e6, static_cast<double>(o.latency_ns.max()) / 1e6);
  fmt::print("own CPU: {:.2f} us an event\n", Per(o.own_cpu_us, o.events));
  if (a.server != 0) {
    fmt::print("server: {:.2f} us CPU an event; {:.0f} B anonymous memory a watcher\n", Per(o.server_cpu_us, o.events),
               open);
  }
}

Result<Outcome> Run(const Arguments& a, int64_t duration_ns, int64_t warmup_ns) {
  static constexpr std::string_view kKey = "watched";
  Outcome out;
  Seen seen;
  Loop loop;
  const auto anonymous = [&]() -> double {
    const Result<ProcessSample> s = a.server == 0 ? Result<ProcessSample>(ProcessSample()) : SampleProcess(a.server);
    return s.ok() ? static_cast<double>(s->rss_anon_bytes) : 0;
  };

  std::vector<std::unique_ptr<Connection>> connections;
  for (size_t i = 0; i < a.connections; i++) {
    ASSIGN_OR_RETURN(connections.emplace_back(), Connection::Open(loop, a.endpoint));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Connection> writer, Connection::Open(loop, a.endpoint));
  loop.Turn(10'000'000);
  out.rss_anon_before = anonymous();
  std::vector<std::string> creates(a.other_keys ? a.streams : 1);  // what a stream asks for
  for (size_t i = 0; i < creates.size(); i++) {
    for (size_t n = 0; n < a.watchers; n++) {
      creates[i] += CreateRequest(a.other_keys ? fmt::format("other/{}/{}", i, n) : kKey);
    }
  }
  std::vector<std::unique_ptr<Stream>> streams;
  const size_t watchers = a.streams * a.watchers;
  for (size_t i = 0; i < a.streams; i++) {
    streams.push_back(std::make_unique<Stream>(loop, seen, a.watchers));
    if (!connections[i % a.connections]->Start(*streams[i], "/etcdserverpb.Watch/Watch", creates[i % creates.size()])) {
      return absl::UnavailableError("a connection was lost");
    }
  }
  while (seen.created < watchers && seen.error.empty()) loop.Turn(100'000'000);
  out.rss_anon_open = anonymous();
  if (!seen.error.empty()) return absl::UnavailableError(seen.error);
  if (a.other_keys) {
    Print(a, out);
    std::fflush(stdout);
    pollfd input{0, POLLIN, 0};
    while (poll(&input, 1, 0) == 0) loop.Turn(100'000'000);
    return out;
  }

  std::vector<std::unique_ptr<Put>> puts;
  for (size_t i = 0; i < std::max<size_t>(a.ahead, 64); i++) puts.push_back(std::make_unique<Put>(seen));
  uint64_t began = NowNs();
  const uint64_t measure_from = began + static_cast<uint64_t>(warmup_ns);
  bool measuring = false;
  uint64_t first_measured = 0;
  ProcessSample before;
  double own_before = 0;
  const auto due = [&](uint64_t number) {
    return began + static_cast<uint64_t>(static_cast<double>(number) * 1e9 / a.rate);
  };
  uint64_t end = measure_from + static_cast<uint64_t>(duration_ns);
  while (seen.error.empty()) {
    const uint64_t now = NowNs();
    if (!measuring && now >= measure_from) {
      measuring = true;
      first_measured = seen.left.size();
      seen.events = 0;
      seen.latency_ns = Histogram();
      if (a.server != 0) {
        ASSIGN_OR_RETURN(before, SampleProcess(a.server));
      }
      own_before = OwnCpuUs();
      end = now + static_cast<uint64_t>(duration_ns);
    }
    if (now >= end) break;
    while (seen.oldest < seen.left.size() && seen.left[seen.oldest] == 0) seen.oldest++;
    for (const auto& put : puts) {
      const uint64_t number = seen.left.size();
      if (!put->done) continue;
      if (a.rate == 0 ? number - seen.oldest >= a.ahead : due(number) > now) break;
      put->done = false;
      seen.left.push_back(watchers);
      if (!put->Send(*writer, kKey, number, a.rate == 0 ? now : due(number), a.value_size)) {
        return absl::UnavailableError("a connection was lost");
      }
    }
    const uint64_t next = a.rate == 0 ? end : due(seen.left.size());
    loop.Turn(static_cast<int64_t>(std::min(next, end) > NowNs() ? std::min(next, end) - NowNs() : 0));
  }
  if (!seen.error.empty()) return absl::UnavailableError(seen.error);
  out.own_cpu_us = OwnCpuUs() - own_before;
  out.seconds = static_cast<double>(NowNs() - end + static_cast<uint64_t>(duration_ns)) / 1e9;
  out.events = seen.events;
  out.puts = seen.left.size() - first_measured;
  out.latency_ns = seen.latency_ns;
  if (a.server != 0) {
    ASSIGN_OR_RETURN(const ProcessSample after, SampleProcess(a.server));
    out.server_cpu_us = after.user_us + after.system_us - before.user_us - before.system_us;
  }
  return out;
}

int Main(int argc, char** argv) {
  Arguments a;
  CLI::App app(kHelp, "tenon-watch");
  app.add_option("--endpoint", a.endpoint, "HOST:PORT")->capture_default_str();
  app.add_option("--streams", a.streams, "Watch calls")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--connections", a.connections, "streams take turns over them")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--watchers", a.watchers, "of each stream")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--ahead", a.ahead, "puts that may be under way at full speed")->capture_default_str();
  app.add_option("--rate", a.rate, "puts a second; 0: full speed")->capture_default_str();
  app.add_option("--value-size", a.value_size, "bytes")->capture_default_str()->check(CLI::Range(16, 1 << 20));
  app.add_option("--duration", a.duration, "how long to measure")->capture_default_str();
  app.add_option("--warmup", a.warmup, "the same before, not counted")->capture_default_str();
  app.add_option("--server-pid", a.server, "whose CPU and memory to count");
  app.add_flag("--other-keys", a.other_keys,
               "each watcher has a key of its own; say what memory they take, and hold them until standard input ends");
  app.add_flag("--json", a.json, "one line of JSON");
  CLI11_PARSE(app, argc, argv);
  const Result<int64_t> duration = ParseDurationNs(a.duration), warmup = ParseDurationNs(a.warmup);
  if (!duration.ok() || !warmup.ok()) {
    fmt::print(stderr, "tenon-watch: --duration and --warmup are durations such as 10s\n");
    return 1;
  }
  const Result<Outcome> outcome = Run(a, *duration, *warmup);
  if (!outcome.ok()) {
    fmt::print(stderr, "tenon-watch: {}\n", Message(outcome.status()));
    return 1;
  }
  if (!a.other_keys) Print(a, *outcome);
  return 0;
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) { return tenon::bench::Main(argc, argv); }
