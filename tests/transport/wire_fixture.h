// transport-h2 with the echo kernel behind it, for clients that speak HTTP by hand.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/transport/loaded_transport.h"
#include "tests/transport/wire_client.h"

namespace tenon::testing {

class WireTest : public ::testing::Test {
 protected:
  void Serve(const Config& config = {}, uint32_t roles = TENON_LISTEN_GRPC | TENON_LISTEN_HTTP) {
    transport_ = std::make_unique<LoadedTransport>(kernel_, config);
    ASSERT_EQ(transport_->Listen("http://127.0.0.1:0", -1, roles), "");
    ASSERT_EQ(transport_->Start(), "");
    port_ = std::stoi(transport_->Url().substr(transport_->Url().rfind(':') + 1));
  }
  void SetUp() override { Serve(); }
  void TearDown() override {
    transport_.reset();
    EXPECT_EQ(kernel_.requests_unreleased, 0);
    EXPECT_EQ(kernel_.replies_unreleased, 0);
    EXPECT_EQ(kernel_.streams_released, kernel_.streams_begun);
    EXPECT_EQ(kernel_.http_released, kernel_.http_begun);
  }
  // The server still serves others.
  void ExpectAlive() {
    H2Response response = H2Wire(port_).Call(GrpcHeaders("/echo.Echo/Unary"), GrpcMessage("alive"));
    EXPECT_EQ(response.data, GrpcMessage("alive"));
    EXPECT_EQ(response.Field("grpc-status"), "0");
  }
  std::string Get(const std::string& path, const std::string& more = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: wire\r\n" + more + "\r\n";
  }

  EchoKernel kernel_;
  std::unique_ptr<LoadedTransport> transport_;
  int port_ = 0;
};

}  // namespace tenon::testing
