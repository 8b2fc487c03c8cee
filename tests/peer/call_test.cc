#include <future>

#include "tests/peer/node.h"
#include "tests/peer/proxy.h"

namespace tenon::testing {
namespace {

class PeerCalls : public PeerTest {};
INSTANTIATE_TEST_SUITE_P(, PeerCalls, ::testing::ValuesIn(Pairs()), NameOf);

// Keeps the questions, so that a test answers when it wants.
struct Questions {
  std::mutex mutex;
  std::vector<PeerHandler::Done> waiting;

  void AskedOf(PeerNode& node) {
    node.answer = [this](const PeerSender&, std::string_view, std::string, PeerHandler::Done done) {
      std::lock_guard lock(mutex);
      waiting.push_back(std::move(done));
    };
  }
  size_t size() {
    std::lock_guard lock(mutex);
    return waiting.size();
  }
  void AnswerAll() {
    std::vector<PeerHandler::Done> all;
    {
      std::lock_guard lock(mutex);
      all.swap(waiting);
    }
    for (auto& done : all) done(Ok(), "late");
  }
};

TEST_P(PeerCalls, AreAnswered) {
  PeerNode a(From(), 1), b(To(), 2);
  a.Knows(2, b.url());
  const Answer answer = a.Call(2, "HashKV", "request");
  EXPECT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_EQ(answer.bytes, "HashKV 1 request");
  EXPECT_EQ(a.Call(2, "Members", "").bytes, "Members 1 ");
}

TEST_P(PeerCalls, BringTheOtherSidesWordsBack) {
  PeerNode a(From(), 1), b(To(), 2);
  b.answer = [](const PeerSender&, std::string_view, std::string request, PeerHandler::Done done) {
    done(Status(static_cast<StatusCode>(std::stoi(request)), "not so: 100 % \xc3\xa4"), "");
  };
  a.Knows(2, b.url());
  for (const StatusCode code : {StatusCode::kUnimplemented, StatusCode::kUnavailable, StatusCode::kFailedPrecondition,
                                StatusCode::kOutOfRange}) {
    const Answer answer = a.Call(2, "Promote", std::to_string(static_cast<int>(code)));
    EXPECT_EQ(answer.status, Status(code, "not so: 100 % \xc3\xa4"));
  }
}

TEST_P(PeerCalls, CarryALotBothWays) {
  PeerNode a(From(), 1), b(To(), 2);
  b.answer = [](const PeerSender&, std::string_view, std::string request, PeerHandler::Done done) {
    done(Ok(), request + request);
  };
  a.Knows(2, b.url());
  const std::string data(4 << 20, 's');
  EXPECT_TRUE(a.Call(2, "ReadState", data).bytes == data + data);
}

TEST_P(PeerCalls, OfWhoJoinsReachWhoeverListens) {
  PeerNode::Options options = From();
  options.cluster_id = 0;
  PeerNode joining(options, 0), b(To(), 2);
  EXPECT_EQ(joining.Call(0, "Members", "?", 60 * kSecond, b.url()).bytes, "Members 0 ?");
  EXPECT_EQ(joining.Call(0, "Members", "!", 60 * kSecond, b.url()).bytes, "Members 0 !");
  EXPECT_EQ(joining.Call(0, "Members", "", kSecond, "https://127.0.0.1:1").status.code(), StatusCode::kUnimplemented);
  EXPECT_EQ(joining.Call(0, "Members", "", kSecond, "nonsense").status.code(), StatusCode::kInvalidArgument);
}

TEST_P(PeerCalls, FindAHostByItsName) {
  PeerNode a(From(), 1), b(To(), 2);
  a.Knows(2, fmt::format("http://localhost:{}", b.port()));
  EXPECT_EQ(a.Call(2, "Members", "?").bytes, "Members 1 ?");
}

TEST_P(PeerCalls, EndAtTheirTime) {
  PeerNode a(From(), 1), b(To(), 2);
  Questions questions;
  questions.AskedOf(b);
  a.Knows(2, b.url());
  ASSERT_TRUE(a.AwaitActive(2));
  EXPECT_EQ(a.Call(2, "Promote", "", 100'000'000).status.code(), StatusCode::kDeadlineExceeded);
  ASSERT_TRUE(b.Await([&] { return questions.size() == 1; }));
  questions.AnswerAll();  // nobody waits for it any more
}

TEST_P(PeerCalls, MayHaveRunWhenTheConnectionIsLost) {
  PeerNode a(From(), 1), b(To(), 2);
  Questions questions;
  questions.AskedOf(b);
  Proxy wire(b.port());
  a.Knows(2, wire.url());
  auto answer = std::async(std::launch::async, [&] { return a.Call(2, "Promote", ""); });
  ASSERT_TRUE(b.Await([&] { return questions.size() == 1; }));
  wire.BreakAll();
  EXPECT_EQ(answer.get().status.code(), StatusCode::kCancelled);
  questions.AnswerAll();
  b.answer = [](const PeerSender&, std::string_view, std::string, PeerHandler::Done done) { done(Ok(), "again"); };
  ASSERT_TRUE(a.AwaitActive(2));
  EXPECT_EQ(a.Call(2, "Promote", "").bytes, "again");
}

TEST_P(PeerCalls, AreUnavailableWhenNobodyIsThere) {
  PeerNode a(From(), 1);
  std::string url;
  {
    PeerNode b(To(), 2);
    url = b.url();
  }
  EXPECT_EQ(a.Call(2, "Members", "").status.code(), StatusCode::kUnavailable);  // no such member
  EXPECT_EQ(a.Call(0, "Members", "", 60 * kSecond, url).status.code(), StatusCode::kUnavailable);
  a.Knows(2, url);
  EXPECT_EQ(a.Call(2, "Members", "").status.code(), StatusCode::kUnavailable);
}

TEST_P(PeerCalls, ThatWaitAreAnsweredWhenTheCallerStops) {
  PeerNode b(To(), 2);
  Questions questions;
  questions.AskedOf(b);
  std::future<Answer> answer;
  {
    PeerNode a(From(), 1);
    a.Knows(2, b.url());
    std::promise<Answer> promise;
    answer = promise.get_future();
    a.peers().Call(2, "", "Promote", "", 600 * kSecond, [promise = std::move(promise)](Status s, std::string) mutable {
      promise.set_value({std::move(s), ""});
    });
    ASSERT_TRUE(b.Await([&] { return questions.size() == 1; }));
  }
  EXPECT_FALSE(answer.get().status.ok());
  questions.AnswerAll();
}

}  // namespace
}  // namespace tenon::testing
