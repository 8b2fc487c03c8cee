#include <future>

#include "tests/transport/fixture.h"

namespace tenon::testing {
namespace {

using StreamTest = TransportTest;

TEST_F(StreamTest, BidiEchoesEachMessageAndEndsWithTrailers) {
  auto stream = client_->Open("/echo.Echo/Bidi");
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(stream->Write(std::to_string(i)));
    ASSERT_EQ(stream->Read(), std::to_string(i));
  }
  stream->HalfClose();
  EXPECT_EQ(stream->Read(), std::nullopt);
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(stream->Trailers().count("echo-trailer"), 1u);
  EXPECT_EQ(stream->Trailers().find("echo-trailer")->second, "the end");
}

TEST_F(StreamTest, ClientStreamIsCollected) {
  auto stream = client_->Open("/echo.Echo/Collect");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(stream->Write(std::string(30000, 'c')));
  stream->HalfClose();
  EXPECT_EQ(stream->Read(), "3000000 bytes");
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamTest, ServerStreamArrivesWholeAndInOrder) {
  auto stream = client_->Open("/echo.Echo/Produce");
  stream->Write("1000 10");
  stream->HalfClose();
  for (int i = 0; i < 1000; ++i) {
    auto message = stream->Read();
    ASSERT_TRUE(message.has_value()) << i;
    ASSERT_EQ(std::stoi(*message), i);
  }
  EXPECT_EQ(stream->Read(), std::nullopt);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamTest, HeadersGoBeforeTheFirstMessage) {
  auto stream = client_->Open("/echo.Echo/Reluctant");
  Metadata headers = stream->Headers();
  ASSERT_EQ(headers.count("echo-header"), 1u);
  EXPECT_EQ(headers.find("echo-header")->second, "reluctantly");
}

TEST_F(StreamTest, ARefusedStreamEndsWithTheStatus) {
  auto stream = client_->Open("/echo.Echo/Busy");
  EXPECT_EQ(stream->Read(), std::nullopt);
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

// 10,000 messages of 4 KiB are 40 MiB; the server may have the stream's buffer and one message of them in memory.
TEST_F(StreamTest, ASlowReaderHoldsTheServer) {
  auto stream = client_->Open("/echo.Echo/Produce");
  stream->Write("10000 4096");
  stream->HalfClose();
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.holds >= 1; }));
  for (int i = 0; i < 10000; ++i) {
    auto message = stream->Read();
    ASSERT_TRUE(message.has_value()) << i;
    ASSERT_EQ(std::stoi(*message), i);
    ASSERT_EQ(message->size(), 4096u);
  }
  EXPECT_EQ(stream->Read(), std::nullopt);
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_GT(kernel_.holds, 10);
  // What gRPC itself keeps for the socket comes on top: its write buffer and the transport's window.
  EXPECT_LT(kernel_.most_bytes_unreleased, 2 << 20);
}

TEST_F(StreamTest, AServerThatSaysAgainIsNotSentMore) {
  auto stream = client_->Open("/echo.Echo/Reluctant");
  stream->Headers();
  ASSERT_TRUE(stream->Write("first"));
  ASSERT_TRUE(stream->Write("second"));
  EXPECT_EQ(stream->Read(), "first");
  // The echo of another stream comes after all that was read from this connection.
  auto other = client_->Open("/echo.Echo/Bidi");
  other->Write("other");
  EXPECT_EQ(other->Read(), "other");
  EXPECT_EQ(kernel_.messages_in, 2) << "first and other, not second";
  kernel_.LetGo();
  EXPECT_EQ(stream->Read(), "second");
  stream->HalfClose();
  EXPECT_EQ(stream->Read(), std::nullopt);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamTest, FloodBothWaysIsHeldAndComesThrough) {
  auto stream = client_->Open("/echo.Echo/Bidi");
  constexpr int kMessages = 200;
  auto writer = std::async(std::launch::async, [&] {
    for (int i = 0; i < kMessages; ++i) {
      if (!stream->Write(std::string(100000, static_cast<char>('a' + i % 26)))) return false;
    }
    return stream->HalfClose();
  });
  for (int i = 0; i < kMessages; ++i) {
    auto message = stream->Read();
    ASSERT_TRUE(message.has_value());
    ASSERT_TRUE(*message == std::string(100000, static_cast<char>('a' + i % 26))) << i;
  }
  EXPECT_TRUE(writer.get());
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamTest, CancelReachesTheServerOnce) {
  auto stream = client_->Open("/echo.Echo/Bidi");
  stream->Write("x");
  EXPECT_EQ(stream->Read(), "x");
  stream->Cancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.streams_released == 1; }));
  EXPECT_EQ(kernel_.streams_cancelled, 1);
}

// A half-close made up for a dead client would commit half a stream.
TEST_F(StreamTest, ACancelIsNeverTakenForAHalfClose) {
  for (int i = 0; i < 300; ++i) {
    auto stream = client_->Open("/echo.Echo/Collect");
    stream->Write("x");
    ASSERT_TRUE(kernel_.Await([&] { return kernel_.messages_in == i + 1; }));
    stream->Cancel();
    stream->Finish();
  }
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.streams_released == 300; }));
  EXPECT_EQ(kernel_.streams_cancelled, 300);
  EXPECT_EQ(kernel_.streams_half_closed, 0);
}

TEST_F(StreamTest, ALostConnectionCancels) {
  auto lost = std::make_unique<RawClient>(transport_->Target());
  auto stream = lost->Open("/echo.Echo/Bidi");
  stream->Write("x");
  EXPECT_EQ(stream->Read(), "x");
  stream.reset();
  lost.reset();
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.streams_released == 1; }));
  EXPECT_EQ(kernel_.streams_half_closed, 0);
}

TEST_F(StreamTest, CancelWhileTheServerIsHeld) {
  auto stream = client_->Open("/echo.Echo/Produce");
  stream->Write("10000 4096");
  stream->HalfClose();
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.holds >= 1; }));
  stream->Cancel();
  stream->Finish();
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.streams_released == 1; }));
  EXPECT_TRUE(kernel_.Await([&] { return kernel_.replies_unreleased == 0; })) << "queued replies go with the stream";
}

TEST_F(StreamTest, AThousandStreamsAtOnce) {
  std::vector<std::unique_ptr<RawStream>> streams;
  for (int i = 0; i < 1000; ++i) {
    streams.push_back(client_->Open("/echo.Echo/Bidi"));
    ASSERT_TRUE(streams.back()->Write(std::to_string(i)));
  }
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(streams[static_cast<size_t>(i)]->Read(), std::to_string(i));
  ASSERT_TRUE(kernel_.Await([&] { return kernel_.streams_begun == 1000; }));
  for (auto& stream : streams) ASSERT_TRUE(stream->HalfClose());
  for (auto& stream : streams) ASSERT_TRUE(stream->Finish().ok());
}

TEST_F(StreamTest, MaxConcurrentStreamsMakesTheRestWait) {
  StopServing();
  Serve({{"max-concurrent-streams", "2"}});
  auto first = client_->Open("/echo.Echo/Bidi"), second = client_->Open("/echo.Echo/Bidi");
  first->Write("1"), second->Write("2");
  EXPECT_EQ(first->Read(), "1");
  EXPECT_EQ(second->Read(), "2");
  UnaryResult third = client_->Unary("/echo.Echo/Unary", "3", {.deadline = std::chrono::milliseconds(200)});
  EXPECT_EQ(third.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(kernel_.unary_calls, 0);
  first->HalfClose();
  EXPECT_TRUE(first->Finish().ok());
  EXPECT_EQ(client_->Unary("/echo.Echo/Unary", "4").reply, "4");
}

}  // namespace
}  // namespace tenon::testing
