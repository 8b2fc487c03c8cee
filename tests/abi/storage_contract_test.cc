// What include/tenon/abi/storage.h promises of every engine, beside durability (storage_durability_test.cc).
#include <algorithm>
#include <random>

#include "tests/abi/storage_fixture.h"

namespace tenon::testing {
namespace {

constexpr size_t kMaxValue = 64 << 20;

std::string Value(size_t size, int seed) {
  std::string value(size, '\0');
  uint64_t x = 0x9e3779b97f4a7c15ull * static_cast<uint64_t>(seed + 1);
  for (size_t i = 0; i < size; i++) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    value[i] = static_cast<char>(x);
  }
  return value;
}

class StorageContractTest : public StorageTest {
 protected:
  void SetUp() override {
    StorageTest::SetUp();
    Open();
  }
};

TEST_P(StorageContractTest, EmptyStoreHasNothing) {
  EXPECT_EQ(engine_->DurableIndex(), Index(0));
  Snapshot snapshot = Snap();
  EXPECT_EQ(snapshot.Get(t_, "a").status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(ReadTable(snapshot, t_).empty());
  EXPECT_EQ(engine_->FindTable("absent").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(*engine_->FindTable("t"), t_);
  EXPECT_EQ(*engine_->Table("t", TENON_TABLE_SMALL), t_);
}

TEST_P(StorageContractTest, SnapshotSeesWhatWasAppliedBeforeItAndNothingElse) {
  Snapshot before = Snap();
  Apply({PutOp(t_, "a", "1"), PutOp(log_, "a", "x")});
  Snapshot middle = Snap();
  Apply({PutOp(t_, "a", "2"), DeleteOp(log_, "a")});
  Snapshot after = Snap();
  EXPECT_FALSE(before.Get(t_, "a").ok());
  EXPECT_EQ(*middle.Get(t_, "a"), "1");
  EXPECT_EQ(*middle.Get(log_, "a"), "x");
  EXPECT_EQ(*after.Get(t_, "a"), "2");
  EXPECT_FALSE(after.Get(log_, "a").ok());
}

TEST_P(StorageContractTest, LaterOperationsOfABatchSeeEarlierOnes) {
  Apply({PutOp(t_, "a", "1"), PutOp(t_, "b", "1"), PutOp(t_, "c", "1"), DeleteRangeOp(t_, "a", "c"),
         PutOp(t_, "b", "2")});
  Snapshot snapshot = Snap();
  EXPECT_EQ(ReadTable(snapshot, t_), (Rows{{"b", "2"}, {"c", "1"}}));
  Apply({DeleteOp(t_, "absent"), DeleteRangeOp(t_, "x", "b"), DeleteRangeOp(t_, "b", "b"), PutOp(t_, "d", ""),
         DeleteRangeOp(t_, "c", "")});
  Snapshot next = Snap();
  EXPECT_EQ(ReadTable(next, t_), (Rows{{"b", "2"}}));
  Apply({PutOp(t_, "a", "3"), DeleteRangeOp(t_, "", "b")});
  Snapshot last = Snap();
  EXPECT_EQ(ReadTable(last, t_), (Rows{{"b", "2"}}));
  Apply({DeleteRangeOp(t_, "", "")});
  Snapshot none = Snap();
  EXPECT_TRUE(ReadTable(none, t_).empty());
}

TEST_P(StorageContractTest, KeysMayHoldAnyBytesUpTo511) {
  const std::vector<std::string> keys = {
      std::string(1, '\0'),     std::string(2, '\0'),    std::string(511, '\0'),    std::string("\0\1", 2), "a",
      std::string("a\0", 2),    std::string("a\0\0", 3), std::string("a\0\0\1", 4), std::string("a\1", 2),  "aa",
      std::string(510, '\xff'), std::string(511, '\xff')};
  Rows model;
  for (const std::string& key : keys) {
    model[key] = "v" + key;
    Apply({PutOp(t_, key, model[key])});
  }
  Snapshot snapshot = Snap();
  EXPECT_EQ(ReadTable(snapshot, t_), model);
  for (const std::string& key : keys) EXPECT_EQ(*snapshot.Get(t_, key), model[key]);
}

TEST_P(StorageContractTest, ValuesOfAllSizesComeBackWhole) {
  Rows model;
  int seed = 0;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{511}, size_t{4096}, size_t{8191}, size_t{8192}, size_t{8193},
                            size_t{16383}, size_t{16384}, size_t{16385}, size_t{32768}, size_t{65535}, size_t{65536},
                            size_t{65537}, size_t{5} << 20, kMaxValue}) {
    const std::string key = "k" + std::to_string(size) + std::string(size % 2 ? 500 : 0, '\0');
    model[key] = Value(size, ++seed);
    Apply({PutOp(t_, key, model[key])});
  }
  {
    Snapshot snapshot = Snap();
    for (const auto& [key, value] : model) {
      const auto got = snapshot.Get(t_, key);
      ASSERT_TRUE(got.ok()) << key.size();
      EXPECT_TRUE(*got == value) << "value of " << value.size() << " bytes differs";
      EXPECT_NE(got->data(), nullptr);
    }
    EXPECT_TRUE(ReadTable(snapshot, t_) == model);
  }
  // Each large value becomes small, each small one large, and half of them go.
  std::vector<tenon_op> ops;
  int i = 0;
  for (auto& [key, value] : model) {
    value = Value(value.size() > 10'000 ? i % 3 : 100'000 + i, ++seed);
    if (i++ % 2 == 0) value.clear();
    ops.push_back(PutOp(t_, key, value));
  }
  Apply(ops);
  Snapshot snapshot = Snap();
  EXPECT_TRUE(ReadTable(snapshot, t_) == model);
}

TEST_P(StorageContractTest, MultiGetTellsAbsentFromEmptyAndStopsAtTheByteLimit) {
  const std::string big = Value(20'000, 1);
  Apply({PutOp(t_, "a", "1"), PutOp(t_, "b", ""), PutOp(t_, "d", big), PutOp(t_, "e", "5")});
  Snapshot snapshot = Snap();
  const std::vector<tenon_slice> keys = {Slice("a"), Slice("b"), Slice("c"), Slice("d"), Slice("e"), Slice("f")};
  tenon_slice values[6];
  ASSERT_EQ(*snapshot.MultiGet(t_, keys, 1 << 20, values), 6u);
  EXPECT_EQ(View(values[0]), "1");
  EXPECT_NE(values[1].p, nullptr);
  EXPECT_EQ(values[1].n, 0u);
  EXPECT_EQ(values[2].p, nullptr);
  EXPECT_EQ(View(values[3]), big);
  EXPECT_EQ(View(values[4]), "5");
  EXPECT_EQ(values[5].p, nullptr);
  EXPECT_EQ(*snapshot.MultiGet(t_, keys, 0, values), 1u) << "the first row exceeds it";
  EXPECT_EQ(*snapshot.MultiGet(t_, keys, 1000, values), 4u);
  EXPECT_EQ(View(values[3]), big);
}

TEST_P(StorageContractTest, CursorRespectsRowAndByteLimits) {
  for (int i = 0; i < 9; i++) Apply({PutOp(t_, "k" + std::to_string(i), Value(100, i))});
  Snapshot snapshot = Snap();
  Cursor cursor = *snapshot.OpenCursor(t_, "", "");
  std::vector<tenon_kv> rows(9);
  EXPECT_EQ(*cursor.Next(std::span(rows).first(4), 1 << 20), 4u);
  EXPECT_EQ(*cursor.Next(rows, 0), 1u);
  EXPECT_EQ(View(rows[0].key), "k4");
  EXPECT_EQ(*cursor.Next(rows, 150), 2u);
  EXPECT_EQ(*cursor.Next(rows, 1 << 20), 2u);
  EXPECT_EQ(*cursor.Next(rows, 1 << 20), 0u);
  EXPECT_EQ(*cursor.Next(rows, 1 << 20), 0u);
  ASSERT_TRUE(cursor.Seek("k8").ok());
  EXPECT_EQ(*cursor.Next(rows, 1 << 20), 1u);
}

// Keys that share prefixes, with bytes at both ends of the order.
std::string RandomKey(std::mt19937_64& rng) {
  static const char alphabet[] = {'\0', '\1', 'a', 'b', '\xff'};
  std::string key;
  const size_t length = rng() % 50 == 0 ? 480 + rng() % 32 : 1 + rng() % 4;
  for (size_t i = 0; i < length; i++) key += alphabet[rng() % sizeof alphabet];
  return key;
}

std::string RandomValue(std::mt19937_64& rng) {
  static const size_t sizes[] = {0, 1, 30, 300, 3000};
  static const size_t large[] = {8191, 8192, 8193, 16384, 16385, 40'000, 100'000};
  const size_t size = rng() % 20 == 0 ? large[rng() % std::size(large)] : sizes[rng() % std::size(sizes)];
  return Value(size, static_cast<int>(rng() % 1000));
}

std::vector<std::pair<std::string, std::string>> Expected(const Rows& model, const std::string& low,
                                                          const std::string& high, uint32_t flags) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (auto it = model.lower_bound(low); it != model.end() && (high.empty() || it->first < high); ++it) {
    rows.emplace_back(it->first, (flags & TENON_CUR_KEYS_ONLY) ? "" : it->second);
  }
  if (flags & TENON_CUR_REVERSE) std::reverse(rows.begin(), rows.end());
  return rows;
}

struct View2 {  // a snapshot and what it must show
  Snapshot snapshot;
  Rows model[2];
};

void Compare(View2& view, const uint32_t* tables, std::mt19937_64& rng) {
  const int which = static_cast<int>(rng() % 2);
  const Rows& model = view.model[which];
  const uint32_t table = tables[which];
  const auto bound = [&] { return rng() % 4 == 0 ? std::string() : RandomKey(rng); };
  const std::string low = bound(), high = bound();
  const auto flags = static_cast<uint32_t>(rng() % 8);
  const size_t max_rows = 1 + rng() % 70, max_bytes = rng() % 3 == 0 ? rng() % 5000 : 1 << 20;
  auto cursor = view.snapshot.OpenCursor(table, low, high, flags);
  ASSERT_TRUE(cursor.ok()) << cursor.status();
  ASSERT_TRUE(ReadAll(*cursor, max_rows, max_bytes) == Expected(model, low, high, flags));
  for (int i = 0; i < 3; i++) {
    const std::string to = bound();
    ASSERT_TRUE(cursor->Seek(to).ok());
    std::vector<tenon_kv> some(1 + rng() % 5);
    if (rng() % 2 == 0) {  // leave it half read: the next seek must not care
      ASSERT_TRUE(cursor->Next(some, 1 << 20).ok());
      continue;
    }
    const bool reverse = (flags & TENON_CUR_REVERSE) != 0;
    const std::string from = reverse ? low : std::max(low, to);
    const std::string until = !reverse || to.empty() ? high : high.empty() ? to : std::min(high, to);
    ASSERT_TRUE(ReadAll(*cursor, max_rows, max_bytes) == Expected(model, from, until, flags));
  }
  std::vector<std::string> keys;
  for (int i = 0; i < 20; i++) keys.push_back(RandomKey(rng));
  for (auto it = model.begin(); it != model.end() && keys.size() < 60; ++it) keys.push_back(it->first);
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::vector<tenon_slice> slices;
  for (const std::string& key : keys) slices.push_back(Slice(key));
  std::vector<tenon_slice> values(keys.size());
  for (size_t from = 0; from < keys.size();) {
    const auto done = view.snapshot.MultiGet(table, std::span(slices).subspan(from), 20'000, values.data());
    ASSERT_TRUE(done.ok() && *done > 0);
    for (size_t i = 0; i < *done; i++) {
      const auto row = model.find(keys[from + i]);
      ASSERT_EQ(values[i].p != nullptr, row != model.end());
      if (row != model.end()) {
        ASSERT_TRUE(View(values[i]) == row->second);
      }
    }
    from += *done;
  }
  const std::string key = keys[rng() % keys.size()];
  const auto got = view.snapshot.Get(table, key);
  ASSERT_EQ(got.ok(), model.contains(key));
  if (got.ok()) {
    ASSERT_TRUE(*got == model.at(key));
  }
}

TEST_P(StorageContractTest, RandomBatchesAgreeWithTheModel) {
  const uint32_t tables[2] = {t_, log_};
  for (const uint64_t seed : {1, 2, 3, 4}) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    Rows model[2];
    std::vector<View2> views;
    Apply({DeleteRangeOp(t_, "", ""), DeleteRangeOp(log_, "", "")});
    for (int batch = 0; batch < 300; batch++) {
      std::vector<std::string> bytes(200);  // what the operations borrow
      size_t used = 0;
      const auto keep = [&](std::string s) -> const std::string& { return bytes[used++] = std::move(s); };
      std::vector<tenon_op> ops;
      const size_t n = rng() % 3 == 0 ? rng() % 60 : 1 + rng() % 4;
      for (size_t i = 0; i < n; i++) {
        const int which = static_cast<int>(rng() % 2);
        Rows& rows = model[which];
        const std::string& key = keep(RandomKey(rng));
        const int kind = static_cast<int>(rng() % 40);
        if (kind < 28) {
          const std::string& value = keep(RandomValue(rng));
          rows[key] = value;
          ops.push_back(PutOp(tables[which], key, value));
        } else if (kind < 39) {
          rows.erase(key);
          ops.push_back(DeleteOp(tables[which], key));
        } else {
          const std::string& high = keep(rng() % 8 == 0 ? "" : RandomKey(rng));
          if (high.empty() || key < high) {
            rows.erase(rows.lower_bound(key), high.empty() ? rows.end() : rows.lower_bound(high));
          }
          ops.push_back(DeleteRangeOp(tables[which], key, high));
        }
      }
      Apply(ops);
      if (rng() % 4 == 0) views.push_back({Snap(), {model[0], model[1]}});
      if (views.size() > 5) views.erase(views.begin() + static_cast<long>(rng() % views.size()));
      if (!views.empty()) {
        ASSERT_NO_FATAL_FAILURE(Compare(views[rng() % views.size()], tables, rng));
      }
      if (Persists() && rng() % 40 == 0) {
        ASSERT_TRUE(engine_->Persist(true).ok());
      }
    }
  }
}

// Many rows, so that trees grow, split and shrink again.
TEST_P(StorageContractTest, TenThousandsOfRowsInOrderAndInRandomOrder) {
  std::mt19937_64 rng(7);
  Rows model;
  std::vector<int> order(20'000);
  for (size_t i = 0; i < order.size(); i++) order[i] = static_cast<int>(i);
  const auto key = [](int i) { return fmt::format("{:08}", i); };
  for (const bool shuffled : {false, true}) {
    if (shuffled) std::shuffle(order.begin(), order.end(), rng);
    for (size_t i = 0; i < order.size(); i += 100) {
      std::vector<std::string> keys;
      for (size_t j = i; j < i + 100; j++) keys.push_back(key(order[j]));
      std::vector<tenon_op> ops;
      for (const std::string& k : keys)
        ops.push_back(PutOp(log_, k, model[k] = Value(20, static_cast<int>(rng() % 99))));
      Apply(ops);
    }
    Snapshot full = Snap();
    ASSERT_TRUE(ReadTable(full, log_) == model);
    for (int i = 0; i < 200; i++) {
      const int from = static_cast<int>(rng() % order.size());
      const std::string low = key(from), high = key(from + static_cast<int>(rng() % 150));
      model.erase(model.lower_bound(low), model.lower_bound(high));
      model.erase(low);
      Apply({DeleteRangeOp(log_, low, high), DeleteOp(log_, low)});
    }
    Snapshot holes = Snap();
    ASSERT_TRUE(ReadTable(holes, log_) == model);
    for (const int i : order) {
      if (rng() % 10 == 0) continue;
      model.erase(key(i));
      Apply({DeleteOp(log_, key(i))});
    }
    Snapshot few = Snap();
    ASSERT_TRUE(ReadTable(few, log_) == model);
  }
}

TEST_P(StorageContractTest, TwoInstancesDoNotKnowEachOther) {
  TempDirectory elsewhere;
  std::unique_ptr<Engine> second = Create();
  ASSERT_TRUE(second->Open(elsewhere.path()).ok());
  const uint32_t other = *second->Table("t", TENON_TABLE_RANDOM);
  Apply({PutOp(t_, "a", "first")});
  const std::vector<tenon_op> ops = {PutOp(other, "a", "second")};
  ASSERT_TRUE(second->Apply(ops, Index(9)).ok());
  Snapshot one = Snap();
  Snapshot two = *second->OpenSnapshot();
  EXPECT_EQ(*one.Get(t_, "a"), "first");
  EXPECT_EQ(*two.Get(other, "a"), "second");
}

TEST_P(StorageContractTest, StatsCountSnapshotsAndBytes) {
  Apply({PutOp(t_, "a", Value(1 << 20, 1))});
  if (Persists()) {
    ASSERT_TRUE(engine_->Persist(true).ok());
  }
  Snapshot one = Snap(), two = Snap();
  const tenon_storage_stats stats = engine_->Stats();
  EXPECT_EQ(stats.open_snaps, 2u);
  EXPECT_EQ(stats.applied_index, index_);
  EXPECT_GE(stats.size_bytes, 1u << 20);
  EXPECT_GE(stats.size_in_use_bytes, 1u << 20);
  EXPECT_LE(stats.size_in_use_bytes, stats.size_bytes);
}

TEST_P(StorageContractTest, HashOfTheRowsIsTheSameForEveryEngine) {
  Apply({PutOp(t_, "a", "1"), PutOp(t_, "b", Value(100'000, 2)), PutOp(t_, "c", "3")});
  Snapshot snapshot = Snap();
  const uint32_t all = *snapshot.Hash(t_, "", "");
  EXPECT_EQ(all, *snapshot.Hash(t_, "a", "d"));
  EXPECT_NE(all, *snapshot.Hash(t_, "a", "c"));
  EXPECT_EQ(*snapshot.Hash(t_, "x", ""), 0u);
}

TEST_P(StorageContractTest, ABatchForAnUnknownTableIsRefusedForGood) {
  const std::vector<tenon_op> bad = {PutOp(t_, "a", "1"), PutOp(t_ + 100, "a", "1")};
  EXPECT_EQ(engine_->Apply(bad, Index(1)).code(), StatusCode::kInvalidArgument);
  Snapshot snapshot = Snap();
  EXPECT_FALSE(snapshot.Get(t_, "a").ok()) << "nothing of the batch is visible";
  const std::vector<tenon_op> good = {PutOp(t_, "a", "1")};
  EXPECT_FALSE(engine_->Apply(good, Index(2)).ok()) << "an error of apply is final";
}

INSTANTIATE_TEST_SUITE_P(Engines, StorageContractTest, ::testing::ValuesIn(EngineNames()), NameOf);

}  // namespace
}  // namespace tenon::testing
