// What a member that never ran makes of the others' answers before it joins or founds a cluster.
#include "kernel/first_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/cluster/founding.h"
#include "proto/peer.pb.h"
#include "tests/support/memory_disk.h"
#include "tests/unit/config/load.h"

namespace tenon {
namespace {

using ::testing::HasSubstr;

// A cluster of one member that answers at http://127.0.0.1:11, and whom it has added but never seen.
class Others : public Peers {
 public:
  std::string version = "3.7.0";  // the cluster's
  bool second_ran = false;

  void Serve(PeerHandler*) override {}
  void Set(MemberId, const std::vector<std::string>&) override {}
  void Send(std::vector<PeerMessage>) override {}
  uint64_t ActiveSinceNs(MemberId) override { return 0; }
  void Call(MemberId, std::string_view url, std::string_view method, std::string, uint64_t, Done done) override {
    if (url != "http://127.0.0.1:11") return done(absl::UnavailableError("refused"), {});
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

Status Prepare(Others& others, Member::Options& options, const std::string& state = "existing") {
  const LoadOutcome outcome = LoadFlags(
      {"--name=n2", "--listen-client-urls=http://127.0.0.1:1", "--advertise-client-urls=http://127.0.0.1:1",
       "--listen-peer-urls=http://127.0.0.1:12", "--initial-advertise-peer-urls=http://127.0.0.1:12",
       "--initial-cluster=n1=http://127.0.0.1:11,n2=http://127.0.0.1:12", "--initial-cluster-state=" + state});
  EXPECT_EQ(Verdict(outcome), "OK");
  MemoryDisk disk;
  options.data_dir = "/data";
  return PrepareFirstStart(Get(outcome), disk, &others, options);
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
  EXPECT_THAT(std::string(Message(Prepare(others, options))), HasSubstr("member 2 has already been bootstrapped"));
}

}  // namespace
}  // namespace tenon
