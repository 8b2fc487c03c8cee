// The key index against a map that remembers every change.
#include "kernel/mvcc/key_index.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "fmt/format.h"
#include "kernel/mvcc/key_value.h"

namespace tenon::mvcc {
namespace {

std::string Key(uint64_t i) { return fmt::format("key{:04}", i); }
Block Row(std::string_view key, int64_t revision, size_t value_bytes = 20) {
  return EncodeBlock({.key = key, .mod_revision = revision, .value = std::string(value_bytes, 'v')});
}

// What a change left behind: nothing is a tombstone.
struct Written {
  Revision revision;
  bool tombstone;
};

class Model {
 public:
  explicit Model(size_t cache_bytes) : index(cache_bytes) {}

  void Put(const std::string& key, Revision at, size_t value_bytes = 20) {
    KeyIndex::Entry* entry = index.Find(key);
    const bool alive = entry != nullptr && !entry->tombstone();
    index.Put(entry, key, at, alive ? entry->create_main : at.main, alive ? entry->version + 1 : 1, at.main * 10,
              Row(key, at.main, value_bytes));
    history[key].push_back({at, false});
  }
  void Delete(const std::string& key, Revision at) {
    KeyIndex::Entry* entry = index.Find(key);
    if (entry == nullptr || entry->tombstone()) return;
    index.Tombstone(entry, at);
    history[key].push_back({at, true});
  }
  // The row that holds `key` at `at`.
  std::optional<Revision> At(const std::string& key, int64_t at) const {
    std::optional<Revision> found;
    const auto it = history.find(key);
    if (it == history.end()) return found;
    for (const Written& w : it->second) {
      if (w.revision.main <= at) found = w.tombstone ? std::nullopt : std::optional(w.revision);
    }
    return found;
  }
  std::vector<std::pair<std::string, Revision>> Range(const std::string& from, const std::string& to,
                                                      int64_t at) const {
    std::vector<std::pair<std::string, Revision>> out;
    for (auto it = history.lower_bound(from); it != history.end() && (to.empty() || it->first < to); ++it) {
      if (const auto revision = At(it->first, at)) out.emplace_back(it->first, *revision);
    }
    return out;
  }
  // etcd's rule: of what was written up to `compact` only what is seen there stays, and a tombstone of that very
  // revision.
  std::set<std::pair<int64_t, int64_t>> Surviving(int64_t compact) const {
    std::set<std::pair<int64_t, int64_t>> rows;
    for (const auto& [key, writes] : history) {
      for (size_t i = 0; i < writes.size(); i++) {
        const bool last = i + 1 == writes.size() || writes[i + 1].revision.main > compact;
        const bool seen = last && (!writes[i].tombstone || writes[i].revision.main == compact);
        if (writes[i].revision.main > compact || seen) rows.emplace(writes[i].revision.main, writes[i].revision.sub);
      }
    }
    return rows;
  }
  std::set<std::pair<int64_t, int64_t>> Rows() const {
    std::set<std::pair<int64_t, int64_t>> rows;
    for (const auto& [key, writes] : history) {
      for (const Written& w : writes) rows.emplace(w.revision.main, w.revision.sub);
    }
    return rows;
  }

  KeyIndex index;
  std::map<std::string, std::vector<Written>> history;
};

std::vector<std::pair<std::string, Revision>> Found(const std::vector<KeyIndex::Hit>& hits) {
  std::vector<std::pair<std::string, Revision>> out;
  for (const KeyIndex::Hit& hit : hits) out.emplace_back(hit.entry->key(), hit.revision);
  return out;
}

void ExpectLike(Model& model, std::mt19937& random, int64_t lowest, int64_t newest, uint64_t keys) {
  for (int i = 0; i < 40; i++) {
    const int64_t at = lowest + static_cast<int64_t>(random() % static_cast<uint64_t>(newest - lowest + 2));
    const std::string from = Key(random() % keys), to = random() % 3 == 0 ? "" : Key(random() % keys);
    const auto expected = model.Range(from, to, at);
    std::vector<KeyIndex::Hit> hits;
    ASSERT_EQ(model.index.Range(from, to, at, 0, true, &hits), static_cast<int64_t>(expected.size()));
    ASSERT_EQ(Found(hits), expected);
    for (const KeyIndex::Hit& hit : hits) {
      if (!hit.record) continue;
      KeyValue kv;
      ASSERT_TRUE(Decode(hit.record.view(), kv));
      ASSERT_EQ(kv.mod_revision, hit.revision.main);
      ASSERT_EQ(kv.key, hit.entry->key());
    }
    const int64_t limit = 1 + static_cast<int64_t>(random() % 5);
    hits.clear();
    const int64_t seen = model.index.Range(from, to, at, limit, false, &hits);
    ASSERT_EQ(seen, std::min<int64_t>(limit, static_cast<int64_t>(expected.size())));
    ASSERT_EQ(hits.size(), static_cast<size_t>(seen));
    hits.clear();
    ASSERT_EQ(model.index.Range(from, to, at, limit, true, &hits), static_cast<int64_t>(expected.size()));
    ASSERT_EQ(hits.size(), static_cast<size_t>(seen));
    KeyIndex::Hit hit;
    const auto one = model.At(from, at);
    ASSERT_EQ(model.index.Get(from, at, hit), one.has_value());
    ASSERT_TRUE(!one || hit.revision == *one);
    ASSERT_EQ(model.index.RevisionAt(from, at), one);
  }
}

// budget, keys
class KeyIndexModelTest : public ::testing::TestWithParam<std::pair<size_t, uint64_t>> {};

TEST_P(KeyIndexModelTest, EveryRevisionAnswersAsItWas) {
  const auto [budget, keys] = GetParam();
  for (uint32_t seed = 1; seed <= 5; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Model model(budget);
    int64_t revision = 1, compacted = 0;
    std::set<std::pair<int64_t, int64_t>> removed;
    for (int round = 0; round < 30; round++) {
      for (int i = 0; i < 40; i++) {
        revision++;
        std::set<uint64_t> touched;  // a transaction changes a key once
        for (int64_t sub = 0; sub < 1 + static_cast<int64_t>(random() % 3); sub++) {
          const uint64_t key = random() % keys;
          if (!touched.insert(key).second) continue;
          if (random() % 3 == 0) {
            model.Delete(Key(key), {revision, sub});
          } else {
            model.Put(Key(key), {revision, sub}, random() % 200);
          }
        }
      }
      ASSERT_LE(model.index.cached_bytes(), budget);
      ExpectLike(model, random, std::max<int64_t>(compacted, 1), revision, keys);
      if (random() % 2 != 0) continue;
      compacted += static_cast<int64_t>(random() % static_cast<uint64_t>(revision - compacted + 1));
      std::vector<KeyIndex::RemovedRow> rows;
      for (std::optional<std::string> from = ""; from;) from = model.index.Compact(*from, compacted, rows);
      for (const auto& row : rows) {
        ASSERT_TRUE(removed.emplace(row.revision.main, row.revision.sub).second) << "removed twice: " << row.revision;
      }
      std::set<std::pair<int64_t, int64_t>> left = model.Rows();
      for (const auto& row : removed) ASSERT_EQ(left.erase(row), 1u);
      ASSERT_EQ(left, model.Surviving(compacted));
      ExpectLike(model, random, std::max<int64_t>(compacted, 1), revision, keys);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(CachesAndSizes, KeyIndexModelTest,
                         ::testing::Values(std::pair<size_t, uint64_t>{0, 20}, std::pair<size_t, uint64_t>{1000, 20},
                                           std::pair<size_t, uint64_t>{4000, 300},
                                           std::pair<size_t, uint64_t>{1 << 20, 3000}));

TEST(KeyIndexTest, RangeGoesOnBehindEachStepOfTheLock) {
  Model model(0);
  for (int64_t i = 0; i < 3 * KeyIndex::kStep + 7; i++) model.Put(Key(static_cast<uint64_t>(i)), {i + 2, 0});
  std::vector<KeyIndex::Hit> hits;
  EXPECT_EQ(model.index.Range("", "", KeyIndex::kNewest, 0, true, &hits), 3 * KeyIndex::kStep + 7);
  EXPECT_EQ(Found(hits), model.Range("", "", KeyIndex::kNewest));
}

TEST(KeyIndexTest, RangeThatEndsBeforeItBeginsIsEmpty) {
  Model model(0);
  model.Put("b", {2, 0});
  EXPECT_EQ(model.index.Count("c", "a", KeyIndex::kNewest), 0);
  EXPECT_EQ(model.index.Count("b", "b", KeyIndex::kNewest), 0);
}

TEST(KeyIndexTest, ReplacedRowIsNotAnsweredFromTheCacheEvenIfTheNewOneDoesNotFit) {
  Model model(1000);
  model.Put("k", {2, 0});
  model.Put("k", {3, 0}, 5000);
  KeyIndex::Hit hit;
  ASSERT_TRUE(model.index.Get("k", 3, hit));
  EXPECT_FALSE(hit.record);
  EXPECT_EQ(model.index.cached_bytes(), 0u);
}

TEST(KeyIndexTest, RowReadByAReaderIsNotCachedOnceItIsOld) {
  Model model(1000);
  model.Put("k", {2, 0}, 5000);  // too large for the cache
  std::vector<KeyIndex::Hit> hits;
  model.index.Range("k", "", 2, 0, true, &hits);
  hits[0].record = Row("k", 2);
  model.index.Put(model.index.Find("k"), "k", {3, 0}, 2, 2, 0, {});
  model.index.Fill(hits, 0, 1);
  KeyIndex::Hit hit;
  ASSERT_TRUE(model.index.Get("k", 3, hit));
  EXPECT_FALSE(hit.record);
}

TEST(KeyIndexTest, WhatIsReadOftenStaysInTheCache) {
  Model model(60 * 100);
  model.Put("hot", {2, 0});
  KeyIndex::Hit hit;
  for (int64_t i = 0; i < 10000; i++) {
    ASSERT_TRUE(model.index.Get("hot", KeyIndex::kNewest, hit));
    model.Put(Key(static_cast<uint64_t>(i) % 3000), {i + 3, 0});
  }
  ASSERT_TRUE(model.index.Get("hot", KeyIndex::kNewest, hit));
  EXPECT_TRUE(hit.record);
  EXPECT_LE(model.index.cached_bytes(), 60u * 100);
}

// One writer, readers at published revisions: each key carries the revision it was written at.
TEST(KeyIndexTest, ReadersSeeOnlyWhatIsPublishedWhileTheWriterGoesOn) {
  static constexpr uint64_t kKeys = 64;
  KeyIndex index(3000);
  std::atomic<int64_t> published{1}, lowest{1};
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  std::atomic<int64_t> reads{0};
  std::atomic<int> wrong{0};
  for (uint64_t i = 0; i < kKeys; i++)
    index.Put(nullptr, Key(i), {1, static_cast<int64_t>(i)}, 1, 1, 0, Row(Key(i), 1));
  for (int r = 0; r < 3; r++) {
    readers.emplace_back([&, r] {
      std::mt19937 random(static_cast<uint32_t>(r));
      while (!stop) {
        const int64_t at = published;
        std::vector<KeyIndex::Hit> hits;
        index.Range("", "", at, 0, true, &hits);
        if (at >= lowest && hits.size() != kKeys) wrong++;
        for (KeyIndex::Hit& hit : hits) {
          if (hit.revision.main > at) wrong++;
          if (!hit.record && random() % 2 == 0) hit.record = Row(hit.entry->key(), hit.revision.main);
        }
        index.Fill(hits, 0, hits.size());
        reads++;
      }
    });
  }
  std::mt19937 random(9);
  int64_t revision = 1;
  for (int i = 0; i < 20000 || reads < 200; i++) {
    revision++;
    const std::string key = Key(random() % kKeys);
    KeyIndex::Entry* entry = index.Find(key);
    index.Put(entry, key, {revision, 0}, 1, entry->version + 1, 0, random() % 4 == 0 ? Block() : Row(key, revision));
    published = revision;
    if (i % 100 == 0) {
      const int64_t compact = revision - 50;
      if (compact <= 1) continue;
      lowest = compact;
      std::vector<KeyIndex::RemovedRow> rows;
      for (std::optional<std::string> from = ""; from;) from = index.Compact(*from, compact, rows);
    }
  }
  stop = true;
  for (std::thread& t : readers) t.join();
  // A reader that was held up for 50 revisions may find less than all keys: it checks `lowest` after it began.
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace tenon::mvcc
