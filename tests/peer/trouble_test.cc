#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

#include "tests/peer/node.h"
#include "tests/peer/proxy.h"

namespace tenon::testing {
namespace {

// Sends until one arrives: what was sent while the connection was down is lost.
bool Reaches(PeerNode& a, PeerNode& b) {
  const size_t before = b.CountFrom(a.id());
  return b.Await([&] {
    a.Send(b.id(), true, "are you there");
    return b.CountFrom(a.id()) > before;
  });
}

class PeerTrouble : public PeerTest {
 protected:
  static PeerNode::Options At(PeerNode::Options options, const std::string& url) {
    options.url = url;
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(, PeerTrouble, ::testing::ValuesIn(Pairs()), NameOf);

TEST_P(PeerTrouble, AMemberThatRestartsIsFoundAgain) {
  PeerNode a(From(), 1);
  auto b = std::make_unique<PeerNode>(To(), 2);
  const std::string url = b->url();
  a.Knows(2, url);
  ASSERT_TRUE(a.AwaitActive(2));
  const uint64_t since = a.peers().ActiveSinceNs(2);
  b.reset();
  ASSERT_TRUE(a.AwaitActive(2, false));
  EXPECT_TRUE(a.Await([&] { return a.Losses(2) > 0; }));
  b = std::make_unique<PeerNode>(At(To(), url), 2);
  EXPECT_TRUE(Reaches(a, *b));
  ASSERT_TRUE(a.AwaitActive(2));
  EXPECT_GT(a.peers().ActiveSinceNs(2), since);
}

TEST_P(PeerTrouble, AnotherClusterIsRefused) {
  PeerNode::Options other = To();
  other.cluster_id = 0xc2;
  PeerNode a(From(), 1), b(other, 2);
  a.Knows(2, b.url());
  const Answer answer = a.Call(0, "Members", "", 60 * kSecond, b.url());
  EXPECT_EQ(answer.status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(Message(answer.status)).find("cluster ID mismatch"), std::string::npos) << answer.status;
  ASSERT_TRUE(a.Await([&] {
    a.Send(2, true, "not for you");
    return a.Losses(2) > 3;
  }));
  EXPECT_EQ(a.peers().ActiveSinceNs(2), 0u);
  EXPECT_TRUE(b.From(1).empty());
}

TEST_P(PeerTrouble, AnotherMemberAtTheAddressIsRefused) {
  PeerNode a(From(), 1), c(To(), 3);
  a.Knows(2, c.url());
  ASSERT_TRUE(a.Await([&] {
    a.Send(2, true, "not for you");
    return a.Losses(2) > 3;
  }));
  EXPECT_EQ(a.Call(2, "Members", "").status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(a.peers().ActiveSinceNs(2), 0u);
  EXPECT_TRUE(c.From(1).empty());
}

TEST_P(PeerTrouble, ARemovedMemberIsRefused) {
  PeerNode a(From(), 1), b(To(), 2);
  b.deliver = [](const PeerSender&, std::string_view) -> Status { return absl::NotFoundError("removed"); };
  a.Knows(2, b.url());
  a.Send(2, true, "I am still here");
  EXPECT_TRUE(a.Await([&] { return a.Losses(2) > 0; }));
  EXPECT_TRUE(b.From(1).empty());
}

TEST_P(PeerTrouble, AMemberThatIsFullLosesMessagesButNotTheConnection) {
  PeerNode a(From(), 1), b(To(), 2);
  std::atomic<bool> full{true};
  std::atomic<int> refused{0};
  b.deliver = [&](const PeerSender&, std::string_view) -> Status {
    if (!full) return Ok();
    ++refused;
    return absl::ResourceExhaustedError("full");
  };
  a.Knows(2, b.url());
  a.Send(2, false, "lost");
  ASSERT_TRUE(b.Await([&] { return refused == 1; }));
  full = false;
  a.Send(2, false, "kept");
  ASSERT_TRUE(b.AwaitFrom(1, 1));
  EXPECT_EQ(b.From(1)[0], "kept");
  EXPECT_EQ(a.Losses(2), 0);
}

TEST_P(PeerTrouble, AnAddressThatChangesIsFollowed) {
  PeerNode a(From(), 1), old(To(), 2), now(To(), 2);
  a.Knows(2, old.url());
  ASSERT_TRUE(Reaches(a, old));
  a.Knows(2, now.url());
  ASSERT_TRUE(Reaches(a, now));
  const size_t before = old.From(1).size();
  ASSERT_TRUE(Reaches(a, now));
  EXPECT_EQ(old.From(1).size(), before);
}

TEST_P(PeerTrouble, TheNextAddressIsTriedWhenOneIsDead) {
  PeerNode a(From(), 1), b(To(), 2);
  std::string dead;
  {
    PeerNode c(To(), 3);
    dead = c.url();
  }
  a.peers().Set(2, {dead, b.url()});
  EXPECT_TRUE(Reaches(a, b));
}

TEST_P(PeerTrouble, AMemberThatIsTakenAwayIsLeftAlone) {
  PeerNode a(From(), 1), b(To(), 2);
  a.Knows(2, b.url());
  ASSERT_TRUE(Reaches(a, b));
  a.peers().Set(2, {});
  ASSERT_TRUE(a.AwaitActive(2, false));
  const int before = a.Losses(2);
  a.Send(2, true, "gone");
  EXPECT_TRUE(a.Await([&] { return a.Losses(2) > before; }));
  EXPECT_EQ(a.Call(2, "Members", "").status.code(), StatusCode::kUnavailable);
  a.Knows(2, b.url());
  EXPECT_TRUE(Reaches(a, b));
}

// All pairs at once, since it takes the modules' patience.
TEST(PeerLinks, ThatAreCutOneWayAreNoticed) {
  struct Link {
    explicit Link(const Pair& pair) : a({.use = pair.from}, 1), b({.use = pair.to}, 2), wire(b.port()) {
      a.Knows(2, wire.url());
    }
    PeerNode a, b;
    Proxy wire;
  };
  std::vector<std::unique_ptr<Link>> links;
  for (const Pair& pair : Pairs()) links.push_back(std::make_unique<Link>(pair));
  const auto each = [&](auto holds) {
    size_t i = 0;
    for (const Pair& pair : Pairs()) EXPECT_TRUE(holds(*links[i++])) << pair;
  };
  const auto reaches = [](Link& l) { return Reaches(l.a, l.b) && l.a.AwaitActive(2); };
  each(reaches);
  for (auto& l : links) l->wire.CutBack(true);
  each([](Link& l) {
    return l.a.Await([&] {
      l.a.Send(2, true, "still sending");
      return l.a.peers().ActiveSinceNs(2) == 0;
    });
  });
  for (auto& l : links) l->wire.CutBack(false);
  each(reaches);
  for (auto& l : links) l->wire.CutForth(true);
  each([](Link& l) { return l.a.AwaitActive(2, false); });
}

TEST_P(PeerTrouble, UrlsThatNeedTlsAreRefusedByName) {
  PeerNode a(From(), 1);
  const std::string url = "https://127.0.0.1:0";
  tenon_listener listener{.size = sizeof listener, .flags = 0, .roles = TENON_LISTEN_PEER, .fd = -1};
  listener.url = {reinterpret_cast<const uint8_t*>(url.data()), url.size()};
  const Status checked = a.peers().Check({&listener, 1});
  EXPECT_EQ(checked.code(), StatusCode::kUnimplemented);
  EXPECT_NE(std::string(Message(checked)).find("TLS"), std::string::npos) << checked;
  tenon_error error{.size = sizeof error};
  const auto table = a.instance().Table<tenon_peer_v1>();
  EXPECT_EQ(table.set_peer(a.instance().self(), 2, &listener.url, 1, &error), TENON_UNIMPLEMENTED);
  EXPECT_NE(std::string(error.msg).find("TLS"), std::string::npos) << error.msg;
  listener.roles = TENON_LISTEN_GRPC;
  EXPECT_EQ(a.peers().Check({&listener, 1}).code(), StatusCode::kUnimplemented);
}

// What comes from those that are no members at all.
TEST_P(PeerTrouble, StrangersDoNoHarm) {
  PeerNode a(From(), 1), b(To(), 2);
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(1000, '\xff'), preface,
                                   preface + std::string(5000, '\0'), preface + std::string(100, '\x7f')}) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(b.port()));
    ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    shutdown(fd, SHUT_WR);
    char buffer[4096];
    while (recv(fd, buffer, sizeof buffer, 0) > 0) {
    }
    close(fd);
  }
  a.Knows(2, b.url());
  EXPECT_TRUE(Reaches(a, b));
  EXPECT_EQ(a.Call(2, "no_name", "").status.code(), StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace tenon::testing
