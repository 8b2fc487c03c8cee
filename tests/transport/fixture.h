// A loaded transport that serves the echo kernel on a free port, and a client of it.
#pragma once
#include <gtest/gtest.h>

#include <memory>

#include "tests/transport/loaded_transport.h"
#include "tests/transport/raw_client.h"

namespace tenon::testing {

class TransportTest : public ::testing::Test {
 protected:
  void Serve(const Config& config = {}) {
    transport_ = std::make_unique<LoadedTransport>(kernel_, config);
    ASSERT_EQ(transport_->Listen("http://127.0.0.1:0"), "");
    ASSERT_EQ(transport_->Start(), "");
    client_ = std::make_unique<RawClient>(transport_->Target());
  }
  void StopServing() {
    client_.reset();
    transport_.reset();
  }
  void SetUp() override { Serve(); }
  void TearDown() override {
    StopServing();
    EXPECT_EQ(kernel_.requests_unreleased, 0);
    EXPECT_EQ(kernel_.replies_unreleased, 0);
    EXPECT_EQ(kernel_.streams_released, kernel_.streams_begun);
    EXPECT_EQ(kernel_.violations(), std::vector<std::string>());
  }

  EchoKernel kernel_;
  std::unique_ptr<LoadedTransport> transport_;
  std::unique_ptr<RawClient> client_;
};

}  // namespace tenon::testing
