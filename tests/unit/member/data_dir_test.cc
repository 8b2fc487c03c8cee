// Whose data directory is it? What is not ours is refused, with the owner's name if we know it, and left alone.
#include "kernel/member/data_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/memory_disk.h"

namespace tenon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class DataDirTest : public ::testing::Test {
 protected:
  DataDirTest() { EXPECT_TRUE(disk.MakeDirectory("/data").ok()); }
  void File(const std::string& path) {
    ASSERT_TRUE(disk.MakeDirectory(path.substr(0, path.rfind('/'))).ok());
    ASSERT_TRUE(disk.OpenFile(path, Disk::Open::kCreate).ok());
  }
  std::string Open(const std::string& engine = "memory") {
    const Result<DataDir> dir = DataDir::Open(disk, "/data", "", engine);
    return dir.ok() ? "OK" : std::string(Message(dir.status()));
  }
  MemoryDisk disk;
};

TEST_F(DataDirTest, EmptyFolderBecomesOursAndStaysSo) {
  EXPECT_EQ(Open(), "OK");
  EXPECT_EQ(Open(), "OK");
  EXPECT_THAT(Open("wiredtiger"), HasSubstr("was written with the engine memory"));
}

TEST_F(DataDirTest, EtcdIsKnownByItsDatabase) {
  File("/data/member/snap/db");
  EXPECT_THAT(Open(), HasSubstr("/data holds the data of an etcd server"));
  EXPECT_THAT(disk.List("/data").value(), ElementsAre("member"));
}

TEST_F(DataDirTest, EtcdIsKnownByItsLog) {
  File("/data/member/wal/0000000000000000-0000000000000000.wal");
  EXPECT_THAT(Open(), HasSubstr("/data holds the data of an etcd server"));
}

TEST_F(DataDirTest, SomebodyElsesMemberFolderIsNotCalledEtcds) {
  for (const char* path : {"/data/member/wal/notes.txt", "/data/member/snap/readme", "/data/member/list"}) {
    File(path);
    EXPECT_THAT(Open(), HasSubstr("/data is not a data directory of Tenon's")) << path;
    EXPECT_THAT(Open(), Not(HasSubstr("etcd"))) << path;
    EXPECT_THAT(disk.List("/data").value(), ElementsAre("member"));
  }
}

}  // namespace
}  // namespace tenon
