// What a member that never ran makes of the others' answers before it joins or founds a cluster.
#include "kernel/first_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/cluster/founding.h"
#include "kernel/member/replacement.h"
#include "kernel/wal/wal.h"
#include "proto/peer.pb.h"
#include "tests/support/memory_disk.h"
#include "tests/unit/config/load.h"

namespace tenon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A cluster of one member that answers at http://127.0.0.1:11, and whom it has added but never seen.
class Others : public Peers {
 public:
  std::string version = "3.7.0";  // the cluster's
  bool second_ran = false, silent = false;

  void Serve(PeerHandler*) override {}
  void Set(MemberId, const std::vector<std::string>&) override {}
  void Send(std::vector<PeerMessage>) override {}
  uint64_t ActiveSinceNs(MemberId) override { return 0; }
  void Call(MemberId, std::string_view url, std::string_view method, std::string, uint64_t, Done done) override {
    if (silent || url != "http://127.0.0.1:11") return done(absl::UnavailableError("refused"), {});
    if (method == "Version") {
      tenonpb::VersionResponse response;
      response.set_server("3.9.0");
      response.set_cluster(version);
      return done(Ok(), response.SerializeAsString());
    }
    ASSERT_EQ(method, "Members");
    etcdserverpb::MemberListResponse response;
    response.mutable_header()->set_cluster_id(77);
    std::vector<std::string> clients;
    if (second_ran) clients = {"http://127.0.0.1:1"};
    *response.add_members() = cluster::ToProto({1, "n1", {"http://127.0.0.1:11"}, {"http://127.0.0.1:10"}, false});
    *response.add_members() = cluster::ToProto({2, second_ran ? "n2" : "", {"http://127.0.0.1:12"}, clients, false});
    done(Ok(), response.SerializeAsString());
  }
};

Status Prepare(Others& others, Disk& disk, Member::Options& options, const std::string& state = "existing") {
  const LoadOutcome outcome = LoadFlags(
      {"--name=n2", "--listen-client-urls=http://127.0.0.1:1", "--advertise-client-urls=http://127.0.0.1:1",
       "--data-dir=/data", "--listen-peer-urls=http://127.0.0.1:12",
       "--initial-advertise-peer-urls=http://127.0.0.1:12",
       "--initial-cluster=n1=http://127.0.0.1:11,n2=http://127.0.0.1:12", "--initial-cluster-state=" + state});
  EXPECT_EQ(Verdict(outcome), "OK");
  options.data_dir = "/data";
  return PrepareFirstStart(Get(outcome), disk, &others, options);
}
Status Prepare(Others& others, Member::Options& options) {
  MemoryDisk disk;
  return Prepare(others, disk, options);
}

TEST(FirstStartTest, JoinsUnderTheIdThatTheClusterGaveIt) {
  Others others;
  Member::Options options;
  const Status status = Prepare(others, options);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(options.join);
  EXPECT_EQ(options.join->cluster_id, 77u);
  EXPECT_EQ(options.join->self, 2u);
  EXPECT_EQ(options.join->members.size(), 2u);
}

TEST(FirstStartTest, WhoIsOlderThanTheClusterIsKeptOut) {
  for (const char* version : {"3.8.0", "4.0.0", "3.6.0", "", "nonsense"}) {
    Others others;
    others.version = version;
    Member::Options options;
    const Status status = Prepare(others, options);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << version << ": " << status;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("incompatible with current running cluster"));
    EXPECT_FALSE(options.join) << version;
  }
}

TEST(FirstStartTest, WhoRanBeforeAndLostItsDiskIsKeptOut) {
  Others others;
  others.second_ran = true;
  Member::Options options;
  EXPECT_THAT(std::string(Message(Prepare(others, options))),
              AllOf(HasSubstr("member 2 has already been bootstrapped"),
                    HasSubstr("tenonutl member replace --endpoints http://127.0.0.1:10 --data-dir /data --id 2")));
}

// ---- a member that replaces another one: kernel/member/replacement.h ----

class ReplacedTest : public ::testing::Test {
 protected:
  ReplacedTest() { EXPECT_TRUE(disk.MakeDirectory("/data").ok()); }
  // Its flags are those of the founder that it replaces.
  std::string Start() {
    options = {};
    const Status status = Prepare(others, disk, options, "new");
    return status.ok() ? "OK" : std::string(Message(status));
  }
  void Say(MemberId member) {
    const Replacement said{77, 0xf0, member, {"http://127.0.0.1:12"}, {"http://127.0.0.1:11"}};
    ASSERT_TRUE(said.Write(disk, "/data").ok());
    EXPECT_EQ(**Replacement::Read(disk, "/data"), said);
  }
  void Run() {
    auto wal = wal::Wal::Create(disk, "/data/member/wal", "metadata", {.segment_bytes = 4096}).value();
    const raft::HardState state{.term = Term(1), .vote = 0, .commit = Index(0)};
    ASSERT_TRUE(wal->Append(&state, {}).ok());
    ASSERT_TRUE(wal->Sync().ok());
  }
  MemoryDisk disk;
  Others others;
  Member::Options options;
};

TEST_F(ReplacedTest, JoinsUnderTheNewIdWhateverItsFlagsSay) {
  Say(2);
  ASSERT_EQ(Start(), "OK");
  ASSERT_TRUE(options.join);
  EXPECT_EQ(options.join->self, 2u);
  EXPECT_EQ(options.join->cluster_id, 77u);
  EXPECT_EQ(options.join->members.size(), 2u);
}

TEST_F(ReplacedTest, DoesNotStartUntilThereIsOne) {
  Say(0);
  EXPECT_THAT(Start(), AllOf(HasSubstr("member f0 is being replaced, and that is not finished"), HasSubstr("--id f0")));
  Run();
  EXPECT_THAT(Start(), HasSubstr("not finished")) << "with the former one's log neither";
}

TEST_F(ReplacedTest, JoinsOnce) {
  Say(2);
  others.second_ran = true;
  EXPECT_THAT(Start(), HasSubstr("member 2 has already been bootstrapped")) << "and lost its log since";
  Run();
  EXPECT_EQ(Start(), "OK");
  EXPECT_EQ(options.join->self, 2u) << "whose log it is to be";
}

TEST_F(ReplacedTest, WhoWasRemovedAgainDoesNotJoin) {
  Say(3);
  EXPECT_THAT(Start(), HasSubstr("member 3, which was to replace f0 here, is none of cluster 4d: run this again"));
}

TEST_F(ReplacedTest, WithoutAnAnswerNobodyJoinsAndWhoHasJoinedStarts) {
  Say(2);
  others.silent = true;
  EXPECT_THAT(Start(), HasSubstr("cannot fetch cluster info"));
  Run();
  EXPECT_EQ(Start(), "OK");
}

TEST_F(ReplacedTest, ADamagedFileIsSaid) {
  Say(2);
  std::string text = disk.Contents("/data/REPLACE");
  for (size_t i = 0; i < text.size(); i++) {
    std::string bad = text;
    bad[i] ^= 1;
    disk.SetContents("/data/REPLACE", bad);
    EXPECT_THAT(Start(), HasSubstr("/data/REPLACE is damaged")) << bad;
  }
  disk.SetContents("/data/REPLACE", text.substr(0, text.size() / 2));
  EXPECT_THAT(Start(), HasSubstr("/data/REPLACE is damaged"));
}

TEST_F(ReplacedTest, ALostLogIsRefusedWithTheCommand) {
  Run();
  std::string log = disk.Contents("/data/member/wal/0000000000000000-0000000000000000.wal");
  log[20] ^= 1;
  disk.SetContents("/data/member/wal/0000000000000000-0000000000000000.wal", log);
  EXPECT_THAT(Start(), HasSubstr("tenonutl member replace --endpoints http://127.0.0.1:10 --data-dir /data --name n2"));
  others.second_ran = true;
  EXPECT_THAT(Start(), HasSubstr("--data-dir /data --id 2."));
}

TEST_F(ReplacedTest, AFounderThatWasReplacedDoesNotFoundAgain) {
  others.second_ran = true;
  EXPECT_THAT(Start(), HasSubstr("member 2 has already been bootstrapped"));
}

}  // namespace
}  // namespace tenon
