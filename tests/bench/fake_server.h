// A gRPC server of one connection that answers each path with a fixed script. For tests of the client.
#pragma once
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <thread>

#include "kernel/base/check.h"

namespace tenon::bench {

struct Script {
  std::string body;        // DATA, gRPC-framed by the test
  size_t chunk = 1 << 14;  // bytes in a DATA frame
  std::string http_status = "200";
  std::string grpc_status = "0";  // empty: none is sent
  std::string grpc_message;
  bool reset = false;    // RST_STREAM instead of all this
  bool hang_up = false;  // closes the connection instead of all this
};

class FakeServer {
 public:
  explicit FakeServer(std::map<std::string, Script> scripts) : scripts_(std::move(scripts)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    CHECK_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    CHECK_EQ(listen(listener_, 8), 0);
    CHECK_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { Serve(); });
  }

  // The client must have closed its connection.
  ~FakeServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }

  const std::string& address() const { return address_; }

  // What the last request sent, for the test to read after its answer.
  std::map<std::string, std::string> headers;
  std::string body;

 private:
  struct Stream {
    const Script* script = nullptr;
    size_t sent = 0;
  };

  static FakeServer& Self(void* user) { return *static_cast<FakeServer*>(user); }

  static int Header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size, const uint8_t* value,
                    size_t value_size, uint8_t, void* user) {
    Self(user).headers[{reinterpret_cast<const char*>(name), name_size}] = {reinterpret_cast<const char*>(value),
                                                                            value_size};
    return 0;
  }

  static int Data(nghttp2_session*, uint8_t, int32_t, const uint8_t* data, size_t size, void* user) {
    Self(user).body.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }

  static int Headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_HEADERS) Self(user).headers.clear(), Self(user).body.clear();
    return 0;
  }

  static int Frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    const bool request = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (request && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) Self(user).Answer(session, frame->hd.stream_id);
    return 0;
  }

  static nghttp2_nv Nv(const char* name, const std::string& value) {
    return {reinterpret_cast<uint8_t*>(const_cast<char*>(name)),
            reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), std::strlen(name), value.size(), 0};
  }

  static ssize_t Body(nghttp2_session* session, int32_t id, uint8_t* to, size_t space, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    auto* stream = static_cast<Stream*>(source->ptr);
    const Script& script = *stream->script;
    const size_t size = std::min({space, script.chunk, script.body.size() - stream->sent});
    std::memcpy(to, script.body.data() + stream->sent, size);
    stream->sent += size;
    if (stream->sent < script.body.size()) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!script.grpc_status.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const nghttp2_nv trailers[] = {Nv("grpc-status", script.grpc_status), Nv("grpc-message", script.grpc_message)};
      nghttp2_submit_trailer(session, id, trailers, 2);
    }
    return static_cast<ssize_t>(size);
  }

  void Answer(nghttp2_session* session, int32_t id) {
    const Script& script = scripts_.at(headers.at(":path"));
    if (script.hang_up) {
      hang_up_ = true;
    } else if (script.reset) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_ENHANCE_YOUR_CALM);
    } else {
      streams_[id] = {&script};
      const nghttp2_nv status = Nv(":status", script.http_status);
      nghttp2_data_provider data{.source = {.ptr = &streams_[id]}, .read_callback = Body};
      nghttp2_submit_response(session, id, &status, 1, &data);
    }
  }

  void Serve() {
    const int fd = accept(listener_, nullptr, nullptr);
    if (fd < 0) return;  // the test ended without a call
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    nghttp2_session_callbacks* callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, Header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Frame);
    nghttp2_session* session;
    nghttp2_session_server_new(&session, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
    uint8_t buffer[4096];
    for (ssize_t size; !hang_up_ && (size = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
      if (nghttp2_session_mem_recv(session, buffer, static_cast<size_t>(size)) < 0) break;
      std::string out;
      const uint8_t* bytes;
      while ((size = nghttp2_session_mem_send(session, &bytes)) > 0) {
        out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
      }
      for (size_t sent = 0; sent < out.size() && !hang_up_; sent += static_cast<size_t>(size)) {
        size = send(fd, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
        if (size <= 0) break;
      }
    }
    nghttp2_session_del(session);
    close(fd);
  }

  std::map<std::string, Script> scripts_;
  std::map<int32_t, Stream> streams_;
  std::string address_;
  int listener_ = -1;
  bool hang_up_ = false;
  std::thread thread_;
};

}  // namespace tenon::bench
