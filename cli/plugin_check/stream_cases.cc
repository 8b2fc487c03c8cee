// Streams: order, ends, and flow control in both directions.
#include "cli/plugin_check/served.h"
#include "cli/plugin_check/transport_cases.h"

namespace tenon::plugin_check {
namespace {

void Bidi(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Start("/echo.Echo/Bidi");
  for (int i = 0; i < 100; ++i) {
    const std::string text = i % 10 == 9 ? "" : std::to_string(i);
    call.Send(text);
    Want(s.client->Until([&] { return !call.messages.empty(); }), "message {} did not come back", i);
    Want(call.messages.front() == text, "message {} came back as \"{}\"", i, call.messages.front());
    call.messages.pop_front();
  }
  call.HalfClose();
  Want(s.client->Until([&] { return call.closed; }), "half-close did not end the stream");
  Want(call.status == 0, "grpc-status {} \"{}\", wanted 0", call.status, call.text);
  Want(Find(call.trailers, "echo-trailer") == "the end", "the trailer of finish did not come");
  Want(s.kernel.streams_half_closed == 1, "in.half_close was called {} times", s.kernel.streams_half_closed.load());
  s.Close();
}

void ClientStream(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Start("/echo.Echo/Collect");
  for (int i = 0; i < 100; ++i) call.Send(std::string(30'000, 'c'));
  call.HalfClose();
  s.client->Until([&] { return call.closed; });
  WantAnswer(call, "3000000 bytes");
  s.Close();
}

void WantProduced(Call& call, int n, size_t size) {
  Want(call.closed && call.status == 0, "the stream ended with grpc-status {} \"{}\" (reset {})", call.status,
       call.text, call.reset_code);
  Want(call.messages.size() == static_cast<size_t>(n), "{} of {} messages came", call.messages.size(), n);
  for (int i = 0; i < n; ++i) {
    const std::string& message = call.messages[static_cast<size_t>(i)];
    Want(message.size() >= size && message.starts_with(std::to_string(i) + " "), "message {} is \"{}\"", i,
         message.substr(0, 20));
  }
}

void ServerStream(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Unary("/echo.Echo/Produce", "5000 10");
  s.client->Until([&] { return call.closed; });
  WantProduced(call, 5000, 10);
  s.Close();
}

void HeadersFirst(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Start("/echo.Echo/Reluctant");
  Want(s.client->Until([&] { return call.opened; }), "headers did not go before the first message");
  Want(Find(call.headers, "echo-header") == "reluctantly", "the header that the host gave did not come");
  Want(!call.closed && call.messages.empty(), "more than headers came");
  s.Close();
}

void Refused(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Ask("/echo.Echo/Busy", "x");
  Want(call.closed && call.status == TENON_EXHAUSTED, "dispatch.stream said EXHAUSTED, the client saw grpc-status {}",
       call.status);
  s.Close();
}

// 5,000 messages of 4 KiB are 20 MB. What may wait in memory is the transport's own choice, but not all of it.
void SlowReader(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Unary("/echo.Echo/Produce", "5000 4096");
  call.Hold();
  Want(s.Await([&] { return s.kernel.holds >= 1; }), "a client that does not read never made out.message say AGAIN");
  Want(s.kernel.bytes_unreleased < 8 << 20, "{} bytes wait in the transport for a client that does not read",
       s.kernel.bytes_unreleased.load());
  const int out_before = s.kernel.messages_out;
  WantAnswer(s.client->Ask("/echo.Echo/Unary", "beside it"), "beside it");
  Want(s.kernel.messages_out < 4000 && out_before < 4000, "the host was let go on though nobody read");
  call.LetGo();
  Want(s.client->Until([&] { return call.closed; }, std::chrono::seconds(20)),
       "the stream did not go on when the client read again: {} messages came", call.messages.size());
  WantProduced(call, 5000, 4096);
  s.Close();
}

void SlowServer(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Start("/echo.Echo/Reluctant");
  for (int i = 0; i < 50; ++i) call.Send(std::to_string(i));
  Want(s.client->Until([&] { return call.messages.size() == 1; }), "the first message did not come back");
  WantAnswer(s.client->Ask("/echo.Echo/Unary", "after them"), "after them");  // so the server has read them
  Want(s.kernel.messages_in == 1, "in.message was called {} times after it had said AGAIN", s.kernel.messages_in - 1);
  s.kernel.LetGo();
  Want(s.client->Until([&] { return call.messages.size() == 50; }), "after out.readable {} of 50 messages came",
       call.messages.size());
  call.HalfClose();
  Want(s.client->Until([&] { return call.closed; }) && call.status == 0, "the stream did not end well");
  s.Close();
}

// A window's worth of messages that the server does not take must stop the client, and only this stream.
void ServerHoldsTheWindow(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Start("/echo.Echo/Reluctant");
  constexpr size_t kMessages = 100, kBytes = 300'000;
  for (size_t i = 0; i < kMessages; ++i) call.Send(std::string(kBytes, static_cast<char>('a' + i % 26)));
  Want(s.client->Until([&] { return call.messages.size() == 1; }), "the first message did not come back");
  Client other(s.target);
  WantAnswer(other.Ask("/echo.Echo/Unary", "another connection"), "another connection");
  Want(s.kernel.messages_in == 1, "the server was given {} messages after it had said AGAIN", s.kernel.messages_in - 1);
  s.kernel.LetGo();
  Want(s.client->Until([&] { return call.messages.size() == kMessages; }, std::chrono::seconds(20)),
       "after out.readable {} of {} messages came", call.messages.size(), kMessages);
  for (size_t i = 0; i < kMessages; ++i) {
    Want(call.messages[i] == std::string(kBytes, static_cast<char>('a' + i % 26)), "message {} is not what was sent",
         i);
  }
  call.HalfClose();
  Want(s.client->Until([&] { return call.closed; }) && call.status == 0, "the stream did not end well");
  s.Close();
}

void Cancel(const void* table, const Config& config) {
  Served s(table, config);
  for (int i = 1; i <= 100; ++i) {
    Call& call = s.client->Start("/echo.Echo/Collect");
    call.Send("x");
    Want(s.Await([&] { return s.kernel.messages_in == i; }), "message {} did not reach the host", i);
    call.Reset();
    Want(s.Await([&] { return s.kernel.streams_released == i; }), "RST_STREAM did not end stream {} at the host", i);
  }
  Want(s.kernel.streams_cancelled == 100, "in.cancel was called {} times for 100 resets",
       s.kernel.streams_cancelled.load());
  Want(s.kernel.streams_half_closed == 0, "a reset was taken for a half-close {} times",
       s.kernel.streams_half_closed.load());
  s.Close();
}

void CancelWhileHeld(const void* table, const Config& config) {
  Served s(table, config);
  Call& call = s.client->Unary("/echo.Echo/Produce", "100000 4096");
  call.Hold();
  Want(s.Await([&] { return s.kernel.holds >= 1; }), "a client that does not read never made out.message say AGAIN");
  call.Reset();
  Want(s.Await([&] { return s.kernel.streams_released == 1; }), "RST_STREAM did not end the stream at the host");
  Want(s.Await([&] { return s.kernel.replies_unreleased == 0; }), "{} queued replies outlive their stream",
       s.kernel.replies_unreleased.load());
  s.Close();
}

void LostConnection(const void* table, const Config& config) {
  Served s(table, config);
  {
    Client lost(s.target);
    for (int i = 0; i < 10; ++i) lost.Start("/echo.Echo/Bidi").Send("x");
    Want(lost.Until([&] { return s.kernel.messages_in == 10; }), "ten streams did not reach the host");
  }
  Want(s.Await([&] { return s.kernel.streams_released == 10; }), "a lost connection ended {} of its 10 streams",
       s.kernel.streams_released.load());
  Want(s.kernel.streams_cancelled == 10, "in.cancel was called for {} of 10 streams",
       s.kernel.streams_cancelled.load());
  Want(s.kernel.streams_half_closed == 0, "a lost connection was taken for a half-close");
  s.Close();
}

void TenThousand(const void* table, const Config& config) {
  Served s(table, config);
  constexpr size_t kConnections = 20, kEach = 500;
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::vector<Call*>> calls(kConnections);
  for (size_t c = 0; c < kConnections; ++c) {
    clients.push_back(std::make_unique<Client>(s.target));
    Client& client = *clients.back();
    Want(client.Until([&] { return client.settings_came(); }), "no SETTINGS came from the server");
    Want(client.max_streams() >= kEach, "the server allows only {} streams a connection", client.max_streams());
    for (size_t i = 0; i < kEach; ++i) {
      calls[c].push_back(&client.Start("/echo.Echo/Bidi"));
      calls[c].back()->Send(fmt::format("{}.{}", c, i));
    }
    Want(client.Until([&] {
      return std::all_of(calls[c].begin(), calls[c].end(), [](Call* call) { return !call->messages.empty(); });
    }),
         "of {} open streams some were not answered", (c + 1) * kEach);
  }
  Want(s.kernel.streams_begun == kConnections * kEach && s.kernel.streams_released == 0, "{} streams begun, {} ended",
       s.kernel.streams_begun.load(), s.kernel.streams_released.load());
  for (size_t c = 0; c < kConnections; ++c) {
    for (size_t i = 0; i < kEach; ++i) {
      Want(calls[c][i]->messages.front() == fmt::format("{}.{}", c, i), "stream {}.{} got \"{}\"", c, i,
           calls[c][i]->messages.front());
      calls[c][i]->HalfClose();
    }
    Want(clients[c]->Until(
             [&] { return std::all_of(calls[c].begin(), calls[c].end(), [](Call* call) { return call->closed; }); }),
         "some of 10,000 streams did not end");
  }
  s.Close();
}

}  // namespace

std::vector<Case> StreamCases() {
  return {
      {"stream.bidi", "each message comes back, also empty ones; half-close ends with status and trailers", Bidi},
      {"stream.client", "3 MB in 100 messages of one stream reach the host", ClientStream},
      {"stream.server", "5,000 messages come whole and in order, and the last one before the end", ServerStream},
      {"stream.headers", "headers go out before the first message", HeadersFirst},
      {"stream.refused", "a stream that dispatch refuses ends with its status", Refused},
      {"stream.slow-reader", "a client that does not read makes out.message say AGAIN; reading again calls in.writable",
       SlowReader},
      {"stream.slow-server", "after in.message said AGAIN nothing more comes until out.readable", SlowServer},
      {"stream.window", "30 MB for a server that says AGAIN wait at the client, other connections go on",
       ServerHoldsTheWindow},
      {"stream.cancel", "RST_STREAM is in.cancel once, never half_close, then release", Cancel},
      {"stream.cancel-held", "a reset while the server is held releases what was queued", CancelWhileHeld},
      {"stream.connection-lost", "a lost connection cancels its streams", LostConnection},
      {"stream.ten-thousand", "10,000 streams on 20 connections are open at once and answer", TenThousand},
  };
}

}  // namespace tenon::plugin_check
