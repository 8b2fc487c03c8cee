// What survives kill -9 at any moment, and files that were damaged meanwhile. What every engine promises beside that is
// tried by tenon-plugin-check (cli/plugin_check/storage_*).
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "tests/abi/storage_fixture.h"

namespace tenon::testing {
namespace {

namespace fs = std::filesystem;

class StorageDurabilityTest : public StorageTest {
 protected:
  void SetUp() override {
    StorageTest::SetUp();
    if (!Persists()) GTEST_SKIP() << "this engine begins empty at each open";
  }
  Status TryOpen(uint32_t flags = 0) {
    auto engine = Create();
    return engine->Open(directory_.path(), flags);
  }
};

TEST_P(StorageDurabilityTest, AnotherEnginesFilesAreLeftAlone) {
  std::ofstream(directory_.path() + "/data.mdb") << "not ours";
  const Status refused = TryOpen();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition) << refused;
  EXPECT_NE(Message(refused).find("data.mdb"), std::string_view::npos) << refused;
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_.path()), fs::directory_iterator()), 1);
}

TEST_P(StorageDurabilityTest, ReadOnlyShowsTheStoreAndRefusesToWrite) {
  EXPECT_FALSE(TryOpen(TENON_OPEN_READ_ONLY).ok()) << "there is no store yet";
  Open();
  Apply({PutOp(t_, "a", "1")});
  ASSERT_TRUE(engine_->Persist(true).ok());
  engine_.reset();
  auto reader = Create();
  const Status opened = reader->Open(directory_.path(), TENON_OPEN_READ_ONLY);
  ASSERT_TRUE(opened.ok()) << opened;
  const uint32_t t = *reader->FindTable("t");
  {
    Snapshot snapshot = *reader->OpenSnapshot();
    EXPECT_EQ(*snapshot.Get(t, "a"), "1");
  }
  const std::vector<tenon_op> ops = {PutOp(t, "a", "2")};
  EXPECT_EQ(reader->Apply(ops, Index(2)).code(), StatusCode::kFailedPrecondition);
}

TEST_P(StorageDurabilityTest, CompactGivesDeletedSpaceBack) {
  Open();
  const std::string value(4000, 'v');
  std::vector<std::string> keys;
  for (int i = 0; i < 8000; i++) keys.push_back(fmt::format("{:08}", i));
  for (size_t i = 0; i < keys.size(); i += 100) {
    std::vector<tenon_op> ops;
    for (size_t j = i; j < i + 100; j++) ops.push_back(PutOp(log_, keys[j], value));
    Apply(ops);
  }
  ASSERT_TRUE(engine_->Persist(true).ok());
  const tenon_storage_stats full = engine_->Stats();
  EXPECT_GE(full.size_bytes, 32'000'000u);
  Apply({DeleteRangeOp(log_, "", keys[7900])});
  ASSERT_TRUE(engine_->Persist(true).ok());
  const tenon_storage_stats deleted = engine_->Stats();
  EXPECT_LT(deleted.size_in_use_bytes, full.size_in_use_bytes / 4);
  EXPECT_EQ(*engine_->Compact(0), false) << "the deadline is over";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(300);
  const auto ns = static_cast<uint64_t>(std::chrono::nanoseconds(deadline.time_since_epoch()).count());
  const auto compacted = engine_->Compact(ns);
  ASSERT_TRUE(compacted.ok()) << compacted.status();
  EXPECT_TRUE(*compacted);
  EXPECT_LT(engine_->Stats().size_bytes, full.size_bytes / 4);
  Snapshot snapshot = Snap();
  EXPECT_EQ(ReadTable(snapshot, log_).size(), 100u);
}

// The child applies batch after batch: batch b puts b under ten keys, appends a row, sometimes with a large value, and
// deletes an old one. It reports each durable index to the parent before it goes on.
[[noreturn]] void ApplyForever(const tenon_storage_v1* table, const std::string& directory, int report, uint64_t seed) {
  FakeHost host;
  auto engine = *Engine::Create(table, host.get(), nullptr);
  if (!engine->Open(directory).ok()) _exit(1);
  const uint32_t t = *engine->Table("t", TENON_TABLE_RANDOM), log = *engine->Table("log", TENON_TABLE_APPEND);
  std::thread persist([&] {
    while (true) {
      const auto durable = engine->Persist(true);
      if (!durable.ok()) _exit(2);
      if (write(report, &durable->value, 8) != 8) _exit(3);
    }
  });
  std::mt19937_64 rng(seed);
  for (uint64_t b = engine->DurableIndex().value + 1;; b++) {
    std::vector<std::string> keys;
    for (int i = 0; i < 10; i++) keys.push_back(fmt::format("k{}", i));
    const std::string value = fmt::format("{:010}", b), old = fmt::format("{:010}", b - std::min<uint64_t>(b, 200));
    const std::string row = value + std::string(b % 97 == 0 ? 100'000 + b : 300, static_cast<char>('a' + b % 26));
    std::vector<tenon_op> ops;
    for (const std::string& key : keys) ops.push_back(PutOp(t, key, value));
    ops.push_back(PutOp(log, value, row));
    ops.push_back(DeleteOp(log, old));
    if (!engine->Apply(ops, Index(b)).ok()) _exit(4);
  }
}

TEST_P(StorageDurabilityTest, AKilledProcessLeavesAPrefixOfWholeBatches) {
  uint64_t floor = 0, rounds_with_progress = 0;
  std::mt19937_64 rng(20);
  for (int round = 0; round < 24; round++) {
    SCOPED_TRACE(round);
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(pipe_ends[0]);
      ApplyForever(table_, directory_.path(), pipe_ends[1], rng());
    }
    close(pipe_ends[1]);
    // Dies after a seeded number of persists and a seeded moment more.
    const uint64_t persists = 1 + rng() % 12;
    uint64_t durable = 0;
    for (uint64_t i = 0; i < persists; i++) {
      ASSERT_EQ(read(pipe_ends[0], &durable, 8), 8) << "the child ended by itself";
      floor = std::max(floor, durable);
    }
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(rng() % 30'000);
    while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    kill(child, SIGKILL);
    int how = 0;
    ASSERT_EQ(waitpid(child, &how, 0), child);
    ASSERT_TRUE(WIFSIGNALED(how)) << "exit " << WEXITSTATUS(how);
    while (read(pipe_ends[0], &durable, 8) == 8) floor = std::max(floor, durable);
    close(pipe_ends[0]);

    Open();
    const uint64_t index = engine_->DurableIndex().value;
    ASSERT_GE(index, floor);
    rounds_with_progress += index > 0;
    {
      Snapshot snapshot = Snap();
      const Rows rows = ReadTable(snapshot, t_), log = ReadTable(snapshot, log_);
      ASSERT_EQ(rows.size(), index > 0 ? 10u : 0u);
      for (const auto& [key, value] : rows) ASSERT_EQ(value, fmt::format("{:010}", index));
      ASSERT_EQ(log.size(), std::min<uint64_t>(index, 200));
      uint64_t b = index - log.size();
      for (const auto& [key, value] : log) {
        b++;
        ASSERT_EQ(key, fmt::format("{:010}", b));
        ASSERT_EQ(value.size(), 10 + (b % 97 == 0 ? 100'000 + b : 300));
        ASSERT_EQ(value.find_first_not_of(static_cast<char>('a' + b % 26), 10), std::string::npos);
      }
    }
    engine_.reset();
    floor = std::max(floor, index);
  }
  EXPECT_GT(rounds_with_progress, 20u);
}

// Damage to the files of a store.
class StorageDamageTest : public StorageDurabilityTest {
 protected:
  void SetUp() override {
    StorageDurabilityTest::SetUp();
    if (IsSkipped()) return;
    Open();
    for (int i = 0; i < 200; i++) {
      const std::string key = fmt::format("{:08}", i), value(3000, static_cast<char>(i));
      Apply({PutOp(t_, key, value), PutOp(log_, key, value)});
    }
    ASSERT_TRUE(engine_->Persist(true).ok());
    engine_.reset();
    ASSERT_TRUE(TryOpen().ok());
  }
  std::string File(const std::string& name) { return directory_.path() + "/wt/" + name; }
  void ExpectRefusedAsCorrupt() {
    const Status status = TryOpen();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status;
    EXPECT_GT(Message(status).size(), 30u) << status;
  }
};

TEST_P(StorageDamageTest, DeletedTurtle) {
  fs::remove(File("WiredTiger.turtle"));
  ExpectRefusedAsCorrupt();
  ExpectRefusedAsCorrupt();  // nothing was made in its place
}

TEST_P(StorageDamageTest, TurtleCutAnywhere) {
  const auto size = fs::file_size(File("WiredTiger.turtle"));
  const std::string saved = directory_.path() + ".saved";
  fs::copy(directory_.path(), saved, fs::copy_options::recursive);
  // Every length but the last few, where only the end of a line is missing and nothing is lost.
  int refused = 0;
  for (uintmax_t keep = 0; keep < size; keep += size / 24) {
    SCOPED_TRACE(keep);
    fs::resize_file(File("WiredTiger.turtle"), keep);
    ExpectRefusedAsCorrupt();
    refused++;
    fs::remove_all(directory_.path());
    fs::copy(saved, directory_.path(), fs::copy_options::recursive);
  }
  fs::remove_all(saved);
  EXPECT_GE(refused, 24);
  EXPECT_TRUE(TryOpen().ok());
}

TEST_P(StorageDamageTest, MissingMetadata) {
  fs::remove(File("WiredTiger.wt"));
  ExpectRefusedAsCorrupt();
}

TEST_P(StorageDamageTest, MissingTable) {
  fs::remove(File("t_t.wt"));
  ExpectRefusedAsCorrupt();
}

TEST_P(StorageDamageTest, CutTable) {
  fs::resize_file(File("t_log.wt"), fs::file_size(File("t_log.wt")) / 2 / 4096 * 4096);
  ExpectRefusedAsCorrupt();
}

TEST_P(StorageDamageTest, CutMetadata) {
  fs::resize_file(File("WiredTiger.wt"), 4096);
  ExpectRefusedAsCorrupt();
}

TEST_P(StorageDamageTest, FlippedBytesAreFoundWhenRead) {
  {
    std::fstream file(File("t_log.wt"), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(File("t_log.wt")) / 3));
    file << std::string(8192, '\x5a');
  }
  auto engine = Create();
  Status status = engine->Open(directory_.path());
  if (status.ok()) {
    const auto log = engine->FindTable("log");
    status = log.status();
    if (log.ok()) {
      const uint32_t tables[] = {*log};
      status = engine->Verify(true, tables, nullptr);
    }
  }
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status;
  engine.reset();
  // The engine also told the host that it cannot go on.
  EXPECT_EQ(host_.Fatals().size(), 1u);
  host_.ClearFatals();
}

std::vector<std::string> PersistentEngines() {
  std::vector<std::string> names;
  for (const std::string& name : EngineNames()) {
    if (EngineTable(name)->m.features & TENON_ST_PERSIST) names.push_back(name);
  }
  return names;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StorageDurabilityTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StorageDamageTest);
INSTANTIATE_TEST_SUITE_P(Engines, StorageDurabilityTest, ::testing::ValuesIn(PersistentEngines()), NameOf);
INSTANTIATE_TEST_SUITE_P(Engines, StorageDamageTest, ::testing::ValuesIn(PersistentEngines()), NameOf);

// Without PERSIST an engine begins empty at each open, whatever it held.
TEST(StorageMemoryTest, BeginsEmptyAtEachOpen) {
  FakeHost host;
  TempDirectory directory;
  auto engine = *Engine::Create(EngineTable("memory"), host.get(), nullptr);
  for (int i = 0; i < 2; i++) {
    ASSERT_TRUE(engine->Open(directory.path()).ok());
    const uint32_t t = *engine->Table("t", TENON_TABLE_RANDOM);
    {
      Snapshot snapshot = *engine->OpenSnapshot();
      EXPECT_FALSE(snapshot.Get(t, "a").ok());
    }
    const std::vector<tenon_op> ops = {PutOp(t, "a", "1")};
    ASSERT_TRUE(engine->Apply(ops, Index(5)).ok());
    EXPECT_EQ(engine->DurableIndex(), Index(0));
    EXPECT_EQ(engine->Persist(true).status().code(), StatusCode::kUnimplemented);
    ASSERT_TRUE(engine->Close().ok());
  }
}

#ifdef TENON_HAS_WIREDTIGER
TEST(StorageWiredTigerTest, ConfigurationOutOfRangeIsRefusedWithItsPlace) {
  FakeHost host;
  const auto create = [&](std::map<std::string, std::string> values) {
    return Engine::Create(EngineTable("wiredtiger"), host.get(), host.Config(std::move(values))).status();
  };
  EXPECT_TRUE(create({{"cache", "128MiB"}, {"readers", "16"}}).ok());
  for (const auto& [key, value] :
       std::map<std::string, std::string>{{"cache", "1MiB"}, {"readers", "1"}, {"eviction-threads", "99"}}) {
    const Status status = create({{key, value}});
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << key;
    EXPECT_NE(Message(status).find("test.yaml:7:3: " + key), std::string_view::npos) << status;
  }
  EXPECT_EQ(Message(create({{"cache", "lots"}})), "test.yaml:7:3: cache must be a size such as 64MiB");
}
#endif

}  // namespace
}  // namespace tenon::testing
