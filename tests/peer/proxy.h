// A wire between two members that a test can hold, cut one way or both, and break.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tenon::testing {

class Proxy {
 public:
  explicit Proxy(int to_port);
  ~Proxy();

  std::string url() const;

  // Of each connection, only so many bytes go to the server; the rest waits in the sender's socket.
  void HoldAfter(uint64_t bytes) { most_ = bytes; }
  void Release() { HoldAfter(UINT64_MAX); }
  // Bytes of that direction vanish.
  void CutForth(bool cut) { cut_forth_ = cut; }
  void CutBack(bool cut) { cut_back_ = cut; }
  void BreakAll() { ++breaks_; }
  void Refuse(bool refuse) { refuse_ = refuse; }  // new connections are closed at once
  int accepted() const { return accepted_; }

 private:
  struct Pair {
    int client, server;
    uint64_t forth = 0;
    std::string to_server, to_client;
  };
  void Run();
  void Accept();
  bool Pump(Pair& pair, short client_events, short server_events);  // false: it is over

  const int to_port_;
  int listening_ = -1, port_ = 0;
  std::atomic<uint64_t> most_{UINT64_MAX};
  std::atomic<bool> cut_forth_{false}, cut_back_{false}, refuse_{false}, stop_{false};
  std::atomic<int> breaks_{0}, accepted_{0};
  std::vector<Pair> pairs_;
  std::thread thread_;
};

}  // namespace tenon::testing
