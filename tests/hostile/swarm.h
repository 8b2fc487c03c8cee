// Many connections that all do the same wrong thing, on one thread.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <string>

namespace tenon::hostile {

// One connection of an attack, as the function that makes its bytes sees it.
struct Peer {
  uint32_t stream = 1;  // the next client stream; the function counts on by two
  uint64_t turn = 0;    // how often it was asked on this connection
  std::mt19937& random;
};

struct Plan {
  int connections = 1;
  std::string opening;                     // sent first on each connection
  std::function<std::string(Peer&)> next;  // more bytes; "" ends the sending of this connection
  bool read = true;                        // false: what the server sends stays in the sockets
  std::chrono::microseconds pace{0};       // between two turns of a connection; 0: as fast as it goes
  bool hang_up = false;                    // begin a new connection, with a TCP reset, when `next` has ended
};

struct Tally {
  uint64_t connections = 0, refused = 0, closed_by_server = 0, bytes_sent = 0, bytes_received = 0;
};

// A connection that the server ends is replaced by a new one.
Tally Swarm(uint16_t port, const Plan& plan, std::chrono::milliseconds time, uint32_t seed);

}  // namespace tenon::hostile
