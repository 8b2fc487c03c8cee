#include "kernel/os/disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

namespace tenon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DiskTest : public testing::Test {
 protected:
  DiskTest() {
    std::string name = testing::TempDir() + "/tenon-disk-XXXXXX";
    root_ = ::mkdtemp(name.data());
  }
  ~DiskTest() override { std::filesystem::remove_all(root_); }

  std::string Path(const std::string& name) const { return root_ + "/" + name; }
  std::unique_ptr<File> Open(const std::string& name, Disk::Open how) {
    Result<std::unique_ptr<File>> file = disk_.OpenFile(Path(name), how);
    EXPECT_TRUE(file.ok()) << file.status();
    return std::move(file).value();
  }
  static std::string Read(File& file, uint64_t offset, size_t n) {
    std::string bytes(n, '\0');
    bytes.resize(file.ReadAt(offset, bytes.data(), n).value());
    return bytes;
  }
  static mode_t ModeOf(const std::string& path) {
    struct stat s {};
    EXPECT_EQ(::stat(path.c_str(), &s), 0);
    return s.st_mode & 0777;
  }

  OsDisk disk_;
  std::string root_;
};

TEST_F(DiskTest, WhatIsWrittenIsReadBack) {
  auto file = Open("a", Disk::Open::kCreate);
  ASSERT_TRUE(file->WriteAt(2, "hello").ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(Read(*Open("a", Disk::Open::kRead), 0, 100), std::string("\0\0hello", 7));
  ASSERT_TRUE(file->Truncate(3).ok());
  EXPECT_EQ(file->Size().value(), 3u);
  EXPECT_EQ(Read(*file, 3, 10), "");
}

TEST_F(DiskTest, NobodyElseMayRead) {
  Open("a", Disk::Open::kCreate);
  ASSERT_TRUE(disk_.MakeDirectory(Path("x/y")).ok());
  EXPECT_EQ(ModeOf(Path("a")), 0600u);
  EXPECT_EQ(ModeOf(Path("x")), 0700u);
  EXPECT_EQ(ModeOf(Path("x/y")), 0700u);
}

TEST_F(DiskTest, ErrorsNameOperationPathAndReason) {
  const Status missing = disk_.OpenFile(Path("no"), Disk::Open::kRead).status();
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_EQ(Message(missing), "open " + Path("no") + ": No such file or directory");
  Open("a", Disk::Open::kCreate);
  EXPECT_EQ(disk_.OpenFile(Path("a"), Disk::Open::kCreate).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(disk_.Remove(Path("no")).code(), StatusCode::kNotFound);
  EXPECT_THAT(std::string(Message(disk_.MakeDirectory(Path("a/b")))), HasSubstr("Not a directory"));
  EXPECT_THAT(std::string(Message(Open("a", Disk::Open::kRead)->WriteAt(0, "x"))), HasSubstr("pwrite " + Path("a")));
}

TEST_F(DiskTest, ALockIsHeldOnceAndGoesWithItsOwner) {
  auto lock = disk_.Lock(Path("lock"));
  ASSERT_TRUE(lock.ok());
  const Status second = disk_.Lock(Path("lock")).status();
  EXPECT_EQ(second.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Message(second), Path("lock") + ": locked by another process");
  lock->reset();
  EXPECT_TRUE(disk_.Lock(Path("lock")).ok());
}

TEST_F(DiskTest, DirectoriesAreListedRenamedAndRemoved) {
  ASSERT_TRUE(disk_.MakeDirectory(Path("d/e")).ok());
  ASSERT_TRUE(disk_.MakeDirectory(Path("d/e")).ok());
  Open("d/2", Disk::Open::kCreate);
  Open("d/1", Disk::Open::kCreateOrTruncate);
  ASSERT_TRUE(disk_.Rename(Path("d/2"), Path("d/3")).ok());
  EXPECT_THAT(disk_.List(Path("d")).value(), ElementsAre("1", "3", "e"));
  EXPECT_TRUE(disk_.SyncDirectory(Path("d")).ok());
  EXPECT_TRUE(disk_.RemoveTree(Path("d")).ok());
  EXPECT_TRUE(disk_.RemoveTree(Path("d")).ok());
  EXPECT_FALSE(disk_.Exists(Path("d")).value());
}

TEST_F(DiskTest, SpaceIsKnown) {
  const DiskSpace space = disk_.Space(root_).value();
  EXPECT_GT(space.total_bytes, 0u);
  EXPECT_LE(space.free_bytes, space.total_bytes);
}

}  // namespace
}  // namespace tenon
