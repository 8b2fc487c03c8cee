// Runs every case over every transport of the build; see case.h.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <sstream>

#include "cli/plugin_check/transport_module.h"
#include "fmt/format.h"
#include "kernel/base/check.h"
#include "tests/h2/case.h"

namespace tenon::testing {
namespace {

using namespace http2;
using Clock = std::chrono::steady_clock;
using plugin_check::TransportModule;

// How long a reaction may take; one that is known not to come is not waited for so long.
constexpr auto kPatience = std::chrono::milliseconds(60'000), kImpatience = std::chrono::milliseconds(200);

// One server of the echo kernel per transport, as long as the program.
struct Server {
  explicit Server(const std::string& file) {
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    CHECK_MSG(library != nullptr, dlerror());
    auto* query = reinterpret_cast<const tenon_plugin* (*)()>(dlsym(library, "tenon_plugin_query_v1"));
    module =
        std::make_unique<TransportModule>(reinterpret_cast<const tenon_transport_v1*>(query()->modules[0].vt), kernel);
    for (const plugin_check::Said& said : {module->Create(), module->Listen("http://127.0.0.1:0"), module->Start()}) {
      CHECK_MSG(said.ok(), said.text);
    }
    port = static_cast<uint16_t>(std::stoi(module->Target().substr(module->Target().rfind(':') + 1)));
  }
  EchoKernel kernel;
  std::unique_ptr<TransportModule> module;
  uint16_t port;
};

const std::vector<std::string> kTransports = {
#ifdef H2_TEST_GRPC
    "grpc",
#endif
    "h2"};

Server& ServerOf(const std::string& transport) {
  static auto* servers = new std::map<std::string, std::unique_ptr<Server>>();
  auto& server = (*servers)[transport];
  if (server == nullptr)
    server = std::make_unique<Server>(fmt::format("{}/transport-{}.so", H2_TEST_PLUGINS, transport));
  return *server;
}

// What came, in words for a failure and as facts for the check.
struct Heard {
  std::string log;
  std::map<uint32_t, Headers> first, last;  // HEADERS of each stream
  std::map<uint32_t, std::string> data;
  std::map<uint32_t, uint32_t> resets;
  std::map<uint32_t, bool> ended;
  std::optional<uint32_t> goaway;
  int pongs = 0;
  bool closed = false;

  void Add(const Received& frame) {
    static const char* const kNames[] = {"DATA",         "HEADERS", "PRIORITY", "RST_STREAM",    "SETTINGS",
                                         "PUSH_PROMISE", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION"};
    log += log.empty() ? "" : " ";
    log += frame.type < std::size(kNames) ? kNames[frame.type] : "?";
    if ((frame.type == kSettings || frame.type == kPing) && frame.Has(kAck)) log += ".ACK";
    if (frame.stream != 0) log += fmt::format("({})", frame.stream);
    switch (frame.type) {
      case kHeaders:
        if (first[frame.stream].empty()) first[frame.stream] = frame.headers;
        last[frame.stream] = frame.headers;
        ended[frame.stream] |= frame.Has(kEndStream);
        break;
      case kData:
        data[frame.stream] += frame.payload;
        ended[frame.stream] |= frame.Has(kEndStream);
        log += fmt::format(" {}", frame.payload.size());
        break;
      case kRstStream:
        resets.emplace(frame.stream, frame.U32At(0));
        ended[frame.stream] = true;
        log += fmt::format(" {}", frame.U32At(0));
        break;
      case kGoaway:
        goaway = frame.U32At(4);
        log += fmt::format(" {}", *goaway);
        break;
      case kPing: pongs += frame.Has(kAck); break;
      default: break;
    }
  }
};

class Conversation {
 public:
  Conversation(uint16_t port, std::chrono::milliseconds patience) : connection_(port), patience_(patience) {}

  void Send(std::string_view bytes) { connection_.Send(bytes); }

  // Reads until `enough`, the end of the connection, or the end of our patience.
  void Hear(const std::function<bool(const Heard&)>& enough) {
    const auto end = Clock::now() + patience_;
    while (!enough(heard)) {
      const std::optional<Received> frame = connection_.Read(end);
      if (!frame) break;
      heard.Add(*frame);
    }
    heard.closed = connection_.closed();
  }

  // A PING's answer comes after the reaction to all that went before.
  bool Alive() {
    const int before = heard.pongs;
    Send(Frame(kPing, kNone, 0, "Tenon h2"));
    Hear([&](const Heard& h) { return h.pongs > before; });
    return heard.pongs > before;
  }

  Heard heard;

 private:
  Connection connection_;
  std::chrono::milliseconds patience_;
};

std::string Message(const Heard& heard, uint32_t stream) {
  const auto found = heard.data.find(stream);
  return found == heard.data.end() || found->second.size() < 5 ? "" : found->second.substr(5);
}

std::string StatusOf(const Heard& heard, uint32_t stream, const char* field) {
  const auto found = heard.last.find(stream);
  return found == heard.last.end() ? "" : Value(found->second, field);
}

bool OneOf(const std::vector<uint32_t>& codes, uint32_t code) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// Sorted, without updates of the connection's window and the server's own PINGs.
std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) {
    if (word != "WINDOW_UPDATE" && word != "PING") words.push_back(word);
  }
  std::sort(words.begin(), words.end());
  return words;
}

// "" or what is wrong.
std::string Judge(Conversation& c, const Expect& expect) {
  Heard& heard = c.heard;
  const uint32_t stream = expect.stream;
  const auto over = [stream](const Heard& h) { return h.ended.contains(stream) && h.ended.at(stream); };
  switch (expect.kind) {
    case Expect::kAnswer:
      c.Hear(over);
      if (StatusOf(heard, stream, "grpc-status") != "0") return "no grpc-status 0";
      return Message(heard, stream) == expect.text
                 ? ""
                 : fmt::format("the message is {} bytes, not the one wanted", Message(heard, stream).size());
    case Expect::kStatus: {
      c.Hear(over);
      const std::string status = StatusOf(heard, stream, "grpc-status"), text = StatusOf(heard, stream, "grpc-message");
      if (status != std::to_string(expect.codes[0])) return fmt::format("grpc-status \"{}\" \"{}\"", status, text);
      if (!expect.text.empty() && text != expect.text) return fmt::format("grpc-message \"{}\"", text);
      return c.Alive() ? "" : "the connection went with it";
    }
    case Expect::kHttp: {
      c.Hear(over);
      const std::string status = Value(heard.first[stream], ":status");
      return status == std::to_string(expect.codes[0]) ? "" : fmt::format(":status \"{}\"", status);
    }
    case Expect::kStreamError:
      c.Hear([&](const Heard& h) { return h.resets.contains(stream) || h.goaway || over(h); });
      if (heard.goaway) return OneOf(expect.codes, *heard.goaway) ? "" : "another GOAWAY";
      if (!heard.resets.contains(stream)) return "no RST_STREAM";
      if (!OneOf(expect.codes, heard.resets[stream])) return "another RST_STREAM";
      return c.Alive() ? "" : "the connection went with it";
    case Expect::kConnectionError:
      c.Hear([](const Heard& h) { return h.goaway.has_value(); });
      if (!heard.goaway) return heard.closed ? "closed without GOAWAY" : "no GOAWAY";
      if (!OneOf(expect.codes, *heard.goaway)) return "another GOAWAY";
      c.Hear([](const Heard&) { return false; });
      return heard.closed ? "" : "the connection stays open";
    case Expect::kClose:
      c.Hear([](const Heard&) { return false; });
      return heard.closed ? "" : "the connection stays open";
    case Expect::kNothing:
      if (!c.Alive()) return "PING is not answered";
      c.Send(GrpcCall(1001, "/echo.Echo/Unary", "a new call"));
      c.Hear([](const Heard& h) { return h.ended.contains(1001) && h.ended.at(1001); });
      return Message(heard, 1001) == "a new call" ? "" : "a new call is not answered";
    case Expect::kFrames: {
      // SETTINGS, their ACKs and the answer to a PING may go in any order; the connection's window is the server's
      // affair.
      const auto wanted = Words(expect.text);
      c.Hear([&](const Heard& h) { return Words(h.log) == wanted; });
      const bool alive = c.Alive();
      auto heard_words = Words(heard.log);
      std::erase(heard_words, "PING.ACK");
      return !alive ? "PING is not answered" : heard_words == wanted ? "" : "other frames";
    }
  }
  return "an unknown expectation";
}

// "" or what is wrong.
std::string RunCase(uint16_t port, const Case& test, std::chrono::milliseconds patience = kPatience) {
  Conversation c(port, patience);
  if (!test.raw) c.Send(std::string(kPreface) + Settings());
  c.Send(test.sent);
  if (!test.then.empty()) {
    c.Hear([](const Heard& h) { return h.ended.contains(1) && h.ended.at(1); });
    c.Send(test.then);
  }
  const std::string wrong = Judge(c, test.expect);
  return wrong.empty() ? "" : fmt::format("{}; heard: {}{}", wrong, c.heard.log, c.heard.closed ? " (closed)" : "");
}

const std::vector<Case>& AllCases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> list;
    for (auto& group : {FrameCases(), HeaderCases(), GrpcCases()}) list.insert(list.end(), group.begin(), group.end());
    return list;
  }();
  return all;
}

const Difference* DifferenceOf(const std::string& transport, const std::string& name) {
  for (const Difference& difference : Differences()) {
    if (transport != difference.transport) continue;
    if (std::find(difference.names.begin(), difference.names.end(), name) != difference.names.end()) return &difference;
  }
  return nullptr;
}

struct Parameter {
  std::string transport;
  const Case* test;
  friend void PrintTo(const Parameter& p, std::ostream* out) { *out << p.transport << ": " << p.test->name; }
};

std::vector<Parameter> Parameters() {
  std::vector<Parameter> all;
  for (const std::string& transport : kTransports) {
    for (const Case& test : AllCases()) all.push_back({transport, &test});
  }
  return all;
}

class H2Test : public ::testing::TestWithParam<Parameter> {};

TEST_P(H2Test, Holds) {
  const auto& [transport, test] = GetParam();
  Server& server = ServerOf(transport);
  const Difference* difference = DifferenceOf(transport, test->name);
  std::string wrong = RunCase(server.port, *test, difference == nullptr ? kPatience : kImpatience);
  for (int left = test->tries - 1; left > 0 && !wrong.empty(); --left) wrong = RunCase(server.port, *test);
  if (difference != nullptr) {
    EXPECT_NE(wrong, "") << "it holds: take it out of differences.cc";
    RecordProperty("difference", difference->why);
  } else {
    EXPECT_EQ(wrong, "");
  }
  // Whatever it was, the next client is served.
  EXPECT_EQ(RunCase(server.port, {"", GrpcCall(1, "/echo.Echo/Unary", "next"), Answer("next")}), "");
  EXPECT_EQ(server.kernel.violations(), std::vector<std::string>());
}

std::string NameOf(const ::testing::TestParamInfo<Parameter>& info) {
  std::string name = fmt::format("{}_{}_{}", info.param.transport, info.index, info.param.test->name);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !isalnum(c); }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, H2Test, ::testing::ValuesIn(Parameters()), NameOf);

TEST(H2Differences, EachNamesACase) {
  for (const Difference& difference : Differences()) {
    for (const std::string& name : difference.names) {
      EXPECT_TRUE(std::any_of(AllCases().begin(), AllCases().end(), [&](const Case& c) { return c.name == name; }))
          << name;
    }
  }
}

}  // namespace
}  // namespace tenon::testing
