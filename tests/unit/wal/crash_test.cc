// Crashes at every step, and power losses by the seed: what was synced is there, and nothing that was never written.
#include <random>

#include "tests/unit/wal/log_fixture.h"

namespace tenon::wal {
namespace {

// What was handed to the log, record by record, to compare with what comes back.
struct History {
  struct Record {
    std::vector<raft::Entry> entry;  // none or one
    raft::HardState state;
    raft::SnapshotMeta snapshot;
  };
  std::vector<Record> records;
  size_t synced = 0;

  // The log that a restart must show if it found the first n records.
  Recovered After(size_t n, const raft::SnapshotMeta& from) const {
    Recovered log;
    for (size_t i = 0; i < n; i++) {
      const Record& record = records[i];
      for (const raft::Entry& e : record.entry) {
        std::erase_if(log.entries, [&](const raft::Entry& old) { return old.index >= e.index; });
        if (e.index > from.index) log.entries.push_back(e);
      }
      if (record.state != raft::HardState{}) log.hard_state = record.state;
    }
    if (!log.entries.empty() && log.entries.back().term > log.hard_state.term) {
      log.hard_state = {.term = log.entries.back().term, .vote = 0, .commit = log.hard_state.commit};
    }
    return log;
  }
};

bool Same(const Recovered& a, const Recovered& b) {
  return a.hard_state == b.hard_state && Show(a.entries) == Show(b.entries);
}

// A member that appends, syncs, snapshots and releases at random.
class RandomWriter {
 public:
  RandomWriter(LogFixture& log, uint64_t seed) : log_(log), random_(seed) {}

  // False: the disk refused.
  bool Step() {
    switch (random_() % 10) {
      case 0: return Snapshot();
      case 1: return Release();
      case 2:
      case 3:
      case 4: return SyncAll();
      default: return AppendBatch();
    }
  }

  // Finds the point in the history that the recovered log shows, and goes on from there.
  testing::AssertionResult Matches(const Recovered& recovered) {
    for (size_t n = history_.synced; n <= history_.records.size(); n++) {
      const Recovered expected = history_.After(n, from_);
      if (!Same(expected, recovered)) continue;
      history_.records.resize(n);
      history_.records.push_back({.state = expected.hard_state});
      history_.synced = history_.records.size();  // Open has synced what it found
      state_ = expected.hard_state;
      last_ = expected.entries.empty() ? from_.index : expected.entries.back().index;
      last_term_ = expected.entries.empty() ? from_.term : expected.entries.back().term;
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << "no point at or after the last sync shows " << Show(recovered.entries).size()
                                       << " entries up to commit " << recovered.hard_state.commit;
  }
  const raft::SnapshotMeta& from() const { return from_; }

 private:
  bool AppendBatch() {
    if (random_() % 8 == 0) state_.term = state_.term + 1;
    state_.term = std::max({state_.term, last_term_, Term(1)});
    state_.vote = 0x8e9e05c52164694d;
    if (random_() % 6 == 0 && state_.term > last_term_ && last_ > state_.commit) {  // a new leader cuts off the log
      last_ = state_.commit + random_() % (last_ - state_.commit + 1);
    }
    std::vector<raft::Entry> entries;
    for (uint64_t n = random_() % 5; n > 0; n--) {
      last_ = last_ + 1;
      last_term_ = state_.term;
      const size_t size = random_() % 20 == 0 ? 3000 : random_() % 300;
      entries.push_back(MakeEntry(last_term_.value, last_.value, std::string(size, static_cast<char>('a' + n))));
      if (size % 7 == 0) entries.back().payload = std::make_shared<raft::Payload>(std::string(size + 1, '\0'));
      history_.records.push_back({.entry = {entries.back()}});
    }
    if (last_ > state_.commit) state_.commit = state_.commit + random_() % (last_ - state_.commit + 1);
    history_.records.push_back({.state = state_});
    return log_.wal->Append(&state_, entries).ok();
  }
  bool SyncAll() {
    if (!log_.wal->Sync().ok()) return false;
    history_.synced = history_.records.size();
    return true;
  }
  bool Snapshot() {
    if (state_.commit <= from_.index) return true;
    const raft::SnapshotMeta snapshot = MakeSnapshot(state_.commit.value, TermAt(state_.commit).value);
    if (!log_.wal->SaveSnapshot(snapshot).ok() || !SyncAll()) return false;
    from_ = snapshot;
    return true;
  }
  bool Release() {
    if (!log_.wal->ReleaseTo(from_.index).ok()) return false;
    history_.synced = history_.records.size();
    return true;
  }
  Term TermAt(Index index) const {
    Term term;
    for (const History::Record& record : history_.records) {
      for (const raft::Entry& e : record.entry) {
        if (e.index == index) term = e.term;
      }
    }
    return term;
  }

  LogFixture& log_;
  std::mt19937_64 random_;
  History history_;
  raft::SnapshotMeta from_;
  raft::HardState state_;
  Index last_;
  Term last_term_;
};

TEST(CrashTest, WhatWasSyncedSurvivesPowerLoss) {
  size_t torn = 0, cuts = 0;
  for (uint64_t seed = 1; seed <= 2000; seed++) {
    LogFixture log(seed, /*segment_bytes=*/4096);
    log.Create();
    RandomWriter writer(log, seed);
    for (int crash = 0; crash < 3; crash++) {
      log.disk.CutPowerAt(5 + seed * 7 % 60);
      for (int i = 0; i < 200 && writer.Step(); i++) {
      }
      log.disk.LosePower();
      const Status status = log.TryReopen(writer.from());
      ASSERT_TRUE(status.ok()) << status << " seed " << seed << " crash " << crash;
      ASSERT_TRUE(writer.Matches(log.recovered)) << "seed " << seed << " crash " << crash;
      torn += log.recovered.dropped.has_value();
    }
    cuts += log.Segments().size() > 1;
  }
  EXPECT_GT(torn, 100u) << "the seeds must tear tails, or this test shows nothing";
  EXPECT_GT(cuts, 100u);
}

// Create, then fill three segments, snapshot and release; the power goes before each operation in turn.
TEST(CrashTest, ACrashBetweenAnyTwoOperationsIsHarmless) {
  const auto run = [](LogFixture& log) {
    auto created = Wal::Create(log.disk, LogFixture::kDir, "metadata", log.options);
    if (!created.ok()) return 0;
    log.wal = *std::move(created);
    for (uint64_t i = 1; i <= 30; i++) {
      const raft::Entry entry = MakeEntry(1, i, std::string(400, 'x'));
      const raft::HardState state = MakeState(1, i - 1);
      if (!log.wal->Append(&state, {&entry, 1}).ok() || !log.wal->Sync().ok()) return static_cast<int>(i) - 1;
      if (i % 10 != 0) continue;
      if (!log.wal->SaveSnapshot(MakeSnapshot(i - 1, 1)).ok() || !log.wal->ReleaseTo(Index(i - 1)).ok()) {
        return static_cast<int>(i);
      }
    }
    return 30;
  };
  LogFixture whole;
  EXPECT_EQ(run(whole), 30);
  const uint64_t operations = whole.disk.operations();
  ASSERT_GT(operations, 80u);

  for (uint64_t cut = 0; cut < operations; cut++) {
    for (const auto loss : {MemoryDisk::Loss::kEverything, MemoryDisk::Loss::kNothing, MemoryDisk::Loss::kRandom}) {
      LogFixture log(cut + 1);
      log.disk.CutPowerAt(cut);
      const int synced = run(log);
      const bool created = log.wal != nullptr;
      log.wal.reset();
      log.disk.LosePower(loss);
      if (!Wal::Exists(log.disk, LogFixture::kDir).value()) {
        ASSERT_FALSE(created) << "cut " << cut;
        log.Create();  // nothing is in the way
        continue;
      }
      const Result<std::vector<raft::SnapshotMeta>> snapshots = Wal::Snapshots(log.disk, LogFixture::kDir);
      ASSERT_TRUE(snapshots.ok()) << snapshots.status() << " cut " << cut;
      const Status status = log.TryReopen(snapshots->back());
      ASSERT_TRUE(status.ok()) << status << " cut " << cut;
      ASSERT_GE(log.wal->last_index(), Index(synced)) << "cut " << cut;
    }
  }
}

// The same for each operation that fails without a crash: the writer stops, and what it had synced is there.
TEST(CrashTest, AnErrorInAnyOperationStopsTheWriter) {
  for (const StatusCode code : {StatusCode::kInternal, StatusCode::kResourceExhausted}) {
    for (uint64_t n = 0; n < 60; n++) {
      LogFixture log(n + 1);
      log.Create();
      log.disk.FailOperation(n, code);
      uint64_t synced = 0;
      Status status;
      for (uint64_t i = 1; i <= 40 && status.ok(); i++) {
        const raft::Entry entry = MakeEntry(1, i, std::string(700, 'x'));
        status = log.wal->Append(nullptr, {&entry, 1});
        if (status.ok()) status = log.wal->Sync();
        if (status.ok()) synced = i;
      }
      ASSERT_EQ(status.code(), code) << n;
      EXPECT_EQ(log.wal->Sync(), status) << n;
      log.disk.LosePower();
      const Status reopened = log.TryReopen();
      ASSERT_TRUE(reopened.ok()) << reopened << " " << n;
      EXPECT_GE(log.recovered.entries.size(), synced) << n;
    }
  }
}

}  // namespace
}  // namespace tenon::wal
