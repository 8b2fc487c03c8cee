// A server that speaks no HTTP/1.1 hangs up, which is right too.
#include "tests/hostile/attacks.h"

namespace tenon::hostile {
namespace {

using std::chrono::milliseconds;

const std::string kGet = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

Plan SlowHeaders() {
  return {.connections = 500,
          .opening = "GET /health HTTP/1.1\r\nHost: x\r\n",
          .next = [](Peer& peer) { return std::string(1, "x-a: b\r\n"[peer.turn % 8]); },
          .pace = milliseconds(50)};
}
Plan SlowBody() {
  return {.connections = 500,
          .opening = "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
          .next = [](Peer&) { return std::string("x"); },
          .pace = milliseconds(50)};
}
Plan Pipelining() {
  std::string many;
  for (int i = 0; i < 200; ++i) many += kGet;
  return {.connections = 4, .next = [many](Peer&) { return many; }};
}
Plan PipeliningUnread() {
  Plan plan = Pipelining();
  plan.read = false;
  return plan;
}
Plan GiantHeaders() {
  return {.connections = 4, .opening = "GET / HTTP/1.1\r\nHost: x\r\nx-large: ", .next = [](Peer&) {
            return std::string(65536, 'y');
          }};
}
Plan ManyHeaders() {
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "a: b\r\n";
  return {.connections = 4, .opening = "GET / HTTP/1.1\r\nHost: x\r\n", .next = [many](Peer&) { return many; }};
}
Plan GiantTarget() {
  return {.connections = 4, .opening = "GET /", .next = [](Peer&) { return std::string(65536, 'a'); }};
}
Plan GiantBody() {
  return {.connections = 4,
          .opening = "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
          .next = [](Peer&) { return std::string(65536, 'b'); }};
}
Plan Chunks() {
  return {.connections = 20,
          .next =
              [](Peer& peer) {
                static const char* const kTricks[] = {"ffffffffffffffff\r\nx\r\n0\r\n\r\n",
                                                      "-1\r\nx\r\n0\r\n\r\n",
                                                      "5\r\nx\r\n0\r\n\r\n",
                                                      "0x5\r\nhello\r\n0\r\n\r\n",
                                                      "1;a=b;c=\"d\r\nx\r\n0\r\n\r\n",
                                                      "1\nx\n0\n\n",
                                                      "\r\n\r\n",
                                                      "00000000000000000000000001\r\nx\r\n0\r\n\r\n",
                                                      "1\r\nx0\r\n\r\n",
                                                      "0\r\nTrailer: y\r\n\r\n"};
                if (peer.turn > 0) return std::string();
                return "POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
                       std::string(kTricks[peer.random() % std::size(kTricks)]);
              },
          .hang_up = true};
}
Plan ChunkExtensions() {
  return {.connections = 4,
          .opening = "POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1",
          .next = [](Peer&) { return ";" + std::string(65536, 'e'); }};
}
Plan TinyChunks() {
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "1\r\nx\r\n";
  return {.connections = 4,
          .opening = "POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
          .next = [many](Peer&) { return many; }};
}
Plan Smuggling() {
  return {.connections = 20,
          .next =
              [](Peer& peer) {
                return peer.turn > 0
                           ? std::string()
                           : "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"
                             "Content-Length: 5\r\n\r\n0\r\n\r\n" +
                                 kGet;
              },
          .hang_up = true};
}
Plan Garbage() {
  return {.connections = 20,
          .next =
              [](Peer& peer) {
                if (peer.turn > 0) return std::string();
                std::string out = "GET ";
                for (uint32_t n = peer.random() % 2000; n > 0; --n) out += static_cast<char>(peer.random());
                return out + "\r\n\r\n";
              },
          .hang_up = true};
}

}  // namespace

std::vector<Attack> Http1Attacks() {
  return {
      {"http1-slow-headers", "500 requests a byte in 50 ms", SlowHeaders},
      {"http1-slow-body", "500 bodies a byte in 50 ms", SlowBody},
      {"http1-pipelining", "requests without waiting for answers", Pipelining},
      {"http1-pipelining-unread", "the same, and nobody reads", PipeliningUnread},
      {"http1-giant-headers", "a field without end", GiantHeaders},
      {"http1-many-headers", "fields without end", ManyHeaders},
      {"http1-giant-target", "a target without end", GiantTarget},
      {"http1-giant-body", "a body of 100 GB", GiantBody},
      {"http1-chunks", "chunk sizes that lie", Chunks},
      {"http1-chunk-extensions", "a chunk extension without end", ChunkExtensions},
      {"http1-tiny-chunks", "a body without end in chunks of a byte", TinyChunks},
      {"http1-smuggling", "two lengths at once", Smuggling},
      {"http1-garbage", "random bytes behind GET", Garbage},
  };
}

}  // namespace tenon::hostile
