// The thread that accepts connections on all listeners and hands them on.
#pragma once
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace tenon::transport_grpc {

// We accept ourselves, because gRPC binds only when the whole server starts and reports a taken port as a log line.
class Acceptor {
 public:
  // `take` owns each new socket: connected, non-blocking, without delay. Called on the acceptor's thread.
  explicit Acceptor(std::function<void(int fd)> take);
  ~Acceptor();  // Stop

  void Add(int listening_fd);  // stays the caller's, and open until Stop returned
  void Start();
  void Stop();  // no `take` after return; may be called again

 private:
  void Run();
  bool AcceptSome(int listening_fd);  // false: out of descriptors or memory, wait a little

  std::function<void(int)> take_;
  int wake_ = -1;  // eventfd
  std::mutex mutex_;
  std::vector<int> listening_;  // under mutex_
  bool stopping_ = false;       // under mutex_
  std::thread thread_;
};

}  // namespace tenon::transport_grpc
