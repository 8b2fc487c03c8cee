// `tenonutl member replace`, cut off at every step: the power goes at each operation of the disk, each answer of the
// cluster is lost. Run again it ends the same, and no server that starts in between can do wrong.
#include "cli/tenonutl/replace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "kernel/base/errors.h"
#include "kernel/wal/wal.h"
#include "proto/wal.pb.h"
#include "tests/support/memory_disk.h"

namespace tenon::utl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr MemberId kLost = 0xc;
constexpr uint64_t kClusterId = 0xc1;
constexpr char kDir[] = "/data";
constexpr wal::Options kLog{.segment_bytes = 4096};

std::string PeerUrl(MemberId id) { return fmt::format("http://{:x}:2380", id); }
cluster::Member Voter(MemberId id) {
  return {id, fmt::format("{:x}", id), {PeerUrl(id)}, {fmt::format("http://{:x}:2379", id)}, false};
}

// Three voters of which kLost is down. Its calls can be lost on the way there or back.
class FakeCluster : public Cluster {
 public:
  std::vector<cluster::Member> members = {Voter(0xa), Voter(0xb), Voter(kLost)};
  std::set<MemberId> down = {kLost}, removed;
  int not_ready = 2;  // promotions that come too early
  uint64_t calls = 0;
  std::optional<uint64_t> lost_request_at, lost_answer_at;

  Result<View> Members() override {
    return Carry<Result<View>>([&]() -> Result<View> { return View{kClusterId, members}; });
  }
  Status Remove(MemberId id) override {
    return Carry<Status>([&] {
      if (std::erase_if(members, [&](const auto& m) { return m.id == id; }) == 0) return errors::MemberNotFound();
      removed.insert(id);
      return Ok();
    });
  }
  Status AddLearner(const std::vector<std::string>& urls) override {
    return Carry<Status>([&] {
      for (const cluster::Member& m : members) {
        if (m.peer_urls == urls) return errors::PeerUrlExists();
        if (m.learner) return errors::TooManyLearners();
      }
      members.push_back({++newest_, "", urls, {}, true});
      return Ok();
    });
  }
  Status Promote(MemberId id) override {
    return Carry<Status>([&] {
      cluster::Member& m = Of(id);
      EXPECT_FALSE(m.client_urls.empty())
          << "it has not made itself known: an empty disk could join once more, as a voter";
      if (!m.learner) return errors::NotLearner();
      if (not_ready-- > 0) return errors::LearnerNotReady();
      m.learner = false;
      return Ok();
    });
  }
  Result<MemberId> WhoServes(const std::vector<std::string>& urls) override {
    for (const cluster::Member& m : members) {
      if (m.client_urls == urls && !urls.empty() && !down.contains(m.id)) return m.id;
    }
    return absl::UnavailableError("cannot connect");
  }
  cluster::Member& Of(MemberId id) {
    return *std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.id == id; });
  }

 private:
  template <class Answer>
  Answer Carry(const std::function<Answer()>& call) {
    const uint64_t now = calls++;
    if (now == lost_request_at) return absl::UnavailableError("lost on the way there");
    Answer answer = call();
    if (now == lost_answer_at) return absl::UnavailableError("lost on the way back");
    return answer;
  }
  MemberId newest_ = 0x100;
};

class ReplaceTest : public ::testing::Test {
 protected:
  ReplaceTest() { SetUpMember(1); }

  // The data directory of kLost, whose log is damaged in what was committed.
  void SetUpMember(uint64_t seed, bool damaged = true, const std::string& wal_dir = "") {
    disk = std::make_unique<MemoryDisk>(seed);
    cluster = FakeCluster();
    options = {.data_dir = kDir, .wal_dir = wal_dir, .id = kLost};
    ASSERT_TRUE(WriteLog(kLost).ok());
    if (damaged) Damage();
  }
  // As a server leaves it.
  Status WriteLog(MemberId owner) {
    ASSIGN_OR_RETURN(const DataDir locked, DataDir::Open(*disk, kDir, options.wal_dir, "e"));
    walpb::Metadata metadata;
    metadata.set_nodeid(owner);
    metadata.set_clusterid(kClusterId);
    ASSIGN_OR_RETURN(const auto wal, wal::Wal::Create(*disk, Wal(), metadata.SerializeAsString(), kLog));
    for (uint64_t i = 1; i <= 5; i++) {
      const raft::Entry entry{.term = Term(1), .index = Index(i), .payload = std::make_shared<raft::Payload>("entry")};
      const raft::HardState state{.term = Term(1), .vote = 0, .commit = Index(i)};
      RETURN_IF_ERROR(wal->Append(&state, {&entry, 1}));
    }
    return wal->Sync();
  }
  MemberId OwnerOfTheLog() {
    walpb::Metadata metadata;
    metadata.ParseFromString(wal::Wal::Metadata(*disk, Wal()).value_or(""));
    return metadata.nodeid();
  }
  std::string Wal() const { return DataDir::WalOf(kDir, options.wal_dir); }
  static std::string Segment(const std::string& wal) { return wal + "/0000000000000000-0000000000000000.wal"; }
  void Damage() {
    std::string bytes = disk->Contents(Segment(Wal()));
    bytes[bytes.find("entry")] ^= 1;
    disk->SetContents(Segment(Wal()), bytes);
  }

  // Runs it; while it waits, a server starts if it may.
  Status Run(bool server = true) {
    patience_ = 60;
    server_ended_ = false;
    lines.clear();
    Replace replace({*disk, cluster, [&](const std::string& line) { lines += line + "\n"; },
                     [&](const std::string&) { return confirmed; },
                     [&] {
                       if (server) StartServer();
                       return --patience_ > 0;
                     }},
                    options);
    const Status status = replace.Run();
    begun = replace.begun();
    return status;
  }
  std::string Refusal() {
    const std::string before = Listing();
    const Status status = Run();
    EXPECT_FALSE(begun);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(Listing(), before) << "nothing was changed";
    EXPECT_TRUE(cluster.removed.empty());
    return std::string(Message(status));
  }
  std::string Listing() const { return fmt::format("{}", fmt::join(disk->List(kDir).value(), " ")); }
  // As first_start.cc: joins as whoever REPLACE names, and makes itself known.
  void StartServer() {
    if (server_ended_) return;
    const auto replacement = Replacement::Read(*disk, kDir).value();
    if (!replacement || replacement->member == 0) return;
    cluster::Member& self = cluster.Of(replacement->member);
    const bool began = wal::Wal::Began(*disk, Wal()).value_or(false);
    if (const Status status = began ? Ok() : WriteLog(self.id); !status.ok()) {
      server_ended_ = !absl::IsFailedPrecondition(status);  // the directory is locked: it is started again
      return;
    }
    self.client_urls = {"http://c:2379"};
    self.name = "c";
  }
  // What may be found at any moment by whoever comes next.
  void ExpectSafe() {
    const auto replacement = Replacement::Read(*disk, kDir);
    ASSERT_TRUE(replacement.ok()) << replacement.status();
    const bool former_is_member = !cluster.removed.contains(kLost);
    if (!replacement->has_value()) {
      const bool done = cluster.members.size() == 3 && !cluster.members.back().learner;
      EXPECT_TRUE(former_is_member || done) << "a removed member must not be found as if it had never been";
      return;
    }
    if ((*replacement)->member == 0) return;
    EXPECT_FALSE(former_is_member);
    EXPECT_NE(OwnerOfTheLog(), kLost) << "the former member's data is where the new one's is to be";
  }
  void ExpectReplaced() {
    EXPECT_THAT(cluster.removed, ElementsAre(kLost));
    ASSERT_EQ(cluster.members.size(), 3u);
    EXPECT_FALSE(cluster.members.back().learner);
    EXPECT_THAT(cluster.members.back().peer_urls, ElementsAre(PeerUrl(kLost)));
    EXPECT_EQ(*Replacement::Read(*disk, kDir), std::nullopt);
    EXPECT_EQ(OwnerOfTheLog(), cluster.members.back().id);
    const std::string aside = options.wal_dir.empty() ? "/data/member.of-c/wal" : options.wal_dir + ".of-c";
    EXPECT_THAT(disk->Contents(Segment(aside)), HasSubstr("entry")) << "it is kept";
  }

  std::unique_ptr<MemoryDisk> disk;
  FakeCluster cluster;
  Replace::Options options;
  bool confirmed = true, begun = false;
  std::string lines;

 private:
  int patience_ = 0;
  bool server_ended_ = false;  // its disk failed
};

TEST_F(ReplaceTest, ALearnerTakesItsPlaceAndIsPromoted) {
  EXPECT_TRUE(Run().ok());
  ExpectReplaced();
  EXPECT_THAT(lines, HasSubstr("start the server"));
  EXPECT_THAT(lines, HasSubstr("votes"));
}

TEST_F(ReplaceTest, WithoutAServerItSaysWhatIsMissing) {
  const Status status = Run(/*server=*/false);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("has not started yet"));
  EXPECT_TRUE(begun);
  EXPECT_EQ(cluster.members.size(), 3u);
  EXPECT_TRUE(Run().ok());
  ExpectReplaced();
}

TEST_F(ReplaceTest, ThePowerGoesAtEachOperationOfTheDisk) {
  using Loss = MemoryDisk::Loss;
  for (const auto& [loss, wal_dir] :
       {std::pair(Loss::kEverything, ""), std::pair(Loss::kEverything, "/logs/wal"), std::pair(Loss::kNothing, ""),
        std::pair(Loss::kRandom, ""), std::pair(Loss::kRandom, "/logs/wal")}) {
    for (uint64_t step = 0;; step++) {
      SCOPED_TRACE(fmt::format("power cut at operation {}, loss {}, {}", step, static_cast<int>(loss), wal_dir));
      SetUpMember(step + 1, /*damaged=*/true, wal_dir);
      disk->LosePower(MemoryDisk::Loss::kNothing);  // what was there before is on the platter
      disk->CutPowerAt(step);
      const bool finished = Run().ok();
      disk->LosePower(loss);
      ExpectSafe();
      disk->CutPowerAt(step % 7);  // and once more
      Run().IgnoreError();
      disk->LosePower(loss);
      ExpectSafe();
      const Status status = Run();
      ASSERT_TRUE(status.ok()) << status;
      ExpectReplaced();
      if (finished) {
        EXPECT_GT(step, 10u);
        break;
      }
    }
  }
}

TEST_F(ReplaceTest, EachRequestAndEachAnswerIsLost) {
  for (const bool answer : {false, true}) {
    for (uint64_t call = 0;; call++) {
      SCOPED_TRACE(fmt::format("{} {} lost", answer ? "answer" : "request", call));
      SetUpMember(1);
      (answer ? cluster.lost_answer_at : cluster.lost_request_at) = call;
      Status status = Run();
      if (call == 0) {
        EXPECT_FALSE(begun) << "before it has begun it does not wait";
        status = Run();
      }
      EXPECT_TRUE(status.ok()) << status;
      ExpectReplaced();
      if (cluster.calls <= call) {
        EXPECT_GT(call, 8u);
        break;
      }
    }
  }
}

TEST_F(ReplaceTest, ALogInAFolderOfItsOwnIsSetAsideToo) {
  SetUpMember(1, /*damaged=*/true, "/logs/wal");
  EXPECT_TRUE(Run().ok());
  ExpectReplaced();
  EXPECT_THAT(disk->List("/logs").value(), ElementsAre("wal", "wal.lock", "wal.of-c"));
}

TEST_F(ReplaceTest, WhoIsMeantIsToldByTheLogByANameOrByWhoIsDown) {
  for (const char* by : {"id", "name", "log", "who is down"}) {
    SCOPED_TRACE(by);
    SetUpMember(1);
    options = {.data_dir = kDir};
    if (by == std::string("id")) options.id = kLost;
    if (by == std::string("name")) options.name = "c";
    if (by == std::string("who is down")) {
      ASSERT_TRUE(disk->RemoveTree(Wal()).ok());
    }
    EXPECT_TRUE(Run().ok());
    EXPECT_THAT(cluster.removed, ElementsAre(kLost));
  }
}

TEST_F(ReplaceTest, RefusesWhoItIsNotSureOf) {
  options.id = 0xb;
  EXPECT_THAT(Refusal(), HasSubstr("is of member c, not of b"));
  ASSERT_TRUE(disk->RemoveTree(Wal()).ok());
  EXPECT_THAT(Refusal(), HasSubstr("it is not lost"));
  options.id = 0xd;
  EXPECT_THAT(Refusal(), HasSubstr("d is none of the members"));
  options = {.data_dir = kDir, .name = "z"};
  EXPECT_THAT(Refusal(), HasSubstr("no member is called z"));
  options = {.data_dir = kDir};
  cluster.down.insert(0xb);
  EXPECT_THAT(Refusal(), HasSubstr("neither the data directory nor who is down tells"));
  cluster.down.clear();
  EXPECT_THAT(Refusal(), HasSubstr("all members serve"));
}

TEST_F(ReplaceTest, RefusesWhatTheClusterCannotBear) {
  cluster.down.insert(0xb);
  EXPECT_THAT(Refusal(), HasSubstr("only 1 of 2 voters serve, and 2 are needed; bring these back first:\n  b (b) at"));
  cluster.members.push_back(Voter(0xd));
  cluster.members.push_back(Voter(0xe));
  EXPECT_THAT(Refusal(), HasSubstr("takes no new member while a voter is away (strict-reconfig-check)"));
  cluster = FakeCluster();
  cluster.members.push_back({0xd, "d", {PeerUrl(0xd)}, {"http://d:2379"}, true});
  EXPECT_THAT(Refusal(), HasSubstr("as many learners as it may have (1)"));
  cluster.members = {Voter(kLost)};
  EXPECT_THAT(Refusal(), HasSubstr("the cluster's only member"));
  cluster = FakeCluster();
  cluster.Of(kLost).client_urls.clear();
  EXPECT_THAT(Refusal(), HasSubstr("has never started"));
  cluster = FakeCluster();
  options.peer_urls = {PeerUrl(0xa)};
  EXPECT_THAT(Refusal(), HasSubstr("are taken by member a"));
}

TEST_F(ReplaceTest, ALogThatIsWholeIsLeftAlone) {
  SetUpMember(1, /*damaged=*/false);
  EXPECT_THAT(Refusal(), HasSubstr("is whole, so the member may vote: just start it"));
  options.log_is_damaged = true;
  EXPECT_TRUE(Run().ok());
  ExpectReplaced();
}

TEST_F(ReplaceTest, ADirectoryThatIsUsedOrSomebodyElsesOrAbsent) {
  {
    const auto lock = disk->Lock(std::string(kDir) + "/LOCK");
    EXPECT_THAT(Refusal(), HasSubstr("another process is using the data directory"));
  }
  options.data_dir = "/typo";
  EXPECT_THAT(Refusal(), HasSubstr("there is no /typo"));
  ASSERT_TRUE(disk->MakeDirectory("/other/member").ok());
  options.data_dir = "/other";
  EXPECT_THAT(Refusal(), HasSubstr("not a data directory of Tenon's"));
}

TEST_F(ReplaceTest, OnlyWithConsent) {
  confirmed = false;
  EXPECT_THAT(Refusal(), HasSubstr("not confirmed"));
  confirmed = true;
  options.dry_run = true;
  EXPECT_TRUE(Run().ok());
  EXPECT_THAT(lines, HasSubstr("member c (c) at http://c:2380 of cluster c1 is to be replaced: its log is damaged"));
  EXPECT_THAT(lines, HasSubstr("nothing was changed"));
  EXPECT_TRUE(cluster.removed.empty());
}

TEST_F(ReplaceTest, ANewMemberThatSomebodyRemovedIsAddedOnceMore) {
  Run(/*server=*/false).IgnoreError();
  const MemberId first = cluster.members.back().id;
  cluster.members.pop_back();
  EXPECT_TRUE(Run().ok());
  EXPECT_NE(cluster.members.back().id, first);
  ExpectReplaced();
}

TEST_F(ReplaceTest, WhoTookThePlaceElsewhereIsNotTouched) {
  options.dry_run = false;
  cluster.lost_answer_at = 2;
  Run(/*server=*/false).IgnoreError();
  Replacement now = **Replacement::Read(*disk, kDir);
  now.member = 0;
  ASSERT_TRUE(now.Write(*disk, kDir).ok());
  cluster.members.back().client_urls = {"http://elsewhere:2379"};
  EXPECT_THAT(std::string(Message(Run())), HasSubstr("has been added and started elsewhere"));
}

TEST_F(ReplaceTest, OnceItIsDoneNothingIsLeftToDo) {
  ASSERT_TRUE(Run().ok());
  EXPECT_TRUE(Run().ok());
  EXPECT_THAT(lines, HasSubstr("nothing is left to do"));
  const auto lock = disk->Lock(std::string(kDir) + "/LOCK");
  EXPECT_TRUE(Run().ok()) << "nor while a server runs";
  EXPECT_THAT(cluster.removed, ElementsAre(kLost));
}

}  // namespace
}  // namespace tenon::utl
