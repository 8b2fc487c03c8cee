#include "kernel/snapshot/frames.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/snapshot/bytes.h"

namespace tenon::snapshot {
namespace {

std::string Written(const std::vector<std::string>& payloads) {
  std::string bytes;
  FrameWriter writer(Into(bytes));
  for (const std::string& p : payloads) EXPECT_TRUE(writer.Write(p).ok());
  return bytes;
}

// All payloads, or the first error.
Result<std::vector<std::string>> ReadFrames(const std::string& bytes) {
  FrameReader reader(From(bytes));
  std::vector<std::string> payloads;
  for (;;) {
    ASSIGN_OR_RETURN(const std::string_view payload, reader.Next());
    if (payload.empty()) return payloads;
    payloads.emplace_back(payload);
  }
}

const std::vector<std::string> kThree = {"one", std::string(100'000, 'x'), "three"};

TEST(FramesTest, WhatIsWrittenIsRead) { EXPECT_EQ(*ReadFrames(Written(kThree)), kThree); }

TEST(FramesTest, EveryFlippedBitIsFound) {
  const std::string whole = Written({"one", "two"});
  for (size_t i = 0; i < whole.size() * 8; i++) {
    std::string bytes = whole;
    bytes[i / 8] = static_cast<char>(bytes[i / 8] ^ (1 << i % 8));
    EXPECT_EQ(ReadFrames(bytes).status().code(), StatusCode::kDataLoss) << "bit " << i;
  }
}

TEST(FramesTest, AMissingOrMovedFrameIsFound) {
  const std::string whole = Written({"aaaa", "bbbb", "cccc"});  // 12 bytes each
  EXPECT_TRUE(absl::IsDataLoss(ReadFrames(whole.substr(0, 12) + whole.substr(24)).status())) << "one is missing";
  EXPECT_TRUE(absl::IsDataLoss(ReadFrames(whole.substr(0, 12) + whole.substr(24) + whole.substr(12, 12)).status()))
      << "swapped";
  EXPECT_TRUE(absl::IsDataLoss(ReadFrames(whole + whole.substr(24)).status())) << "repeated";
}

TEST(FramesTest, TheErrorNamesTheOffset) {
  std::string bytes = Written({"aaaa", "bbbb"});
  bytes.back() = 'c';
  EXPECT_EQ(Message(ReadFrames(bytes).status()), "damaged at offset 12: the checksum does not match");
}

TEST(FramesTest, AnAbsurdLengthIsRefusedWithoutReadingOn) {
  std::string bytes = Written({"aaaa"});
  bytes[3] = '\x7f';
  EXPECT_EQ(Message(ReadFrames(bytes).status()),
            fmt::format("damaged at offset 0: a frame of {} bytes cannot be", 0x7f000004));
}

}  // namespace
}  // namespace tenon::snapshot
