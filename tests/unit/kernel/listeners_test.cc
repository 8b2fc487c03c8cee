// What is served where: etcd's rules for the three kinds of URLs, and what becomes of them with a transport that
// speaks gRPC only.
#include "kernel/listeners.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/config/load.h"

namespace tenon {
namespace {

using ::testing::ElementsAre;

constexpr uint32_t kGrpc = TENON_LISTEN_GRPC, kHttp = TENON_LISTEN_HTTP, kMetrics = TENON_LISTEN_METRICS;

Config Load(const Words& more) {
  Words flags = {"--listen-client-urls=http://127.0.0.1:1", "--advertise-client-urls=http://127.0.0.1:1"};
  flags.insert(flags.end(), more.begin(), more.end());
  const LoadOutcome outcome = LoadFlags(flags);
  EXPECT_EQ(Verdict(outcome), "OK");
  return Get(outcome);
}

// A transport that can serve the roles in `can`.
tenon_transport_v1 Transport() {
  tenon_transport_v1 table{};
  table.check = [](void* can, const tenon_listener* listeners, size_t n, tenon_error* error) {
    for (size_t i = 0; i < n; i++) {
      if ((listeners[i].roles & ~*static_cast<uint32_t*>(can)) == 0) continue;
      const std::string text =
          fmt::format("cannot serve {} on {}", listeners[i].roles,
                      std::string(reinterpret_cast<const char*>(listeners[i].url.p), listeners[i].url.n));
      text.copy(error->msg, sizeof error->msg - 1);
      error->code = TENON_UNIMPLEMENTED;
      return static_cast<tenon_status>(TENON_UNIMPLEMENTED);
    }
    return static_cast<tenon_status>(TENON_OK);
  };
  return table;
}
Result<std::vector<Listener>> Agree(const Config& config, uint32_t can) {
  return AgreedListeners(config, Transport(), &can);
}

TEST(Listeners, ClientUrlsServeBothUnlessHttpHasItsOwn) {
  const Listener client{"http://127.0.0.1:1", kGrpc | kHttp}, grpc{"http://127.0.0.1:1", kGrpc};
  const Listener http{"http://127.0.0.1:2", kHttp}, metrics{"http://127.0.0.1:3", kMetrics};
  EXPECT_THAT(WantedListeners(Load({})), ElementsAre(client));
  EXPECT_THAT(WantedListeners(Load({"--listen-metrics-urls=http://127.0.0.1:3"})), ElementsAre(client, metrics));
  EXPECT_THAT(WantedListeners(Load({"--listen-client-http-urls=http://127.0.0.1:2"})), ElementsAre(grpc, http));
  EXPECT_THAT(WantedListeners(
                  Load({"--listen-client-http-urls=http://127.0.0.1:2", "--listen-metrics-urls=http://127.0.0.1:3"})),
              ElementsAre(grpc, http, metrics));
}

TEST(Listeners, ATransportWithoutHttpStillServesClients) {
  const Result<std::vector<Listener>> agreed = Agree(Load({}), kGrpc);
  ASSERT_TRUE(agreed.ok()) << agreed.status();
  EXPECT_THAT(*agreed, ElementsAre(Listener{"http://127.0.0.1:1", kGrpc}));
  EXPECT_THAT(*Agree(Load({}), kGrpc | kHttp), ElementsAre(Listener{"http://127.0.0.1:1", kGrpc | kHttp}));
}

TEST(Listeners, WhatWasAskedForInSoManyWordsIsRefused) {
  EXPECT_EQ(Message(Agree(Load({"--listen-client-http-urls=http://127.0.0.1:2"}), kGrpc).status()),
            "cannot serve 2 on http://127.0.0.1:2");
  EXPECT_EQ(Message(Agree(Load({"--listen-metrics-urls=http://127.0.0.1:3"}), kGrpc).status()),
            "cannot serve 4 on http://127.0.0.1:3");
}

}  // namespace
}  // namespace tenon
