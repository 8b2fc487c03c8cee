// What arrives is what was there at one instant, whatever is written and compacted meanwhile, on every engine.
#include "tests/unit/state/sides.h"

namespace tenon::testing {
namespace {

using snapshot::TestEngine;
using Fate = Sides::Fate;

class TransferTest : public ::testing::TestWithParam<std::string> {};

// The state in `bytes` on an engine of each kind: a store opens over it, whose rows add up to their sum, and hashes are
// the giver's.
void ExpectSame(const std::string& bytes, uint64_t index, const snapshot::AllRows& rows,
                const std::map<int64_t, uint32_t>& hashes) {
  for (const std::string& kind : EngineNames()) {
    SCOPED_TRACE(kind);
    TestEngine engine(kind);
    ASSERT_EQ(snapshot::ReadStream(snapshot::From(bytes), *engine).value(), Index(index));
    EXPECT_TRUE(engine.Rows() == rows);
    ManualClock clock;
    const storage::Tables tables = storage::Tables::Open(*engine).value();
    const auto store = mvcc::Store::Open(*engine, tables, clock, {});
    ASSERT_TRUE(store.ok()) << store.status();
    for (const auto& [revision, hash] : hashes) {
      const auto got = mvcc::HashKv(**store, revision);
      ASSERT_TRUE(got.ok()) << got.status() << " at " << revision;
      EXPECT_EQ(got->hash, hash) << "at revision " << revision;
    }
  }
}

TEST_P(TransferTest, WhileWritesAndCompactionsGoOn) {
  uint64_t waited = 0;
  for (uint64_t seed = 1; seed <= 8; seed++) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937_64 random(seed);
    Sides s(GetParam());
    Giver& giver = s.giver;
    if (seed % 4 == 1) giver.Fill();
    for (int i = 0; i < 40; i++) giver.Turn(random);
    giver.Compact(giver.store->revision() / 2);
    // On some seeds the state is fixed in the middle of a removal, on others before or behind it.
    if (seed % 4 == 1) {
      ASSERT_EQ(giver.CompactStep(), mvcc::Store::Step::kMore);
    } else if (seed % 4 == 2) {
      ASSERT_EQ(giver.CompactStep(), mvcc::Store::Step::kFinished);
    }
    std::map<int64_t, uint32_t> hashes;
    snapshot::AllRows rows;
    s.Start(giver.index);
    while (s.fixed.empty()) ASSERT_TRUE(s.RunOne());
    rows = giver.engine.Rows();
    const uint64_t index = giver.index;
    for (int64_t r = giver.store->compact_revision(); r <= giver.store->revision(); r += 7) {
      hashes[r] = mvcc::HashKv(*giver.store, r).value().hash;
    }
    while (!s.result) {
      if (!s.RunOne()) giver.clock.Advance(10'000'000);
      if (random() % 3 != 0) continue;
      switch (random() % 5) {
        case 0: giver.Compact(giver.store->compact_revision() + 1); break;
        case 1: waited += giver.CompactStep() == mvcc::Store::Step::kWait; break;
        default: giver.Turn(random);
      }
    }
    s.Run();
    ASSERT_TRUE(s.result->ok()) << s.result->status();
    const raft::SnapshotMeta& meta = s.result->value();
    EXPECT_EQ(meta.index, Index(index));
    EXPECT_EQ(meta.term, Term(3));
    EXPECT_EQ(meta.conf, (raft::ConfState{.voters = {kGiver, 9}, .learners = {kTaker}}));
    ASSERT_EQ(s.fixed.size(), 1u);
    EXPECT_TRUE(s.Fetched() == s.fixed[0]) << "byte for byte what one engine snapshot showed";
    EXPECT_EQ(s.Files(), std::vector<std::string>{snapshot::NumberedName(index, "fetched")});
    EXPECT_EQ(s.ended, (std::vector<std::pair<MemberId, bool>>{{kTaker, true}}));
    EXPECT_FALSE(s.source->IsOpen());
    ExpectSame(s.fixed[0], index, rows, hashes);
    // And the removal goes on.
    while (giver.CompactStep() == mvcc::Store::Step::kMore) {
    }
    EXPECT_EQ(giver.CompactStep(), mvcc::Store::Step::kNothing);
  }
  EXPECT_GT(waited, 5u) << "no removal was held back: this test shows nothing";
}

TEST_P(TransferTest, AnswersAreLostAndCallsRepeated) {
  uint64_t lost_requests = 0, lost_answers = 0, repeated = 0;
  for (uint64_t seed = 1; seed <= 10; seed++) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937_64 random(seed);
    Sides s(GetParam());
    for (int i = 0; i < 30; i++) s.giver.Turn(random);
    s.fate = [&random](uint64_t) { return static_cast<Fate>(random() % 10 < 4 ? random() % 4 : 0); };
    s.Start();
    s.Finish();
    ASSERT_TRUE(s.result->ok()) << s.result->status();
    EXPECT_TRUE(s.Fetched() == s.fixed.back());
    lost_requests += s.lost_requests;
    lost_answers += s.lost_answers;
    repeated += s.repeated;
  }
  EXPECT_GT(lost_requests, 20u);
  EXPECT_GT(lost_answers, 20u);
  EXPECT_GT(repeated, 20u);
}

TEST_P(TransferTest, SeveralReadAtOnce) {
  std::mt19937_64 random(1);
  Sides s(GetParam());
  for (int i = 0; i < 30; i++) s.giver.Turn(random);
  MemoryDisk disk;
  ASSERT_TRUE(disk.MakeDirectory("/data/member").ok());
  std::optional<Result<raft::SnapshotMeta>> other;
  snapshot::StateFetch second(
      disk, s.giver.clock, s.worker, kSnapFolder,
      [&](MemberId, std::string_view method, std::string request, uint64_t, Peers::Done done) {
        s.source->Call({1, 9}, method, std::move(request),
                       [&s, done = std::move(done)](Status st, std::string a) mutable {
                         s.net.Post([done = std::move(done), st, a]() mutable { done(st, a); });
                       });
      },
      Sides::SmallPieces());
  s.Start();
  while (s.fixed.empty()) ASSERT_TRUE(s.RunOne());
  s.giver.Turn(random);
  ASSERT_TRUE(second.Start(kGiver, Index(s.giver.index), [&](Result<raft::SnapshotMeta> r) { other = std::move(r); }));
  while (s.fixed.size() < 2) ASSERT_TRUE(s.RunOne());
  s.RunOne();
  EXPECT_TRUE(s.source->IsOpenFor(kTaker));
  EXPECT_TRUE(s.source->IsOpenFor(9));
  EXPECT_FALSE(s.source->IsOpenFor(10));
  while (!s.result || !other) {
    s.giver.Turn(random);
    s.RunOne();
  }
  ASSERT_TRUE(s.result->ok() && other->ok());
  EXPECT_EQ(other->value().index.value, s.result->value().index.value + 1);
  EXPECT_TRUE(s.Fetched() == s.fixed[0]);
  EXPECT_TRUE(disk.Contents(fmt::format("{}/{:016x}.fetched", kSnapFolder, other->value().index.value)) == s.fixed[1]);
}

INSTANTIATE_TEST_SUITE_P(Engines, TransferTest, ::testing::ValuesIn(EngineNames()), NameOf);

}  // namespace
}  // namespace tenon::testing
