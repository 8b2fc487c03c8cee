// A gRPC client on nghttp2 for checks of a server and for tools: it says exactly what came. All of it on the caller's
// thread; bytes move only inside Until.
//
//   Client client(target);                                  // "[::1]:2379", "host:2379", or "unix:/path"
//   Call& call = client.Unary("/echo.Echo/Unary", "hello");
//   client.Until([&] { return call.closed; });              // then call.status, call.messages, call.trailers
#pragma once
#include <nghttp2/nghttp2.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::plugin_check {

using Headers = std::vector<std::pair<std::string, std::string>>;
std::string Find(const Headers& headers, std::string_view name);  // "": absent

class Client;

class Call {
 public:
  void Send(std::string_view message);  // in gRPC's frame of five bytes
  void SendBytes(std::string_view bytes);
  void HalfClose();
  void Reset(uint32_t code = NGHTTP2_CANCEL);
  // The stream's window stays shut behind what comes from now on; connection-wide nothing is held.
  void Hold() { held_ = true; }
  void LetGo();

  bool opened = false;               // response headers came
  Headers headers, trailers;         // of a trailers-only answer: headers
  std::deque<std::string> messages;  // whole ones, in order; the reader pops
  bool closed = false;
  uint32_t reset_code = 0;  // of the server's RST_STREAM
  int status = -1;          // grpc-status; -1: none came
  std::string text;         // grpc-message, percent-decoded
  uint64_t data_bytes = 0;  // of all DATA so far

 private:
  friend class Client;
  friend struct ClientCallbacks;
  void Receive(std::string_view data);

  Client* client_ = nullptr;
  int32_t stream_ = 0;
  std::string out_;
  size_t out_sent_ = 0;
  bool half_close_ = false, deferred_ = false, held_ = false;
  size_t unconsumed_ = 0;
  std::string part_;
};

struct ClientOptions {
  size_t data_frame_bytes = SIZE_MAX;  // of the DATA frames sent
  uint32_t window = 65535;             // initial window of each stream
  std::chrono::milliseconds connect_limit = std::chrono::seconds(10);
};

class Client {
 public:
  explicit Client(const std::string& target, ClientOptions options = {});
  ~Client();  // closes without a word
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // The call stays valid as long as the client, unless forgotten.
  Call& Start(std::string_view path, const Headers& more = {});
  Call& Unary(std::string_view path, std::string_view request, const Headers& more = {});
  // Unary, and waits for its end.
  Call& Ask(std::string_view path, std::string_view request, const Headers& more = {});
  void Forget(Call& call);

  // Moves bytes until `holds`; false: the connection is lost, or the time is over.
  bool Until(const std::function<bool()>& holds, std::chrono::milliseconds limit = std::chrono::seconds(10));
  // Waits for an answer to a PING: what was sent before has been read by the server.
  bool RoundTrip();

  bool connected() const { return fd_ >= 0; }
  bool goaway() const { return goaway_; }
  bool settings_came() const { return settings_came_; }
  uint32_t max_streams() const {
    return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  }

 private:
  friend class Call;
  friend struct ClientCallbacks;
  bool Write();
  bool Read();
  void Lose();

  int fd_ = -1;
  nghttp2_session* session_ = nullptr;
  ClientOptions options_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::string out_;
  bool goaway_ = false, settings_came_ = false;
  int pongs_ = 0;
};

}  // namespace tenon::plugin_check
