// A connection of transport-h2 from its first byte to its end. The input is a list of steps: raw bytes, well-formed
// frames with any content, requests that reach the host, answers of the host, a client that reads or goes away. What is
// checked: nothing crashes, every call that the host was given ends and is released, and the loop comes to its end.
#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <unistd.h>

#include <list>
#include <string>
#include <vector>

#include "kernel/base/check.h"
#include "plugins/transport-common/slice.h"
#include "plugins/transport-h2/loop.h"

namespace {

using namespace tenon::transport_h2;
using tenon::transport::Slice;
using tenon::transport::View;

// Takes from the front of the input; zeros behind its end.
class Input {
 public:
  Input(const uint8_t* data, size_t n) : left_(reinterpret_cast<const char*>(data), n) {}
  bool empty() const { return left_.empty(); }
  uint8_t Byte() {
    if (left_.empty()) return 0;
    auto byte = static_cast<uint8_t>(left_[0]);
    left_.remove_prefix(1);
    return byte;
  }
  std::string Bytes(size_t n) {
    std::string out(left_.substr(0, n));
    left_.remove_prefix(out.size());
    return out;
  }

 private:
  std::string_view left_;
};

// A host that answers when the input says so.
struct Kernel {
  struct Stream {
    tenon_call_out out;
    bool finished = false, released = false, cancelled = false;
  };
  std::vector<tenon_done> unary;
  std::list<Stream> streams;
  int held = 0;  // replies not released

  tenon_bufs Reply(size_t n) {
    struct Owned {
      Kernel* kernel;
      std::string text;
      tenon_slice part;
    };
    auto* owned = new Owned{this, std::string(n, 'r'), {}};
    owned->part = Slice(owned->text);
    ++held;
    return {&owned->part, 1, owned, [](void* ctx) {
              auto* owned = static_cast<Owned*>(ctx);
              --owned->kernel->held;
              delete owned;
            }};
  }
  void AnswerUnary(size_t n) {
    if (unary.empty()) return;
    tenon_done done = unary.back();
    unary.pop_back();
    tenon_error error{.size = sizeof error, .code = TENON_NOT_FOUND, .msg = "no\xff 100%"};
    if (n % 3 == 0) return done.fn(done.ctx, TENON_NOT_FOUND, &error, {});
    done.fn(done.ctx, TENON_OK, nullptr, Reply(n * 100));
  }
  void Step(size_t which, uint8_t what) {
    if (streams.empty()) return;
    auto at = streams.begin();
    std::advance(at, which % streams.size());
    if (at->finished) return;
    tenon_kv field{Slice(what % 2 == 0 ? ":status" : "x-bin"), Slice("200")};
    switch (what % 5) {
      case 0: return at->out.fn->headers(at->out.self, &field, 1);
      case 1: at->out.fn->message(at->out.self, Reply(what * 50)); return;
      case 2: return at->out.fn->readable(at->out.self);
      case 3: at->out.fn->message(at->out.self, Reply(what * 2000)); return;
      default:
        at->finished = true;
        at->out.fn->finish(at->out.self, what > 128 ? TENON_INTERNAL : TENON_OK, nullptr, &field, what % 2);
    }
  }
  void EndAll() {
    while (!unary.empty()) AnswerUnary(1);
    for (Stream& stream : streams) {
      if (std::exchange(stream.finished, true)) continue;
      stream.out.fn->finish(stream.out.self, TENON_OK, nullptr, nullptr, 0);
    }
  }
};

Kernel& Of(const tenon_host* host) { return *static_cast<Kernel*>(host->priv); }

const tenon_call_in_v1 kIn = {
    .size = sizeof(tenon_call_in_v1),
    .message = [](void*, tenon_bufs message) -> tenon_status {
      size_t n = tenon::transport::Length(message);
      TENON_RELEASE(message);
      return n % 7 == 0 ? TENON_AGAIN : n % 7 == 1 ? TENON_CANCELLED : TENON_OK;
    },
    .writable = [](void*) {},
    .half_close = [](void* self) { CHECK(!static_cast<Kernel::Stream*>(self)->released); },
    .cancel = [](void* self) { CHECK(!std::exchange(static_cast<Kernel::Stream*>(self)->cancelled, true)); },
    .release =
        [](void* self) {
          auto* stream = static_cast<Kernel::Stream*>(self);
          CHECK(stream->finished && !stream->released);
          stream->released = true;
        },
};

tenon_status Begin(const tenon_host* host, tenon_call_out out, tenon_call_in* in) {
  Kernel& kernel = Of(host);
  kernel.streams.push_back({out});
  *in = {&kIn, &kernel.streams.back()};
  return TENON_OK;
}

const tenon_host_dispatch_v1 kDispatch = {
    .size = sizeof(tenon_host_dispatch_v1),
    .method = [](const tenon_host*, tenon_slice name, uint32_t* flags) -> uint32_t {
      *flags = View(name) == "/s" ? TENON_METHOD_CLIENT_STREAM | TENON_METHOD_SERVER_STREAM : 0;
      return View(name) == "/u" ? 1 : View(name) == "/s" ? 2 : 0;
    },
    .unary = [](const tenon_host* host, const tenon_call_info* info, tenon_bufs request, tenon_done done) -> uint64_t {
      bool now = tenon::transport::Length(request) % 2 == 0;
      for (size_t i = 0; i < info->n_meta; ++i) CHECK(View(info->meta[i].key).find('\0') == std::string_view::npos);
      if (now) {
        done.fn(done.ctx, TENON_OK, nullptr, request);
        return 0;
      }
      TENON_RELEASE(request);
      Of(host).unary.push_back(done);
      return 1;
    },
    .unary_cancel = [](const tenon_host*, uint64_t) {},
    .stream = [](const tenon_host* host, const tenon_call_info*, tenon_call_out out,
                 tenon_call_in* in) { return Begin(host, out, in); },
    .http =
        [](const tenon_host* host, const tenon_http_info*, tenon_bufs body, tenon_call_out out, tenon_call_in* in) {
          TENON_RELEASE(body);
          return Begin(host, out, in);
        },
    .descriptors = nullptr,
};

std::string Frame(uint8_t type, uint8_t flags, uint8_t stream, const std::string& payload) {
  auto n = static_cast<uint32_t>(payload.size());
  return std::string{static_cast<char>(n >> 16),
                     static_cast<char>(n >> 8),
                     static_cast<char>(n),
                     static_cast<char>(type),
                     static_cast<char>(flags),
                     0,
                     0,
                     0,
                     static_cast<char>(stream)} +
         payload;
}

std::string Field(const std::string& name, const std::string& value) {
  std::string out(1, '\0');
  for (const std::string* s : {&name, &value}) {
    out += static_cast<char>(s->size());
    out += *s;
  }
  return out;
}

class Client {
 public:
  Client(Loop& loop, uint32_t roles) {
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_) == 0);
    loop.Adopt(ends_[1], roles);
  }
  ~Client() { Close(); }
  void Send(const std::string& bytes) {
    if (ends_[0] >= 0) (void)!send(ends_[0], bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void Read() {
    char bytes[65536];
    while (ends_[0] >= 0 && recv(ends_[0], bytes, sizeof bytes, 0) > 0) {
    }
  }
  void CloseHalf() { shutdown(ends_[0], SHUT_WR); }
  void Close() {
    if (ends_[0] >= 0) close(ends_[0]);
    ends_[0] = -1;
  }

 private:
  int ends_[2];
};

void Act(Input& input, Client& client, Kernel& kernel) {
  switch (input.Byte() % 12) {
    case 0: return client.Send(input.Bytes(input.Byte()));
    case 1: {
      uint8_t type = input.Byte() % 11, flags = input.Byte(), stream = input.Byte() % 16;
      return client.Send(Frame(type, flags, stream, input.Bytes(input.Byte())));
    }
    case 2: return client.Send(std::string(NGHTTP2_CLIENT_MAGIC) + Frame(NGHTTP2_SETTINGS, 0, 0, ""));
    case 3: {
      uint8_t kind = input.Byte();
      std::string block = Field(":method", kind % 8 == 7 ? "GET" : "POST") + Field(":scheme", "http") +
                          Field(":authority", "a") + Field(":path", kind % 2 == 0 ? "/u" : "/s");
      if (kind % 16 != 15) block += Field("content-type", "application/grpc");
      if (kind > 192) block += Field("grpc-encoding", "gzip");
      if (kind % 32 == 9) block += Field("grpc-timeout", "1n");
      block += input.Bytes(input.Byte() % 32);
      return client.Send(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | (input.Byte() % 8 == 0 ? 1 : 0),
                               input.Byte() % 16 * 2 + 1, block));
    }
    case 4: {
      uint8_t flag = input.Byte() % 9 == 8, stream = input.Byte() % 16 * 2 + 1;
      std::string message = input.Bytes(input.Byte());
      std::string prefix{static_cast<char>(flag), 0, 0, 0, static_cast<char>(message.size())};
      return client.Send(Frame(NGHTTP2_DATA, input.Byte() % 2, stream, prefix + message));
    }
    case 5: return client.Send("GET /" + input.Bytes(input.Byte() % 16) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    case 6: return client.Send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n");
    case 7: return kernel.AnswerUnary(input.Byte());
    case 8:
    case 9: return kernel.Step(input.Byte(), input.Byte());
    case 10: return client.Read();
    default: input.Byte() % 4 == 0 ? client.Close() : client.CloseHalf();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  Kernel kernel;
  tenon_host host{.size = sizeof host, .priv = &kernel};
  Shared shared{.host = &host, .dispatch = &kDispatch, .options = {}, .services{&host, &kDispatch}};
  shared.options.stream_buffer_bytes = 4096;
  {
    Loop loop(shared, 0, [] {});
    loop.Turn(0);
    Client client(loop, input.Byte() % 7 + 1u);
    while (!input.empty()) {
      Act(input, client, kernel);
      loop.Turn(0);
    }
    loop.Drain(Loop::NowNs());
    for (int i = 0; !loop.over(); ++i) {
      CHECK_LT(i, 1000);
      kernel.EndAll();
      client.Read();
      loop.Turn(1);
    }
  }
  CHECK_EQ(kernel.held, 0);
  for (const Kernel::Stream& stream : kernel.streams) CHECK(stream.finished && stream.released);
  return 0;
}
