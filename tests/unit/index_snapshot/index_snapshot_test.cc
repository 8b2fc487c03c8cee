#include "kernel/mvcc/index_snapshot.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/unit/index_snapshot/history.h"

namespace tenon::mvcc {
namespace {

class IndexSnapshotTest : public ::testing::Test {
 protected:
  IndexSnapshotTest() : world_(clock_, &disk_) { EXPECT_TRUE(disk_.MakeDirectory("/data/member").ok()); }

  void Save() {
    const Status saved = world_.snapshot().WriteIfChanged();
    ASSERT_TRUE(saved.ok()) << saved;
  }
  // After a crash that left the first `batches` of the engine (all of them: nothing was lost).
  std::unique_ptr<World> Reopen(size_t batches = SIZE_MAX) {
    return std::make_unique<World>(clock_, &disk_, world_.past(), std::min(batches, world_.past().size()));
  }
  std::unique_ptr<World> Scanned(size_t batches = SIZE_MAX) {
    return std::make_unique<World>(clock_, nullptr, world_.past(), std::min(batches, world_.past().size()));
  }
  std::string NewestFile() { return std::string(kFolder) + "/" + disk_.List(kFolder)->back(); }

  MemoryDisk disk_;
  ManualClock clock_;
  World world_;
};

TEST_F(IndexSnapshotTest, ALoadedIndexIsTheScannedOne) {
  for (int i = 0; i < 3000; i++) world_.Put(fmt::format("key/{:04}", i * 7919 % 3000));
  for (int i = 0; i < 500; i++) world_.Put(fmt::format("key/{:04}", i), "again");
  world_.Write([](WriteTxn& txn) {
    txn.DeleteRange("key/01", "key/02");
    txn.Put("leased", "x", 77);
  });
  Save();
  const auto loaded = Reopen();
  EXPECT_EQ(loaded->snapshot().revision(), 3502);
  EXPECT_EQ(loaded->store().rows_written(), 0u) << "nothing is scanned";
  EXPECT_EQ(loaded->Entries(), Scanned()->Entries());
  EXPECT_EQ(loaded->Entries(), world_.Entries());
  EXPECT_EQ(loaded->store().revision(), 3502);
}

TEST_F(IndexSnapshotTest, RowsBehindItAreScanned) {
  world_.Put("a");
  world_.Put("b");
  Save();
  world_.Put("a", "2");
  world_.Delete("b");
  world_.Put("c");
  const auto loaded = Reopen();
  EXPECT_EQ(loaded->snapshot().revision(), 3);
  EXPECT_EQ(loaded->store().rows_written(), 3u);
  EXPECT_EQ(loaded->Entries(), Scanned()->Entries());
}

TEST_F(IndexSnapshotTest, OneThatIsNewerThanTheEngineIsNotUsed) {
  world_.Put("a");
  world_.Put("b");
  Save();
  const auto crashed = Reopen(1);  // "b" was not durable in the engine
  EXPECT_EQ(crashed->snapshot().revision(), 0);
  EXPECT_EQ(crashed->Entries(), Scanned(1)->Entries());
}

TEST_F(IndexSnapshotTest, TheOneBeforeItIsUsedThen) {
  world_.Put("a");
  Save();
  world_.Put("b");
  Save();
  EXPECT_EQ(Reopen(1)->snapshot().revision(), 2);
}

TEST_F(IndexSnapshotTest, OneFromBeforeACompactionDoesNotBringKeysBack) {
  world_.Put("dead");
  world_.Put("alive");
  Save();
  world_.Delete("dead");
  world_.Put("alive", "2");
  world_.Compact(5);
  world_.FinishCompaction();  // the tombstone is gone from the engine: only the snapshot knows "dead"
  const auto loaded = Reopen();
  EXPECT_EQ(loaded->snapshot().revision(), 0);
  EXPECT_EQ(loaded->Entries(), Scanned()->Entries());
  EXPECT_EQ(loaded->store().keys(), 1u);
}

TEST_F(IndexSnapshotTest, OneFromAfterACompactionThatTheEngineLostIsNotUsed) {
  world_.Put("a", "1");
  world_.Put("a", "2");
  const size_t before = world_.past().size();
  world_.Compact(3);
  world_.FinishCompaction();
  Save();  // knows nothing of a's first row, which the engine of the crash still holds
  const auto crashed = Reopen(before);
  EXPECT_EQ(crashed->snapshot().revision(), 0);
  crashed->Compact(3);
  crashed->FinishCompaction();
  EXPECT_EQ(crashed->Rows().size(), 1u) << "the row would stay for ever";
}

TEST_F(IndexSnapshotTest, OneOfBeforeTheFirstRemovalServesAtEveryStepOfTheCompaction) {
  World world(clock_, &disk_, {}, 0, {.min_changes = 100, .compaction_interval_ns = 0});
  for (int i = 0; i < 6000; i++) world.Put(fmt::format("key/{:04}", i * 7919 % 2500), fmt::format("{}", i));
  world.Write([](WriteTxn& txn) { txn.DeleteRange("key/0", "key/1"); });
  const int64_t revision = world.store().revision();
  world.Compact(revision);
  ASSERT_TRUE(world.snapshot().WriteIfDue().ok());  // as Applier::before_removal does
  ASSERT_EQ(world.snapshot().revision(), revision);
  const size_t before = world.past().size();
  world.FinishCompaction();
  ASSERT_GT(world.past().size(), before + 3) << "several slices";
  for (size_t left = before; left <= world.past().size(); left++) {
    World loaded(clock_, &disk_, world.past(), left), scanned(clock_, nullptr, world.past(), left);
    EXPECT_EQ(loaded.snapshot().revision(), revision) << left;
    EXPECT_EQ(loaded.store().rows_written(), 0u) << "nothing is scanned";
    EXPECT_EQ(loaded.Alive(revision), scanned.Alive(revision));
    EXPECT_EQ(loaded.store().row_sum(), scanned.store().row_sum());
    loaded.FinishCompaction();
    EXPECT_EQ(loaded.Entries(), world.Entries());
    EXPECT_EQ(loaded.Rows(), world.Rows());
    EXPECT_EQ(loaded.store().row_sum(), world.store().row_sum());
  }
}

TEST_F(IndexSnapshotTest, OneOfAnotherHistoryIsNotUsed) {
  world_.Put("a", "mine");
  Save();
  World other(clock_, nullptr);
  other.Put("b", "not mine");
  World opened(clock_, &disk_, other.past(), other.past().size());
  EXPECT_EQ(opened.snapshot().revision(), 0);
  EXPECT_EQ(opened.Entries(), other.Entries());
}

TEST_F(IndexSnapshotTest, CutAnywhereItIsIgnored) {
  world_.Put("a");
  world_.Put("b");
  world_.Delete("a");
  Save();
  const std::string whole = disk_.Contents(NewestFile());
  const auto expected = world_.Entries();
  for (size_t n = 0; n < whole.size(); n++) {
    disk_.SetContents(NewestFile(), whole.substr(0, n));
    const auto opened = Reopen();
    ASSERT_EQ(opened->snapshot().revision(), 0) << n << " bytes";
    ASSERT_EQ(opened->Entries(), expected);
  }
  disk_.SetContents(NewestFile(), whole);
  EXPECT_EQ(Reopen()->snapshot().revision(), 4);
}

TEST_F(IndexSnapshotTest, DamagedAnywhereItIsIgnored) {
  world_.Put("a");
  world_.Put("b");
  Save();
  const std::string whole = disk_.Contents(NewestFile());
  for (size_t i = 0; i < whole.size(); i++) {
    std::string bytes = whole;
    bytes[i] ^= 0x20;
    disk_.SetContents(NewestFile(), bytes);
    const auto opened = Reopen();
    ASSERT_EQ(opened->snapshot().revision(), 0) << "byte " << i;
    ASSERT_EQ(opened->Entries(), world_.Entries());
  }
}

TEST_F(IndexSnapshotTest, CutAtEveryStepOfWritingAStartIsRight) {
  uint64_t with_new = 0, with_old = 0;
  world_.Put("a");
  Save();
  for (uint64_t step = 0; with_new == 0 || step < 3; step++) {
    ASSERT_LT(step, 100u);
    world_.Put("b", fmt::format("{}", step));
    const int64_t before = world_.snapshot().revision();
    disk_.CutPowerAt(step);
    const bool written = world_.snapshot().WriteIfChanged().ok();
    disk_.LosePower();
    const auto opened = Reopen();
    EXPECT_EQ(opened->Entries(), world_.Entries()) << "power cut at operation " << step;
    if (written) {
      EXPECT_EQ(opened->snapshot().revision(), world_.store().revision());
    } else {
      EXPECT_GE(opened->snapshot().revision(), before);
    }
    (written ? with_new : with_old)++;
  }
  EXPECT_GE(with_old, 3u);
}

TEST_F(IndexSnapshotTest, ItIsDueWhenAQuarterOfTheKeysChanged) {
  World world(clock_, &disk_, {}, 0, {.min_changes = 10, .compaction_interval_ns = 1000});
  for (int i = 0; i < 9; i++) world.Put(fmt::format("{}", i));
  ASSERT_TRUE(world.snapshot().WriteIfDue().ok());
  EXPECT_EQ(world.snapshot().revision(), 0) << "too few to be worth it";
  for (int i = 9; i < 80; i++) world.Put(fmt::format("{}", i));
  ASSERT_TRUE(world.snapshot().WriteIfDue().ok());
  EXPECT_EQ(world.snapshot().revision(), 81);
  for (int i = 0; i < 19; i++) world.Put(fmt::format("{}", i), "again");
  ASSERT_TRUE(world.snapshot().WriteIfDue().ok());
  EXPECT_EQ(world.snapshot().revision(), 81) << "a quarter is 20";
  world.Put("19", "again");
  ASSERT_TRUE(world.snapshot().WriteIfDue().ok());
  EXPECT_EQ(world.snapshot().revision(), 101);
  world.Put("20", "again");
  world.Compact(102);
  ASSERT_TRUE(world.snapshot().WriteIfDue().ok());
  EXPECT_EQ(world.snapshot().revision(), 101) << "not at once after each compaction";
  clock_.now_ns += 1000;
  ASSERT_TRUE(world.snapshot().WriteIfDue().ok());
  EXPECT_EQ(world.snapshot().revision(), 102) << "the old one is of no use any more";
}

TEST_F(IndexSnapshotTest, AChangeSinceTheRevisionIsPassedOver) {
  world_.Put("a");
  KeyIndex::Image image;
  world_.Put("a", "2");
  world_.store().index().Read("", 2, image);
  ASSERT_EQ(image.items.size(), 1u);
  EXPECT_FALSE(image.items[0].known) << "create and version of a former change are in its row";
  EXPECT_EQ(image.items[0].mod, (Revision{2, 0}));
}

// Every prefix of the engine's batches that a crash may leave, with the files of some moment: what the loaded index
// answers is what the scanned one answers, and compactions leave the same rows.
TEST_F(IndexSnapshotTest, RandomHistoriesLoadAsTheyScan) {
  uint64_t used = 0, rejected = 0;
  for (uint32_t seed = 1; seed <= 150; seed++) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return random() % n; };
    MemoryDisk disk(seed);
    ASSERT_TRUE(disk.MakeDirectory("/data/member").ok());
    World world(clock_, &disk);
    const auto key = [&] { return fmt::format("k{}", below(12)); };
    for (int i = 0; i < 120; i++) {
      const uint32_t what = below(100);
      if (what < 50) {
        world.Put(key());
      } else if (what < 70) {
        world.Delete(key());
      } else if (what < 78) {
        world.Write([&](WriteTxn& txn) {
          txn.DeleteRange("k1", "k3");
          txn.Put("k5", "x", 9);
          txn.Put("k7", "x", 0);
        });
      } else if (what < 84) {
        const int64_t from = world.store().compact_revision(), to = world.store().revision();
        if (to > std::max<int64_t>(from, 1))
          world.Compact(std::max<int64_t>(from, 0) + 1 + below(static_cast<uint32_t>(to - std::max<int64_t>(from, 0))));
      } else if (what < 92) {
        world.Step();
      } else {
        ASSERT_TRUE(world.snapshot().WriteIfChanged().ok());
      }
    }
    for (int crash = 0; crash < 6; crash++) {
      const size_t left = world.past().size() - (crash == 0 ? 0 : below(40));
      World loaded(clock_, &disk, world.past(), left), scanned(clock_, nullptr, world.past(), left);
      (loaded.snapshot().revision() > 0 ? used : rejected)++;
      ASSERT_EQ(loaded.store().revision(), scanned.store().revision());
      for (int64_t at = std::max<int64_t>(scanned.store().compact_revision(), 1); at <= scanned.store().revision();
           at++) {
        ASSERT_EQ(loaded.Alive(at), scanned.Alive(at)) << "at " << at;
      }
      loaded.FinishCompaction();
      scanned.FinishCompaction();
      ASSERT_EQ(loaded.Entries(), scanned.Entries());
      ASSERT_EQ(loaded.Rows(), scanned.Rows());
      ASSERT_EQ(loaded.store().row_sum(), scanned.store().row_sum());
    }
  }
  EXPECT_GT(used, 100u);
  EXPECT_GT(rejected, 100u);
}

TEST_F(IndexSnapshotTest, ItIsWrittenBesideWrites) {
  for (int i = 0; i < 20'000; i++) world_.Put(fmt::format("key/{:05}", i));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    std::mt19937 random(7);
    while (!stop) {
      const std::string key = fmt::format("key/{:05}", random() % 20'000);
      random() % 4 == 0 ? world_.Delete(key) : world_.Put(key, "again");
    }
  });
  for (int i = 0; i < 20; i++) {
    const int64_t before = world_.store().revision();
    while (world_.store().revision() == before) std::this_thread::yield();
    Save();
  }
  stop = true;
  writer.join();
  const auto loaded = Reopen();
  EXPECT_GT(loaded->snapshot().revision(), 20'001);
  EXPECT_EQ(loaded->Entries(), world_.Entries());
}

}  // namespace
}  // namespace tenon::mvcc
