// The end: drain and stop.
#include <chrono>

#include "cli/plugin_check/served.h"
#include "cli/plugin_check/transport_cases.h"

namespace tenon::plugin_check {
namespace {

using namespace std::chrono_literals;

void Idle(const void* table, const Config& config) {
  Served s(table, config);
  WantAnswer(s.client->Ask("/echo.Echo/Unary", "x"), "x");
  const auto began = std::chrono::steady_clock::now();
  const auto drained = s.module.BeginDrain(40'000'000'000);
  s.client->Until([&] { return drained(0s); });  // a client that goes on reading: it may be asked whether it has heard
  Want(drained(10s), "drain of an idle server did not end with OK");
  Want(std::chrono::steady_clock::now() - began < std::chrono::seconds(20),
       "drain of an idle server waited for its grace");
  Want(!Client(s.target).connected(), "the port is open after drain");
  s.Close();
}

void Waits(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Start("/echo.Echo/Bidi");
  call.Send("before");
  Want(s.client->Until([&] { return call.messages.size() == 1; }), "the stream does not answer");
  const auto drained = s.module.BeginDrain(60'000'000'000);
  Want(s.client->Until([&] { return s.client->goaway(); }), "the client was not told (GOAWAY)");
  Want(s.client->Until([&] { return !Client(s.target).connected(); }), "drain goes on accepting connections");
  call.Send("during");
  Want(s.client->Until([&] { return call.messages.size() == 2; }), "an open stream is not served during drain");
  call.HalfClose();
  Want(s.client->Until([&] { return call.closed; }) && call.status == 0,
       "an open stream could not end well during drain: grpc-status {}", call.status);
  Want(drained(20s), "drain's done did not come after the last call ended");
  Want(s.kernel.streams_cancelled == 0, "drain cancelled a call that ended within the grace");
  s.Close();
}

void Grace(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Start("/echo.Echo/Bidi");
  call.Send("x");
  Want(s.client->Until([&] { return call.messages.size() == 1; }), "the stream does not answer");
  s.client->Unary("/echo.Echo/Hang", "x");
  Want(s.Await([&] { return s.kernel.unary_calls == 1; }), "the call did not reach the host");
  const auto drained = s.module.BeginDrain(50'000'000);
  s.client->Until([&] { return drained(0s); });
  Want(drained(10s), "drain did not end with OK at the end of its grace");
  Want(s.kernel.streams_cancelled == 1, "the open stream was not cancelled at the end of the grace");
  Want(s.kernel.unary_cancels == 1, "the open call was not cancelled at the end of the grace");
  Want(s.kernel.streams_released == 1, "done came before the cancelled stream was released");
  s.Close();
}

void Stop(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Start("/echo.Echo/Bidi");
  call.Send("x");
  Want(s.client->Until([&] { return call.messages.size() == 1; }), "the stream does not answer");
  Call& held = s.client->Unary("/echo.Echo/Produce", "100000 4096");
  held.Hold();
  Want(s.Await([&] { return s.kernel.holds >= 1; }), "a client that does not read never made out.message say AGAIN");
  s.client->Unary("/echo.Echo/Hang", "x");
  Want(s.Await([&] { return s.kernel.unary_calls == 1; }), "the call did not reach the host");
  s.module.Stop();
  Want(s.kernel.unary_cancels == 1, "stop returned with a call open at the host");
  Want(s.kernel.streams_released == 2, "stop returned with {} of 2 streams open", 2 - s.kernel.streams_released);
  Want(!Client(s.target).connected(), "the port is open after stop");
  s.Close();
}

}  // namespace

std::vector<Case> DrainCases() {
  return {
      {"drain.idle", "drain of an idle server ends at once and closes the port", Idle},
      {"drain.waits", "drain tells the clients, refuses new ones and waits for the open call", Waits},
      {"drain.grace", "what is open at the end of the grace is cancelled, then done comes", Grace},
      {"drain.stop", "stop without drain ends what is open before it returns", Stop},
  };
}

}  // namespace tenon::plugin_check
