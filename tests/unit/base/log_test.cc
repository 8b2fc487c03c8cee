#include "kernel/base/log.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

class LogTest : public testing::Test {
 protected:
  LogTest() {
    SetLogSink([this](LogLevel, std::string_view line) { lines_ += line; });
  }
  ~LogTest() override {
    SetLogSink(nullptr);
    SetLogLevel(LogLevel::kInfo);
  }
  std::string lines_;
};

TEST_F(LogTest, ALineIsJsonWithEtcdsKeys) {
  LOG_WARN("apply request took too long", {"took", "1.2s"}, {"index", Index(7)}, {"ok", true});
  EXPECT_EQ(lines_.find("{\"level\":\"warn\",\"ts\":\""), 0u) << lines_;
  EXPECT_NE(lines_.find("\"msg\":\"apply request took too long\",\"took\":\"1.2s\",\"index\":7,\"ok\":true}\n"),
            std::string::npos)
      << lines_;
}

TEST_F(LogTest, HostileTextStaysOneLineOfJson) {
  LOG_INFO("x", {"key", std::string("a\"b\\c\n\0\xff\xc3\xa9", 10)});
  EXPECT_NE(lines_.find("\"key\":\"a\\\"b\\\\c\\n\\u0000\\ufffd\xc3\xa9\"}"), std::string::npos) << lines_;
  EXPECT_EQ(std::count(lines_.begin(), lines_.end(), '\n'), 1);
}

TEST_F(LogTest, LinesBelowTheLevelAreNotWritten) {
  SetLogLevel(LogLevel::kError);
  LOG_WARN("quiet");
  EXPECT_EQ(lines_, "");
}

}  // namespace
}  // namespace tenon
