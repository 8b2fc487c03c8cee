// The log and the fetched file decide at a start which state this member has; a crash at any step leaves one of the
// two.
#include "kernel/member/install.h"

#include <gmock/gmock.h>

#include "kernel/snapshot/stream_files.h"
#include "plugins/storage-memory/storage_memory.h"
#include "tests/unit/state/sides.h"

namespace tenon::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An engine that persists: storage-memory, whose state is a stream in a file of the disk.
class DiskEngine {
 public:
  explicit DiskEngine(Disk& disk) : disk_(disk), table_(*storage_memory::Vtable()) {
    open_ = this;
    EXPECT_EQ(storage_memory::Vtable()->m.create(host_.get(), nullptr, &self_, nullptr), TENON_OK);
    inner_ = std::make_unique<storage::Engine>(storage_memory::Vtable(), self_);
    table_.m.features |= TENON_ST_PERSIST;
    table_.open = [](void*, const tenon_storage_open* how, tenon_error*) { return open_->Open(how); };
    table_.close = [](void*, tenon_error*) { return Code(open_->inner_->Close()); };
    table_.durable_index = [](void*) { return open_->durable_; };
    table_.persist = [](void*, uint32_t, uint64_t* durable, tenon_error*) {
      const Status status = open_->Persist();
      *durable = open_->durable_;
      return Code(status);
    };
  }
  ~DiskEngine() {
    inner_.reset();
    storage_memory::Vtable()->m.destroy(self_);
  }
  std::unique_ptr<storage::Engine> Make() { return std::make_unique<storage::Engine>(&table_, self_); }

 private:
  static tenon_status Code(const Status& status) { return status.ok() ? TENON_OK : TENON_IO; }
  std::string Path() const { return folder_ + "/store"; }
  tenon_status Open(const tenon_storage_open* how) {
    folder_ = storage::View(how->dir);
    durable_ = 0;
    const Status status = [&]() -> Status {
      RETURN_IF_ERROR(inner_->Open(folder_));
      ASSIGN_OR_RETURN(const bool exists, disk_.Exists(Path()));
      if (!exists) return Ok();
      ASSIGN_OR_RETURN(const auto file, disk_.OpenFile(Path(), Disk::Open::kRead));
      ASSIGN_OR_RETURN(const Index index, snapshot::ReadStream(snapshot::FileSource(*file), *inner_));
      durable_ = index.value;
      return Ok();
    }();
    if (!status.ok()) inner_->Close().IgnoreError();
    return Code(status);
  }
  Status Persist() {
    std::string bytes;
    ASSIGN_OR_RETURN(const Index index, snapshot::WriteStream(*inner_, storage::AllTables(), snapshot::Into(bytes)));
    ASSIGN_OR_RETURN(const auto file, disk_.OpenFile(Path() + ".tmp", Disk::Open::kCreateOrTruncate));
    RETURN_IF_ERROR(file->WriteAt(0, bytes));
    RETURN_IF_ERROR(file->Sync());
    RETURN_IF_ERROR(disk_.Rename(Path() + ".tmp", Path()));
    RETURN_IF_ERROR(disk_.SyncDirectory(folder_));
    durable_ = index.value;
    return Ok();
  }

  static inline DiskEngine* open_ = nullptr;
  Disk& disk_;
  FakeHost host_;
  tenon_storage_v1 table_;
  void* self_ = nullptr;
  std::unique_ptr<storage::Engine> inner_;
  std::string folder_;
  uint64_t durable_ = 0;
};

raft::SnapshotMeta Meta(uint64_t index, uint64_t term) {
  return {.index = Index(index), .term = Term(term), .conf = {.voters = {kGiver, kTaker}}};
}
raft::Entry MakeEntry(uint64_t term, uint64_t index) {
  return {.term = Term(term), .index = Index(index), .payload = std::make_shared<raft::Payload>("entry")};
}
// A state at `index`, as a stream.
std::string StateAt(uint64_t index) {
  snapshot::TestEngine engine("memory");
  engine.Put("key", fmt::format("state{}", index), "v", index);
  engine.Put("alarm", "alarm", "", index);
  std::string bytes;
  EXPECT_TRUE(snapshot::WriteStream(*engine, storage::AllTables(), snapshot::Into(bytes)).ok());
  return bytes;
}

// A member that has applied 5 entries, over an engine that persists or not.
class InstallTest : public ::testing::TestWithParam<bool> {
 protected:
  static constexpr char kDir[] = "/data";
  struct Life {
    DataDir data;
    std::unique_ptr<storage::Engine> engine;
  };

  void SetUp() override { Found(); }
  bool persistent() const { return GetParam(); }

  std::unique_ptr<storage::Engine> NewEngine() {
    if (persistent()) return (engine_ = std::make_unique<DiskEngine>(*disk_))->Make();
    return storage::Engine::Create(storage_memory::Vtable(), host_.get(), nullptr).value();
  }
  // The data directory of a member at index 5, term 1.
  void Found(uint64_t seed = 1) {
    disk_ = std::make_unique<MemoryDisk>(seed);
    const auto data = DataDir::Open(*disk_, kDir, "", "e").value();
    auto wal = wal::Wal::Create(*disk_, data.wal(), "metadata", kLog).value();
    for (uint64_t i = 1; i <= 5; i++) {
      const raft::Entry entry = MakeEntry(1, i);
      const raft::HardState state{.term = Term(1), .vote = 0, .commit = Index(i)};
      ASSERT_TRUE(wal->Append(&state, {&entry, 1}).ok());
    }
    ASSERT_TRUE(wal->SaveSnapshot(Meta(4, 1)).ok());
    ASSERT_TRUE(wal->Sync().ok());
    auto engine = NewEngine();
    ASSERT_TRUE(engine->Open(data.engine()).ok());
    for (uint64_t i = 4; i <= 5; i++) Put(*engine, fmt::format("own{}", i), i);
    if (persistent()) {
      ASSERT_TRUE(engine->Persist(true).ok());
    } else {
      ASSERT_TRUE(snapshot::StreamFiles(*disk_, data.streams()).Save(*engine, Index(5)).ok());
    }
    ASSERT_TRUE(engine->Close().ok());
    auto index = snapshot::NewFile::Create(*disk_, data.index(), "index").value();
    ASSERT_TRUE(index->Append("an index of the former state").ok());
    ASSERT_TRUE(index->Commit(3).ok());
  }
  void Put(storage::Engine& engine, std::string_view key, uint64_t index) {
    char applied[8];
    PutBigEndian64(applied, index);
    const tenon_op ops[] = {
        storage::PutOp(*engine.Table("key", TENON_TABLE_APPEND), key, "v"),
        storage::PutOp(*engine.Table("meta", TENON_TABLE_SMALL), storage::meta::kConsistentIndex, {applied, 8})};
    ASSERT_TRUE(engine.Apply(ops, Index(index)).ok());
  }

  // What a fetch leaves.
  Status Fetched(uint64_t index, std::string bytes = "") {
    if (bytes.empty()) bytes = StateAt(index);
    ASSIGN_OR_RETURN(auto file, snapshot::NewFile::Create(*disk_, kSnapFolder, snapshot::kFetchedSuffix));
    RETURN_IF_ERROR(file->Append(bytes));
    return file->Commit(index);
  }
  // What the log writer makes of Ready.snapshot, and of entries behind it.
  Status Recorded(uint64_t index, bool with_state = true, uint64_t entries = 0) {
    ASSIGN_OR_RETURN(auto opened, wal::Wal::Open(*disk_, std::string(kDir) + "/member/wal", {}, Index(0), kLog));
    auto& wal = opened.first;
    RETURN_IF_ERROR(wal->SaveSnapshot(Meta(index, 2)));
    const raft::HardState state{.term = Term(2), .vote = 0, .commit = Index(index)};
    std::vector<raft::Entry> more;
    for (uint64_t i = 1; i <= entries; i++) more.push_back(MakeEntry(2, index + i));
    RETURN_IF_ERROR(wal->Append(with_state ? &state : nullptr, more));
    return wal->Sync();
  }
  Result<Life> Start() {
    ASSIGN_OR_RETURN(DataDir data, DataDir::Open(*disk_, kDir, "", "e"));
    Life life{std::move(data), NewEngine()};
    RETURN_IF_ERROR(InstallFetchedState(*disk_, life.data, *life.engine, kLog));
    RETURN_IF_ERROR(life.engine->Open(life.data.engine()));
    if (!persistent()) RETURN_IF_ERROR(snapshot::StreamFiles(*disk_, life.data.streams()).Load(*life.engine));
    return life;
  }
  // The applied index, and the keys.
  static std::pair<uint64_t, std::vector<std::string>> Shown(storage::Engine& engine) {
    storage::Snapshot at = engine.OpenSnapshot().value();
    std::vector<std::string> keys;
    for (const auto& [key, value] : ReadTable(at, *engine.FindTable("key"))) keys.push_back(key);
    const std::string_view index = at.Get(*engine.FindTable("meta"), storage::meta::kConsistentIndex).value();
    return {GetBigEndian64(index.data()), keys};
  }
  void ExpectOwn(Result<Life> life) {
    ASSERT_TRUE(life.ok()) << life.status();
    EXPECT_EQ(Shown(*life->engine).first, 5u);
    EXPECT_THAT(Shown(*life->engine).second, ElementsAre("own4", "own5"));
    EXPECT_TRUE(disk_->Exists("/data/member/index/0000000000000003.index").value());
  }
  void ExpectInstalled(Result<Life> life, uint64_t index) {
    ASSERT_TRUE(life.ok()) << life.status();
    EXPECT_EQ(Shown(*life->engine).first, index);
    EXPECT_THAT(Shown(*life->engine).second, ElementsAre(fmt::format("state{}", index)));
    EXPECT_FALSE(disk_->Exists("/data/member/index/0000000000000003.index").value()) << "it is of the former state";
    const std::vector<std::string> files = disk_->List(kSnapFolder).value();
    EXPECT_EQ(files, persistent() ? std::vector<std::string>() : std::vector{snapshot::NumberedName(index, "stream")});
    // And the log goes on from there.
    const auto log = wal::Wal::Open(*disk_, life->data.wal(), Meta(index, 2), Index(index), kLog);
    EXPECT_TRUE(log.ok()) << log.status();
  }

  static constexpr wal::Options kLog{.segment_bytes = 16384};
  FakeHost host_;
  std::unique_ptr<MemoryDisk> disk_;
  std::unique_ptr<DiskEngine> engine_;
};

TEST_P(InstallTest, WithoutAFetchedStateNothingHappens) {
  const auto data = DataDir::Open(*disk_, kDir, "", "e").value();
  const uint64_t opened = disk_->operations();
  ASSERT_TRUE(InstallFetchedState(*disk_, data, *NewEngine(), kLog).ok());
  EXPECT_EQ(disk_->operations(), opened);
}

TEST_P(InstallTest, AStateThatTheLogNamesTakesTheFormersPlace) {
  ASSERT_TRUE(Fetched(100).ok());
  ASSERT_TRUE(Recorded(100, true, 3).ok());
  ExpectInstalled(Start(), 100);
  ExpectInstalled(Start(), 100);  // and stays
}

TEST_P(InstallTest, AStateThatTheLogDoesNotNameIsRemoved) {
  ASSERT_TRUE(Fetched(100).ok());
  ExpectOwn(Start());
  EXPECT_FALSE(disk_->Exists(std::string(kSnapFolder) + "/" + snapshot::NumberedName(100, "fetched")).value());
}

TEST_P(InstallTest, ARecordWithoutItsCommitCountsForNothing) {
  ASSERT_TRUE(Fetched(100).ok());
  ASSERT_TRUE(Recorded(100, /*with_state=*/false).ok());
  ExpectOwn(Start());
}

TEST_P(InstallTest, OfSeveralTheOneThatTheLogNames) {
  ASSERT_TRUE(Fetched(90).ok());
  ASSERT_TRUE(Fetched(100).ok());
  ASSERT_TRUE(Fetched(110).ok());
  ASSERT_TRUE(Recorded(100).ok());
  ExpectInstalled(Start(), 100);
}

TEST_P(InstallTest, APersistOfTheFormerStateThatCameLaterDoesNotHideIt) {
  ASSERT_TRUE(Fetched(100).ok());
  ASSERT_TRUE(Recorded(100).ok());
  auto wal = wal::Wal::Open(*disk_, "/data/member/wal", Meta(100, 2), Index(100), kLog).value();
  ASSERT_TRUE(wal.first->SaveSnapshot(Meta(5, 1)).ok());
  ASSERT_TRUE(wal.first->Sync().ok());
  ExpectInstalled(Start(), 100);
}

TEST_P(InstallTest, ADamagedStateIsSaidAndNothingIsLost) {
  std::string bytes = StateAt(100);
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(Fetched(100, bytes).ok());
  ASSERT_TRUE(Recorded(100).ok());
  for (int i = 0; i < 2; i++) {
    const auto life = Start();
    EXPECT_EQ(life.status().code(), StatusCode::kDataLoss);
    EXPECT_THAT(std::string(Message(life.status())), HasSubstr("is damaged"));
    EXPECT_THAT(std::string(Message(life.status())), HasSubstr("let it join again with an empty data-dir"));
  }
  EXPECT_TRUE(disk_->Exists("/data/member/index/0000000000000003.index").value());
}

TEST_P(InstallTest, AFullDiskIsSaidAndItWorksWithMoreRoom) {
  ASSERT_TRUE(Fetched(100).ok());
  ASSERT_TRUE(Recorded(100).ok());
  disk_->SetCapacity(0);
  EXPECT_EQ(Start().ok(), !persistent()) << "renaming takes no room";
  disk_->SetCapacity(UINT64_MAX);
  ExpectInstalled(Start(), 100);
}

// From the fetch to the first start with the new state, and on: the power goes or the process is killed before each
// operation of the disk in turn, and then again during the start after it.
TEST_P(InstallTest, CutAtEveryStepThereIsOneOfTheTwoStates) {
  uint64_t own = 0, installed = 0, again = 0;
  const auto all = [&](uint64_t& recorded) -> Status {
    recorded = 0;
    RETURN_IF_ERROR(Fetched(100));
    RETURN_IF_ERROR(Recorded(100, true, 2));
    recorded = 1;
    return Start().status();
  };
  for (const auto loss : {MemoryDisk::Loss::kNothing, MemoryDisk::Loss::kEverything, MemoryDisk::Loss::kRandom}) {
    for (uint64_t step = 0;; step++) {
      SCOPED_TRACE(fmt::format("power cut at operation {}, loss {}", step, static_cast<int>(loss)));
      Found(step + 1);
      disk_->CutPowerAt(step);
      uint64_t recorded;
      const bool finished = all(recorded).ok();
      // What a kill leaves in the page cache may still be lost: the next start sees it, then the power goes.
      disk_->KillProcess();
      if (step % 2 == 0) disk_->LosePower(loss);
      disk_->CutPowerAt(step % 23);
      const bool second = Start().ok();
      again += !second;
      disk_->LosePower(loss);
      Result<Life> life = Start();
      ASSERT_TRUE(life.ok()) << life.status();
      const uint64_t index = Shown(*life->engine).first;
      ASSERT_TRUE(index == 5 || index == 100) << index;
      // The log and the state fit, as Member::RecoverLog puts them together.
      raft::SnapshotMeta from;
      for (const auto& meta : wal::Wal::Snapshots(*disk_, life->data.wal()).value()) {
        if (meta.index <= Index(index) && meta.index >= from.index) from = meta;
      }
      const auto log = wal::Wal::Open(*disk_, life->data.wal(), from, Index(index), kLog);
      ASSERT_TRUE(log.ok()) << log.status();
      if (recorded) {
        EXPECT_EQ(index, 100u) << "the log had named it, and said so";
      }
      if (index == 100) {
        ExpectInstalled(std::move(life), 100);
        installed++;
      } else {
        ExpectOwn(std::move(life));
        own++;
      }
      if (finished) break;
    }
  }
  EXPECT_GT(own, 10u);
  EXPECT_GT(installed, 10u);
  EXPECT_GT(again, 10u);
}

INSTANTIATE_TEST_SUITE_P(Engines, InstallTest, ::testing::Values(true, false),
                         [](const auto& info) { return info.param ? "persistent" : "memory"; });

}  // namespace
}  // namespace tenon::testing
