// Clients that mean harm: the server cuts them off or bears them, keeps little memory, and serves others meanwhile.
#include <sys/resource.h>

#include <fstream>
#include <random>
#include <thread>

#include "tests/transport/wire_fixture.h"

namespace tenon::testing {
namespace {

class HostileTest : public WireTest {
 protected:
  // Sends until the server has had enough. False: it never had, or not within `most` tries.
  bool CutsOff(H2Wire& wire, int most, const std::function<bool(int)>& send) {
    for (int i = 0; i < most; ++i) {
      if (!send(i)) return true;
    }
    while (wire.Next()) {
      if (wire.goaway) return true;
    }
    return true;  // closed
  }
  static size_t AnonymousBytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("RssAnon:", 0) == 0) return std::stoul(line.substr(8)) * 1024;
    }
    return 0;
  }
};

TEST_F(HostileTest, GarbageInsteadOfFrames) {
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    std::string noise(200, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    Wire plain(port_);
    plain.Send(noise);
    H2Wire wire(port_);
    wire.wire().Send(noise);
    wire.wire().CloseHalf();
    wire.wire().ReadToEnd();
  }
  ExpectAlive();
}

TEST_F(HostileTest, AWrongPreface) {
  for (std::string preface : {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "PRI * HTTP/1.1\r\n\r\n", "PRIX"}) {
    Wire wire(port_);
    wire.Send(preface);
    wire.CloseHalf();
    std::string answer = wire.ReadToEnd();
    EXPECT_TRUE(answer.empty() || answer.rfind("HTTP/1.1 400", 0) == 0) << answer;
  }
  ExpectAlive();
}

TEST_F(HostileTest, NoSettingsFirst) {
  H2Wire wire(port_, "", false);
  wire.wire().Send(std::string(NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN) +
                   Encode(NGHTTP2_PING, 0, 0, "12345678"));
  while (wire.Next()) {
  }
  EXPECT_EQ(wire.goaway, NGHTTP2_PROTOCOL_ERROR);
}

TEST_F(HostileTest, FramesThatBreakTheRules) {
  struct {
    uint8_t type, flags;
    int32_t stream;
    std::string payload;
    uint32_t code;
  } const cases[] = {
      {NGHTTP2_DATA, 0, 0, "x", NGHTTP2_PROTOCOL_ERROR},
      {NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 2, HeaderBlock(GrpcHeaders("/x")), NGHTTP2_PROTOCOL_ERROR},
      {NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\xff\xff\xff\xff\xff\xff", NGHTTP2_COMPRESSION_ERROR},
      {NGHTTP2_SETTINGS, 0, 0, "abc", NGHTTP2_FRAME_SIZE_ERROR},
      {NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "abcdef", NGHTTP2_FRAME_SIZE_ERROR},
      {NGHTTP2_PING, 0, 0, "123", NGHTTP2_FRAME_SIZE_ERROR},
      {NGHTTP2_WINDOW_UPDATE, 0, 0, std::string(4, '\0'), NGHTTP2_PROTOCOL_ERROR},
      {NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, std::string(4, '\2'), NGHTTP2_PROTOCOL_ERROR},
      {NGHTTP2_CONTINUATION, 0, 1, "x", NGHTTP2_PROTOCOL_ERROR},
  };
  for (const auto& c : cases) {
    H2Wire wire(port_);
    wire.Send(c.type, c.flags, c.stream, c.payload);
    while (wire.Next()) {
    }
    EXPECT_EQ(wire.goaway, c.code) << "type " << int{c.type};
  }
  ExpectAlive();
}

TEST_F(HostileTest, AWindowThatOverflows) {
  H2Wire wire(port_);
  for (int i = 0; i < 2; ++i) wire.Send(NGHTTP2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff");
  while (wire.Next()) {
  }
  EXPECT_EQ(wire.goaway, NGHTTP2_FLOW_CONTROL_ERROR);
}

TEST_F(HostileTest, RapidResetIsCutOff) {
  H2Wire wire(port_);
  EXPECT_TRUE(CutsOff(wire, 20'000, [&](int) {
    int32_t stream = wire.Open(GrpcHeaders("/echo.Echo/Hang"), false);
    wire.Data(stream, GrpcMessage("x"), true);
    return wire.Send(NGHTTP2_RST_STREAM, 0, stream, std::string("\0\0\0\x8", 4));
  }));
  EXPECT_LT(kernel_.unary_calls, 3000);
  ExpectAlive();
}

// The client makes the server reset: each stream gets a window of zero after it has one.
TEST_F(HostileTest, MadeYouResetIsCutOff) {
  H2Wire wire(port_);
  EXPECT_TRUE(CutsOff(wire, 20'000, [&](int) {
    int32_t stream = wire.Open(GrpcHeaders("/echo.Echo/Hang"), false);
    wire.Data(stream, GrpcMessage("x"), false);
    return wire.Send(NGHTTP2_WINDOW_UPDATE, 0, stream, std::string(4, '\0'));
  }));
  EXPECT_LT(kernel_.unary_calls, 3000);
  ExpectAlive();
}

// As long as the kernel works for calls whose clients left, the connection brings no more of them.
TEST_F(HostileTest, AbandonedWorkHoldsTheConnection) {
  constexpr int kCalls = 5000;
  H2Wire wire(port_);
  const std::string head = HeaderBlock(GrpcHeaders("/echo.Echo/Stubborn", {{"grpc-timeout", "1n"}}));
  std::jthread sender([&] {
    for (int i = 0; i < kCalls; ++i) {
      // In one piece: between the two the call would expire, and the host never hear of it.
      wire.wire().Send(Encode(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 2 * i + 1, head) +
                       Encode(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 2 * i + 1, GrpcMessage("x")));
    }
  });
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.unary_calls >= 256; }));
  ExpectAlive();
  EXPECT_LT(kernel_.unary_calls, 2000);
  kernel_.LetGo();
  sender.join();
  // Some expired before their message came; the connection is heard to its end all the same.
  EXPECT_TRUE(wire.Await(2 * kCalls - 1).ended);
}

TEST_F(HostileTest, FloodsOfFramesThatDoNothingAreCutOff) {
  const std::pair<uint8_t, std::string> floods[] = {
      {NGHTTP2_PING, "12345678"}, {NGHTTP2_SETTINGS, ""}, {NGHTTP2_PRIORITY, std::string("\0\0\0\0\1", 5)}};
  for (const auto& [type, payload] : floods) {
    H2Wire wire(port_);
    EXPECT_TRUE(CutsOff(wire, 200'000, [&, type = type, payload = payload](int) {
      return wire.Send(type, 0, type == NGHTTP2_PRIORITY ? 7 : 0, payload);
    })) << int{type};
    ExpectAlive();
  }
}

TEST_F(HostileTest, AFloodOfEmptyDataIsCutOff) {
  H2Wire wire(port_);
  int32_t stream = wire.Open(GrpcHeaders("/echo.Echo/Bidi"), false);
  EXPECT_TRUE(CutsOff(wire, 200'000, [&](int) { return wire.Data(stream, "", false); }));
  ExpectAlive();
}

TEST_F(HostileTest, AFloodOfContinuationsIsCutOff) {
  H2Wire wire(port_);
  wire.Send(NGHTTP2_HEADERS, 0, 1, HeaderBlock(GrpcHeaders("/x")));
  EXPECT_TRUE(CutsOff(wire, 100'000, [&](int i) {
    return wire.Send(NGHTTP2_CONTINUATION, 0, 1, HeaderBlock({{"x", std::to_string(i)}}));
  }));
  ExpectAlive();
}

TEST_F(HostileTest, HeadersHaveALimit) {
  H2Wire wire(port_);
  Headers headers = GrpcHeaders("/echo.Echo/Unary");
  std::string block = HeaderBlock(headers);
  for (int i = 0; i < 5; ++i) block += HeaderBlock({{"x" + std::to_string(i), std::string(15'000, 'h')}});
  wire.Send(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, block.substr(0, 16384));
  for (size_t at = 16384; at < block.size(); at += 16384) {
    wire.Send(NGHTTP2_CONTINUATION, at + 16384 >= block.size() ? NGHTTP2_FLAG_END_HEADERS : 0, 1,
              block.substr(at, 16384));
  }
  H2Response response = wire.Await(1);
  EXPECT_EQ(response.headers[":status"], "431");
  EXPECT_EQ(response.Field("grpc-status"), "8");
  EXPECT_EQ(kernel_.unary_calls, 0);
}

// One byte of HPACK stands for four kilobytes: 16 KiB would be 64 MiB.
TEST_F(HostileTest, AnHpackBombCostsNoMemory) {
  H2Wire wire(port_);
  size_t before = AnonymousBytes();
  std::string name(1, 'b'), value(3900, 'v');
  std::string block = HeaderBlock(GrpcHeaders("/echo.Echo/Unary"));
  std::string entry = HeaderBlock({{name, value}});
  entry[0] = '\x40';  // with indexing: it becomes 62
  block += entry;
  block.append(12'000, '\xbe');
  wire.Send(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block);
  EXPECT_FALSE(wire.Await(1).ended);
  EXPECT_EQ(wire.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_LT(AnonymousBytes(), before + (8 << 20));
}

TEST_F(HostileTest, AGzipBombCostsNoMemory) {
  size_t before = AnonymousBytes();
  // 20 MiB of zeros, packed by hand: one literal and copies of 258 bytes in a fixed Huffman block.
  std::string packed("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  uint32_t bits = 0;
  int held = 0;
  auto put = [&](uint32_t value, int n) {
    for (int i = 0; i < n; ++i) {
      bits |= (value >> i & 1) << held;
      if (++held == 8) packed += static_cast<char>(std::exchange(bits, 0)), held = 0;
    }
  };
  put(1, 1), put(1, 2);  // the last block, fixed codes
  put(0x0c, 8);          // literal 0: code 00110000, highest bit first
  for (int i = 0; i < (20 << 20) / 258; ++i) {
    put(0xa3, 8);  // length 258: code 11000101, highest bit first
    put(0, 5);     // distance 1
  }
  put(0, 7);
  put(0, 7);
  H2Response response =
      H2Wire(port_).Call(GrpcHeaders("/echo.Echo/Unary", {{"grpc-encoding", "gzip"}}), GrpcMessage(packed, 1));
  EXPECT_EQ(response.Field("grpc-status"), "8");
  EXPECT_EQ(response.Field("grpc-message"), "grpc: received message after decompression larger than max 2097152");
  EXPECT_LT(AnonymousBytes(), before + (16 << 20));
}

TEST_F(HostileTest, UnfinishedRequestsHaveABudget) {
  H2Wire wire(port_);
  size_t before = AnonymousBytes();
  std::string begun = GrpcMessage(std::string(2 << 20, 'p')).substr(0, 200'000);
  for (int i = 0; i < 60 && wire.wire().Send(""); ++i) {
    wire.Data(wire.Open(GrpcHeaders("/echo.Echo/Unary"), false), begun, false);
  }
  H2Response last = wire.Await(119);
  EXPECT_EQ(last.Field("grpc-status"), "8");
  EXPECT_LT(AnonymousBytes(), before + (80 << 20));
  ExpectAlive();
}

// What is open when the client stops reading costs its buffer, not what the server could say.
TEST_F(HostileTest, AClientThatDoesNotReadHoldsItsStreams) {
  H2Wire wire(port_, std::string("\0\4\x7f\xff\xff\xff", 6));  // all the window there is
  wire.Send(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\x7f\xfe\0\0", 4));
  for (int i = 0; i < 4; ++i) {
    wire.Data(wire.Open(GrpcHeaders("/echo.Echo/Produce"), false), GrpcMessage("100000 65536"), true);
  }
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.holds >= 4; }));
  ExpectAlive();
  EXPECT_LT(kernel_.bytes_unreleased, 8 << 20);
  wire.wire().Reset();
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.streams_released == 4; }));
}

TEST_F(HostileTest, DescriptorsMayRunOut) {
  rlimit old{};
  getrlimit(RLIMIT_NOFILE, &old);
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 10; ++i) wires.push_back(std::make_unique<Wire>(port_));
  rlimit few = old;
  few.rlim_cur = static_cast<rlim_t>(wires.back()->fd() + 8);
  setrlimit(RLIMIT_NOFILE, &few);
  // The kernel completes connections that the server cannot accept; it must not spin, and serve them afterwards.
  for (int i = 0; i < 5; ++i) {
    int fd = dup(wires[0]->fd());
    if (fd >= 0) close(fd);
  }
  wires.clear();
  setrlimit(RLIMIT_NOFILE, &old);
  ExpectAlive();
}

}  // namespace
}  // namespace tenon::testing
