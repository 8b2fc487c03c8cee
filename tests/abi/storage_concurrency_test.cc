// Applies, readers and persist at once: what a reader sees is always whole batches.
#include <atomic>
#include <latch>
#include <random>
#include <thread>

#include "tests/abi/storage_fixture.h"

namespace tenon::testing {
namespace {

constexpr int kKeys = 50;

class StorageConcurrencyTest : public StorageTest {
 protected:
  void SetUp() override {
    StorageTest::SetUp();
    Open();
  }
  static std::string Key(int i) { return fmt::format("{:04}", i); }

  // Batch b writes b to every key of "t", appends row b to "log" and removes row b - 100 of it.
  Status ApplyBatch(uint64_t b) {
    std::vector<std::string> keys;
    for (int i = 0; i < kKeys; i++) keys.push_back(Key(i));
    const std::string value = fmt::format("{:08}", b) + std::string(200, 'v');
    const std::string row = fmt::format("{:08}", b), old = fmt::format("{:08}", b - std::min<uint64_t>(b, 100));
    std::vector<tenon_op> ops;
    for (const std::string& key : keys) ops.push_back(PutOp(t_, key, value));
    ops.push_back(PutOp(log_, row, value));
    if (b > 100) ops.push_back(DeleteOp(log_, old));
    return engine_->Apply(ops, Index(b));
  }

  // Returns the batch that the snapshot shows after checking that it shows no other.
  uint64_t CheckSnapshot(Snapshot& snapshot, uint32_t flags) {
    Cursor cursor = *snapshot.OpenCursor(t_, "", "", flags);
    const auto rows = ReadAll(cursor, 7);
    if (rows.empty()) return 0;
    EXPECT_EQ(rows.size(), static_cast<size_t>(kKeys));
    const std::string batch = rows[0].second.substr(0, 8);
    for (const auto& [key, value] : rows) EXPECT_EQ(value.substr(0, 8), batch);
    const auto last = snapshot.Get(log_, batch);
    EXPECT_TRUE(last.ok()) << batch;
    const uint64_t b = std::stoull(batch);
    EXPECT_FALSE(snapshot.Get(log_, fmt::format("{:08}", b + 1)).ok());
    Cursor log = *snapshot.OpenCursor(log_, "", "");
    EXPECT_EQ(ReadAll(log, 64).size(), std::min<uint64_t>(b, 100));
    return b;
  }
};

TEST_P(StorageConcurrencyTest, ReadersSeeWholeBatchesInOrder) {
  constexpr uint64_t kBatches = 3000;
  std::atomic<bool> done{false};
  std::atomic<uint64_t> applied{0}, checked{0};
  std::latch started(4);
  const auto read = [&](uint32_t flags) {
    started.arrive_and_wait();
    uint64_t before = 0;
    do {
      const uint64_t at_least = applied;
      Snapshot snapshot = Snap();
      const uint64_t batch = CheckSnapshot(snapshot, flags);
      ASSERT_GE(batch, at_least) << "a batch that had returned is not visible";
      ASSERT_GE(batch, before);
      before = batch;
      checked++;
      ASSERT_EQ(CheckSnapshot(snapshot, flags ^ TENON_CUR_REVERSE), batch) << "the snapshot changed";
    } while (!done);
  };
  std::thread forward(read, 0), backward(read, TENON_CUR_REVERSE);
  std::thread persist([&] {
    started.arrive_and_wait();
    while (!done && Persists()) {
      const uint64_t at_least = applied;
      const auto durable = engine_->Persist(true);
      ASSERT_TRUE(durable.ok()) << durable.status();
      ASSERT_GE(durable->value, at_least);
      ASSERT_EQ(engine_->DurableIndex(), *durable);
    }
  });
  started.arrive_and_wait();
  for (uint64_t b = 1; b <= kBatches; b++) {
    const Status status = ApplyBatch(b);
    EXPECT_TRUE(status.ok()) << status;
    applied = b;
  }
  done = true;
  forward.join();
  backward.join();
  persist.join();
  EXPECT_GE(checked, 2u);
  Snapshot last = Snap();
  EXPECT_EQ(CheckSnapshot(last, 0), kBatches);
}

TEST_P(StorageConcurrencyTest, SnapshotsMayCloseOnAnotherThreadAndInAnyOrder) {
  std::mt19937_64 rng(5);
  std::vector<std::pair<Snapshot, uint64_t>> open;
  for (uint64_t b = 1; b <= 400; b++) {
    ASSERT_TRUE(ApplyBatch(b).ok());
    open.emplace_back(Snap(), b);
    if (open.size() < 8) continue;
    const size_t victim = rng() % open.size();
    std::thread closer([&] {
      EXPECT_EQ(CheckSnapshot(open[victim].first, 0), open[victim].second);
      open.erase(open.begin() + static_cast<long>(victim));
    });
    closer.join();
  }
  for (auto& [snapshot, batch] : open) EXPECT_EQ(CheckSnapshot(snapshot, TENON_CUR_REVERSE), batch);
}

TEST_P(StorageConcurrencyTest, TooManySnapshotsAreRefusedAndComeBack) {
  ASSERT_TRUE(ApplyBatch(1).ok());
  std::vector<Snapshot> open;
  Status refused;
  while (open.size() < 2000) {
    auto snapshot = engine_->OpenSnapshot();
    if (!snapshot.ok()) {
      refused = snapshot.status();
      break;
    }
    open.push_back(*std::move(snapshot));
  }
  if (!refused.ok()) {
    EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted) << refused;
  }
  EXPECT_GE(open.size(), 64u);
  EXPECT_EQ(CheckSnapshot(open.back(), 0), 1u);
  open.pop_back();
  Snapshot again = Snap();
  EXPECT_EQ(CheckSnapshot(again, 0), 1u);
}

INSTANTIATE_TEST_SUITE_P(Engines, StorageConcurrencyTest, ::testing::ValuesIn(EngineNames()), NameOf);

}  // namespace
}  // namespace tenon::testing
