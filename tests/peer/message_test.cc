#include "tests/peer/node.h"
#include "tests/peer/proxy.h"

namespace tenon::testing {
namespace {

class PeerMessages : public PeerTest {};
INSTANTIATE_TEST_SUITE_P(, PeerMessages, ::testing::ValuesIn(Pairs()), NameOf);

TEST_P(PeerMessages, ArriveInOrder) {
  PeerNode a(From(), 1), b(To(), 2);
  a.Knows(2, b.url());
  for (int i = 0; i < 2000; ++i) {
    a.Send(2, false, fmt::format("entry {}", i));
    a.Send(2, true, fmt::format("heartbeat {}", i));
  }
  ASSERT_TRUE(b.AwaitFrom(1, 4000));
  int entries = 0, heartbeats = 0;
  for (const std::string& message : b.From(1)) {
    if (message[0] == 'e') {
      EXPECT_EQ(message, fmt::format("entry {}", entries++));
    }
    if (message[0] == 'h') {
      EXPECT_EQ(message, fmt::format("heartbeat {}", heartbeats++));
    }
  }
  EXPECT_EQ(entries, 2000);
  EXPECT_EQ(a.Losses(2), 0);
}

TEST_P(PeerMessages, ABatchGoesToEachOfItsMembers) {
  PeerNode a(From(), 1), b(To(), 2), c(To(), 3);
  a.Knows(2, b.url());
  a.Knows(3, c.url());
  std::vector<PeerMessage> batch(6);
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i].to = 2 + i % 2;
    BufsBuilder parts;
    parts.Append(fmt::format("message {}", i));
    parts.Append(Block::Copy(std::string(600, 'x')));
    batch[i].bytes = parts.Take();
  }
  a.peers().Send(std::move(batch));
  ASSERT_TRUE(b.AwaitFrom(1, 3) && c.AwaitFrom(1, 3));
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(b.From(1)[i], fmt::format("message {}", 2 * i) + std::string(600, 'x'));
    EXPECT_EQ(c.From(1)[i], fmt::format("message {}", 2 * i + 1) + std::string(600, 'x'));
  }
}

TEST_P(PeerMessages, OfAnySizeArriveWhole) {
  PeerNode a(From(), 1), b(To(), 2);
  a.Knows(2, b.url());
  const std::vector<std::string> sent = {"", "x", std::string(2 << 20, 'm'), std::string(60 << 20, 'l'), "behind"};
  for (const std::string& message : sent) a.Send(2, false, message);
  ASSERT_TRUE(b.AwaitFrom(1, sent.size()));
  EXPECT_TRUE(b.From(1) == sent);
}

TEST_P(PeerMessages, AnUrgentOnePassesWhatASlowMemberHasNotRead) {
  PeerNode a(From(), 1), b(To(), 2);
  Proxy wire(b.port());
  a.Knows(2, wire.url());
  ASSERT_TRUE(a.AwaitActive(2));
  wire.HoldAfter(1 << 20);
  const std::string entry(1 << 20, 'e');
  for (int i = 0; i < 32; ++i) a.Send(2, false, entry);
  a.Send(2, true, "heartbeat");
  ASSERT_TRUE(b.Await([&] { return b.Has(1, "heartbeat"); }));
  EXPECT_LT(b.CountFrom(1), 10u);  // the entries are still on their way
  wire.Release();
  EXPECT_TRUE(b.Await([&] { return b.CountFrom(1) == 33 || a.Losses(2) > 0; }));
}

TEST_P(PeerMessages, AreDroppedAndSaidToBeWhenTooManyWait) {
  PeerNode a(From(), 1), b(To(), 2);
  Proxy wire(b.port());
  a.Knows(2, wire.url());
  ASSERT_TRUE(a.AwaitActive(2));
  wire.HoldAfter(0);
  for (int i = 0; a.Losses(2) == 0 && i < 1000; ++i) a.Send(2, false, std::string(1 << 20, 'x'));
  EXPECT_TRUE(a.Await([&] { return a.Losses(2) > 0; }));
  a.Send(7, false, "nobody");
  EXPECT_TRUE(a.Await([&] { return a.Losses(7) == 1; }));
}

TEST_P(PeerMessages, AreCountedUnderEtcdsNames) {
  PeerNode a(From(), 1), b(To(), 2);
  a.Knows(2, b.url());
  a.Send(2, true, std::string(1000, 'x'));
  a.Send(2, false, std::string(500, 'x'));
  ASSERT_TRUE(b.AwaitFrom(1, 2));
  const auto has = [](PeerNode& node, const std::string& line) {
    return node.Await([&] { return node.metrics().Scrape().find(line) != std::string::npos; });
  };
  EXPECT_TRUE(has(a, "etcd_network_peer_sent_bytes_total{To=\"2\"} 1500\n")) << a.metrics().Scrape();
  EXPECT_TRUE(has(a, "etcd_network_active_peers{Local=\"1\",Remote=\"2\"} 1\n")) << a.metrics().Scrape();
  EXPECT_TRUE(has(b, "etcd_network_peer_received_bytes_total{From=\"1\"} 1500\n")) << b.metrics().Scrape();
  EXPECT_TRUE(a.Await([&] {
    return a.metrics().Scrape().find("etcd_network_peer_round_trip_time_seconds_count{To=\"2\"} 0") ==
           std::string::npos;
  }));
  b.Stop();
  EXPECT_TRUE(has(a, "etcd_network_active_peers{Local=\"1\",Remote=\"2\"} 0\n")) << a.metrics().Scrape();
}

TEST_P(PeerMessages, GoThroughUnixSocketsToo) {
  const std::string path = fmt::format("{}/peer_test_{}.sock", ::testing::TempDir(), getpid());
  PeerNode::Options options = To();
  options.url = "unix://" + path;
  PeerNode a(From(), 1), b(options, 2);
  a.Knows(2, b.url());
  a.Send(2, false, "hello");
  ASSERT_TRUE(b.AwaitFrom(1, 1));
  EXPECT_EQ(b.From(1)[0], "hello");
}

TEST_P(PeerMessages, ThatWaitAreSentBeforeADrainEnds) {
  PeerNode a(From(), 1), b(To(), 2);
  a.Knows(2, b.url());
  ASSERT_TRUE(a.AwaitActive(2));
  a.Send(2, false, "first");  // both connections are there
  ASSERT_TRUE(b.AwaitFrom(1, 1));
  for (int i = 0; i < 1000; ++i) a.Send(2, i % 2 == 0, std::string(1000, 'x'));
  EXPECT_TRUE(a.Drain(120 * kSecond));
  EXPECT_TRUE(b.AwaitFrom(1, 1001));
}

}  // namespace
}  // namespace tenon::testing
