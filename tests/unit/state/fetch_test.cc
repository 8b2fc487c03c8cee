// How a fetch ends when something is in its way, and what it leaves on the disk.
#include <gmock/gmock.h>

#include "proto/peer.pb.h"
#include "tests/unit/state/sides.h"

namespace tenon::testing {
namespace {

using ::testing::HasSubstr;
using Fate = Sides::Fate;
constexpr uint64_t kSecond = 1'000'000'000;

class FetchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 20; i++) s.giver.Turn(random);
  }
  void ExpectFails(StatusCode code, const std::string& words) {
    s.Finish();
    EXPECT_EQ(s.result->status().code(), code);
    EXPECT_THAT(std::string(Message(s.result->status())), HasSubstr(words));
    EXPECT_TRUE(s.Files().empty()) << s.Files()[0];
    // Nothing of it is in the way of the next one.
    s.fate = {};
    s.on_answer = {};
    s.result.reset();
    s.Start();
    s.Finish();
    EXPECT_TRUE(s.result->ok()) << s.result->status();
  }

  std::mt19937_64 random{1};
  Sides s{"memory"};
};

TEST_F(FetchTest, WhoeverIsNotFarEnoughHasNothingToGive) {
  s.Start(s.giver.index + 1);
  s.Finish();
  EXPECT_EQ(s.result->status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(s.result->status())), HasSubstr("this member has applied 20"));
  EXPECT_FALSE(s.source->IsOpen());
}

TEST_F(FetchTest, OneAtATime) {
  s.Start();
  EXPECT_FALSE(s.fetch->Start(kGiver, Index(1), [](const Result<raft::SnapshotMeta>&) { FAIL(); }));
  s.Finish();
  EXPECT_TRUE(s.result->ok());
}

TEST_F(FetchTest, ASessionThatNobodyReadsEndsAndTheFetchSaysSo) {
  s.Start();
  while (s.calls < 5) ASSERT_TRUE(s.RunOne());
  EXPECT_TRUE(s.source->IsOpenFor(kTaker));
  // The giver alone goes on.
  for (int i = 0; i < 10; i++) {
    s.giver.clock.Advance(5 * kSecond);
    s.reader.Run();
  }
  EXPECT_FALSE(s.source->IsOpen());
  EXPECT_EQ(s.ended, (std::vector<std::pair<MemberId, bool>>{{kTaker, false}}));
  ExpectFails(StatusCode::kNotFound, "has ended");
}

TEST_F(FetchTest, ASilentMemberIsGivenUp) {
  const uint64_t begin = s.giver.clock.MonoNs();
  s.fate = [](uint64_t call) { return call < 5 ? Fate::kArrives : Fate::kRequestLost; };
  s.Start();
  ExpectFails(StatusCode::kUnavailable, "not sent");
  EXPECT_LT(s.giver.clock.MonoNs() - begin, 60 * kSecond);
}

TEST_F(FetchTest, DamageOnTheWayIsFound) {
  int reads = 0;
  s.on_answer = [&](std::string_view method, std::string& answer) {
    if (method != "ReadState" || ++reads != 4) return;
    tenonpb::ReadStateResponse response;
    ASSERT_TRUE(response.ParseFromString(answer));
    (*response.mutable_data())[500] ^= 1;
    answer = response.SerializeAsString();
  };
  s.Start();
  ExpectFails(StatusCode::kDataLoss, "what member 7 sent is damaged at offset");
}

TEST_F(FetchTest, AStreamThatIsCutShortIsFound) {
  s.on_answer = [&](std::string_view method, std::string& answer) {
    tenonpb::ReadStateResponse response;
    if (method != "ReadState" || !response.ParseFromString(answer) || s.calls < 6) return;
    response.set_end(true);
    answer = response.SerializeAsString();
  };
  s.Start();
  ExpectFails(StatusCode::kDataLoss, "it ends");
}

TEST_F(FetchTest, AFullDiskEndsIt) {
  s.disk.SetCapacity(3000);
  s.Start();
  s.Finish();
  EXPECT_EQ(s.result->status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(s.Files().empty());
}

TEST_F(FetchTest, AStopEndsIt) {
  s.Start();
  while (s.calls < 5) ASSERT_TRUE(s.RunOne());
  s.fetch->Stop();
  s.Finish();
  EXPECT_EQ(s.result->status().code(), StatusCode::kCancelled);
  EXPECT_FALSE(s.fetch->Start(kGiver, Index(1), [](const Result<raft::SnapshotMeta>&) { FAIL(); }));
  EXPECT_TRUE(s.Files().empty());
  EXPECT_FALSE(s.source->IsOpen()) << "it has said goodbye";
}

TEST_F(FetchTest, TheRateIsKept) {
  snapshot::StateFetch::Options options = Sides::SmallPieces();
  options.bytes_per_s = 10'000;
  s.Parts(options);
  const uint64_t begin = s.giver.clock.MonoNs();
  s.Start();
  s.Finish();
  ASSERT_TRUE(s.result->ok());
  const double seconds = static_cast<double>(s.giver.clock.MonoNs() - begin) * 1e-9;
  const double expected = static_cast<double>(s.Fetched().size()) / 10'000;
  EXPECT_GT(expected, 3);
  EXPECT_GT(seconds, expected - 0.2);
  EXPECT_LT(seconds, expected * 1.2);  // the clock of this test moves in steps of 10 ms
}

TEST_F(FetchTest, TheSourceKeepsOnePieceOnly) {
  s.Start();
  s.Finish();
  const PeerSender from{1, 9};
  const auto call = [&](std::string_view method, const google::protobuf::MessageLite& request, Status& status) {
    std::string answer;
    s.source->Call(from, method, request.SerializeAsString(), [&](Status st, std::string a) {
      status = std::move(st);
      answer = std::move(a);
    });
    s.Run();
    return answer;
  };
  Status status;
  tenonpb::OpenStateResponse opened;
  ASSERT_TRUE(opened.ParseFromString(call("OpenState", tenonpb::OpenStateRequest(), status)) && status.ok());
  tenonpb::ReadStateRequest request;
  request.set_session(opened.session());
  request.set_max_bytes(100);
  const auto read = [&](uint64_t offset) {
    request.set_offset(offset);
    tenonpb::ReadStateResponse response;
    EXPECT_TRUE(response.ParseFromString(call("ReadState", request, status)));
    return response.data();
  };
  const std::string first = read(0), second = read(100);
  EXPECT_EQ(first, s.fixed.back().substr(0, 100));
  EXPECT_EQ(second, s.fixed.back().substr(100, 100));
  EXPECT_EQ(read(100), second) << "once more";
  read(0);
  EXPECT_EQ(status.code(), StatusCode::kOutOfRange) << "what was before it is gone";
  read(300);
  EXPECT_EQ(status.code(), StatusCode::kOutOfRange);
  read(200);
  EXPECT_TRUE(status.ok());
  // A new session of the same member takes the place of the former.
  ASSERT_TRUE(opened.ParseFromString(call("OpenState", tenonpb::OpenStateRequest(), status)));
  read(300);
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(s.ended.size(), 1u) << "that of the fetch";
}

// The power goes, or the process is killed, before each operation of the disk in turn.
TEST_F(FetchTest, CutAtEveryStepThereIsAWholeFileOrNone) {
  uint64_t whole = 0, none = 0;
  for (uint64_t step = 0;; step++) {
    for (const bool kill : {true, false}) {
      SCOPED_TRACE(fmt::format("step {} {}", step, kill));
      Sides t("memory");
      std::mt19937_64 r(1);
      for (int i = 0; i < 10; i++) t.giver.Turn(r);
      const uint64_t before = t.disk.operations();
      t.disk.CutPowerAt(step);
      t.Start();
      t.Finish();
      const bool finished = t.result->ok();
      const uint64_t operations = t.disk.operations() - before;
      kill ? t.disk.KillProcess() : t.disk.LosePower();
      std::vector<std::string> files = t.Files();
      std::erase(files, "next.fetched.part");
      ASSERT_LE(files.size(), 1u);
      (files.empty() ? none : whole)++;
      if (!files.empty()) {
        EXPECT_TRUE(t.disk.Contents(fmt::format("{}/{}", kSnapFolder, files[0])) == t.fixed[0]);
      }
      if (finished) {
        EXPECT_EQ(files.size(), 1u) << "whoever was told that it is there finds it";
        if (kill) continue;
        EXPECT_GT(operations, 10u);
        EXPECT_GT(whole, 2u);
        EXPECT_GT(none, 10u);
        return;
      }
      t.Parts(Sides::SmallPieces());
      t.result.reset();
      t.Start();
      t.Finish();
      ASSERT_TRUE(t.result->ok()) << t.result->status();
      EXPECT_EQ(t.Files().size(), 1u);
    }
  }
}

}  // namespace
}  // namespace tenon::testing
