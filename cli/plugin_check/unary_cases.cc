// Calls of one request and one reply.
#include <algorithm>

#include "cli/plugin_check/served.h"
#include "cli/plugin_check/transport_cases.h"

namespace tenon::plugin_check {
namespace {

using namespace std::chrono_literals;

void Inline(const void* table, const Config& config) {
  Served s(table, config);
  for (const char* text : {"hello", "", "again"}) WantAnswer(s.client->Ask("/echo.Echo/Unary", text), text);
  s.Close();
}

void FromAnotherThread(const void* table, const Config& config) {
  Served s(table, config);
  std::vector<Call*> calls;
  for (int i = 0; i < 500; ++i) calls.push_back(&s.client->Unary("/echo.Echo/Later", std::to_string(i)));
  s.client->Until([&] { return std::all_of(calls.begin(), calls.end(), [](Call* c) { return c->closed; }); });
  for (size_t i = 0; i < calls.size(); ++i) WantAnswer(*calls[i], std::to_string(i));
  s.Close();
}

void Sizes(const void* table, const Config& config) {
  Served s(table, config);
  for (size_t n : {1, 5, 255, 256, 4091, 4092, 16379, 16380, 65535, 65536, 300'000, 1 << 20}) {
    const std::string noise = Noise(n);
    for (const char* path : {"/echo.Echo/Unary", "/echo.Echo/Later"}) {
      Call& call = s.client->Ask(path, noise);
      Want(call.status == 0, "{} bytes to {}: grpc-status {} \"{}\" (reset {})", n, path, call.status, call.text,
           call.reset_code);
      WantAnswer(call, noise);
      s.client->Forget(call);
    }
  }
  s.Close();
}

void TwoMebibytes(const void* table, const Config& config) {
  Served s(table, config);
  const std::string noise = Noise(2 << 20);
  WantAnswer(s.client->Ask("/echo.Echo/Unary", noise), noise);
  WantAnswer(s.client->Ask("/echo.Echo/Later", noise), noise);
  s.Close();
}

void Trickled(const void* table, const Config& config) {
  Served s(table, config);
  Client trickle(s.target, {.data_frame_bytes = 1});
  WantAnswer(trickle.Ask("/echo.Echo/Unary", "byte by byte"), "byte by byte");
  s.Close();
}

void Errors(const void* table, const Config& config) {
  Served s(table, config);
  for (int code = 1; code <= 16; ++code) {
    Call& call = s.client->Ask("/echo.Echo/Fail", fmt::format("{} code {}", code, code));
    Want(call.closed && call.status == code, "the host said {}, the client saw grpc-status {}", code, call.status);
    Want(call.text == fmt::format("code {}", code), "the text came as \"{}\"", call.text);
    Want(call.messages.empty(), "a message came with an error");
  }
  s.Close();
}

void ErrorTexts(const void* table, const Config& config) {
  Served s(table, config);
  for (const std::string text : {"100% sure", "Grüße\n\"日本\"", "%41 is not A", "tab\there", "~ and \x7f", ""}) {
    Call& call = s.client->Ask("/echo.Echo/Fail", "3 " + text);
    Want(call.status == 3, "grpc-status {}, wanted 3", call.status);
    Want(call.text == text, "\"{}\" came as \"{}\"", text, call.text);
    const Headers& end = call.trailers.empty() ? call.headers : call.trailers;
    for (const char c : Find(end, "grpc-message")) {
      Want(c >= 0x20 && c <= 0x7e, "grpc-message carries the raw byte {:#x}", static_cast<unsigned char>(c));
    }
  }
  s.Close();
}

void OwnCodes(const void* table, const Config& config) {
  Served s(table, config);
  for (const int code : {TENON_AGAIN, TENON_CORRUPT, TENON_NO_SPACE, TENON_IO, TENON_FATAL}) {
    Call& call = s.client->Ask("/echo.Echo/Fail", fmt::format("{} inside", code));
    Want(call.status >= 1 && call.status <= 16, "Tenon's own code {} reached the client as grpc-status {}", code,
         call.status);
  }
  s.Close();
}

std::string Shown(Served& s, const Headers& headers) {
  Call& call = s.client->Ask("/echo.Echo/Show", "", headers);
  Want(call.status == 0 && call.messages.size() == 1, "the call that shows its info failed: grpc-status {} \"{}\"",
       call.status, call.text);
  return call.messages.front();
}

void Metadata(const void* table, const Config& config) {
  Served s(table, config);
  // AP8= is the base64 of two bytes 00 ff.
  const std::string shown =
      Shown(s, {{"token", "abc.1"}, {"hasleader", "true"}, {"raw-bin", "AP8="}, {"twice", "1"}, {"twice", "2"}});
  for (const char* line :
       {"name=/echo.Echo/Show\n", "\ntoken=abc.1\n", "\nhasleader=true\n", "\ntwice=1\n", "\ntwice=2\n"}) {
    Want(shown.find(line) != std::string::npos, "the call info lacks \"{}\":\n{}", line + (*line == '\n'), shown);
  }
  Want(shown.find(std::string("raw-bin=\0\xff\n", 11)) != std::string::npos, "a -bin value did not come decoded:\n{}",
       shown);
  for (const char* hidden : {"\n:", "\ngrpc-", "\nte=", "\ncontent-type="}) {
    Want(shown.find(hidden) == std::string::npos, "the call info shows the transport's own \"{}\":\n{}", hidden + 1,
         shown);
  }
  s.Close();
}

void Remote(const void* table, const Config& config) {
  Served s(table, config);
  Want(Shown(s, {}).find("\nremote=127.0.0.1:") != std::string::npos, "cred.remote_addr is not the client's address");
  s.Close();
}

void Timeouts(const void* table, const Config& config) {
  Served s(table, config);
  const auto timeout = [&](const char* header) {
    // A tenth of a second, the most there is in nanoseconds, may pass on a busy machine before the host is asked.
    const Call* call = nullptr;
    for (int tries = 0; tries < 100 && (call == nullptr || call->status == TENON_DEADLINE); ++tries) {
      call = &s.client->Ask("/echo.Echo/Show", "", {{"grpc-timeout", header}});
    }
    Want(call->status == 0 && call->messages.size() == 1, "grpc-timeout: {} ended with grpc-status {} \"{}\"", header,
         call->status, call->text);
    const std::string& shown = call->messages.front();
    return std::stoll(shown.substr(shown.find("timeout_ns=") + 11));
  };
  const struct {
    const char* header;
    int64_t ns;
  } rows[] = {{"1H", 3'600'000'000'000}, {"2M", 120'000'000'000},     {"10S", 10'000'000'000},
              {"9000m", 9'000'000'000},  {"9000000u", 9'000'000'000}, {"99999999n", 99'999'999}};
  for (const auto& [header, ns] : rows) {
    const int64_t got = timeout(header);
    Want(got <= ns && (got > ns / 2 || (ns < 1'000'000'000 && got > 0)), "grpc-timeout: {} became timeout_ns {}",
         header, got);
  }
  Want(Shown(s, {}).find("timeout_ns=0\n") != std::string::npos, "without grpc-timeout timeout_ns is not 0");
  s.Close();
}

void UnknownMethod(const void* table, const Config& config) {
  Served s(table, config);
  for (const char* path : {"/echo.Echo/Nothing", "/foo.Bar/Baz", "/echo.Echo/", "/x"}) {
    Call& call = s.client->Ask(path, "x");
    Want(call.closed && call.status == TENON_UNIMPLEMENTED, "{} ended with grpc-status {}, wanted 12", path,
         call.status);
  }
  WantAnswer(s.client->Ask("/echo.Echo/Unary", "after"), "after");
  s.Close();
}

void MissingRequest(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Start("/echo.Echo/Unary");
  call.HalfClose();
  s.client->Until([&] { return call.closed; });
  Want(call.closed && call.status > 0, "a unary call without a message ended with grpc-status {}", call.status);
  Want(s.kernel.unary_calls == 0, "the host was given a call that had no message");
  s.Close();
}

void Cancel(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Unary("/echo.Echo/Hang", "x");
  Want(s.Await([&] { return s.kernel.unary_calls == 1; }), "the call did not reach the host");
  call.Reset();
  Want(s.Await([&] { return s.kernel.unary_cancels == 1; }), "RST_STREAM did not become unary_cancel");
  WantAnswer(s.client->Ask("/echo.Echo/Unary", "still here"), "still here");
  s.Close();
}

void LostConnection(const void* table, const Config& config) {
  Served s(table, config);
  {
    Client lost(s.target);
    for (int i = 0; i < 10; ++i) lost.Unary("/echo.Echo/Hang", "x");
    Want(lost.Until([&] { return s.kernel.unary_calls == 10; }), "ten calls did not reach the host");
  }
  Want(s.Await([&] { return s.kernel.unary_cancels == 10; }), "a lost connection cancelled {} of its 10 calls",
       s.kernel.unary_cancels.load());
  s.Close();
}

void ManyConnections(const void* table, const Config& config) {
  Served s(table, config);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(std::make_unique<Client>(s.target));
  for (auto& client : clients) WantAnswer(client->Ask("/echo.Echo/Unary", "one of many"), "one of many");
  clients.clear();
  s.Close();
}

}  // namespace

std::vector<Case> UnaryCases() {
  return {
      {"unary.inline", "a reply that the host gives inside dispatch.unary arrives", Inline},
      {"unary.later", "500 replies from another thread arrive, each at its own call", FromAnotherThread},
      {"unary.sizes", "messages of 1 byte to 1 MiB come back byte for byte", Sizes},
      {"unary.two-mebibytes", "a message of 2 MiB is taken and one is sent", TwoMebibytes},
      {"unary.trickled", "a request in DATA frames of one byte is one message", Trickled},
      {"unary.errors", "the codes 1 to 16 and their texts reach the client, and no message with them", Errors},
      {"unary.error-texts", "error texts are percent-encoded as gRPC wants it", ErrorTexts},
      {"unary.own-codes", "Tenon's own codes (100 and more) never reach a client", OwnCodes},
      {"unary.metadata", "request metadata reaches the host in lower case, -bin decoded, without the transport's own",
       Metadata},
      {"unary.remote", "cred.remote_addr is the client's address", Remote},
      {"unary.timeout", "grpc-timeout in each unit becomes timeout_ns", Timeouts},
      {"unary.unknown-method", "a method that the host does not know is UNIMPLEMENTED", UnknownMethod},
      {"unary.no-message", "a call that ends without a message is an error, and the host does not see it",
       MissingRequest},
      {"unary.cancel", "RST_STREAM of the client becomes unary_cancel", Cancel},
      {"unary.connection-lost", "a lost connection cancels its calls", LostConnection},
      {"unary.many-connections", "200 connections at once are served", ManyConnections},
  };
}

}  // namespace tenon::plugin_check
