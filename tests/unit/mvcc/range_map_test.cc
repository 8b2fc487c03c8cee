// Ranges that hold a key: against a list that is searched from end to end.
#include "kernel/mvcc/range_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kernel/mvcc/history.h"

namespace tenon::mvcc {
namespace {

const std::string kOpen(1, '\0');

std::string RandomKey(std::mt19937& random) {
  std::string key;
  for (size_t n = 1 + random() % 3; key.size() < n;) key += static_cast<char>('a' + random() % 4);
  return key;
}

KeyRange RandomRange(std::mt19937& random) {
  KeyRange range{RandomKey(random), {}};
  switch (random() % 4) {
    case 0: break;
    case 1: range.end = kOpen; break;
    default:
      range.end = RandomKey(random);
      if (range.end < range.key) std::swap(range.key, range.end);
      if (range.end == range.key) range.end += 'z';
  }
  return range;
}

TEST(RangeMap, FindsWhatHoldsTheKeyAndNothingElse) {
  for (uint32_t seed = 1; seed <= 20; seed++) {
    std::mt19937 random(seed);
    RangeMap<int> map;
    std::vector<RangeMap<int>::Node*> model;
    size_t looks = 0;
    for (int step = 0; step < 600; step++) {
      if (model.empty() || random() % 5 < 3) {
        RangeMap<int>::Node& node = map.At(RandomRange(random));
        if (std::find(model.begin(), model.end(), &node) == model.end()) model.push_back(&node);
      } else {
        const size_t at = random() % model.size();
        map.Erase(*model[at]);
        model.erase(model.begin() + static_cast<ptrdiff_t>(at));
      }
      const std::string key = RandomKey(random);
      std::vector<const RangeMap<int>::Node*> found, wanted;
      map.Visit(key, [&](RangeMap<int>::Node& node) { found.push_back(&node); });
      for (const auto* node : model) {
        if (node->range().Contains(key)) wanted.push_back(node);
      }
      std::sort(found.begin(), found.end());
      std::sort(wanted.begin(), wanted.end());
      ASSERT_EQ(found, wanted) << "seed " << seed << " step " << step << " key " << key;
      looks += wanted.size();
    }
    EXPECT_EQ(map.size(), model.size());
    EXPECT_GT(looks, 1000u);
  }
}

TEST(RangeMap, TheSameRangeIsTheSameNode) {
  RangeMap<int> map;
  for (const KeyRange& range : {KeyRange{"a", ""}, KeyRange{"a", "b"}, KeyRange{"a", kOpen}}) {
    EXPECT_EQ(&map.At(range), &map.At(range));
  }
  EXPECT_EQ(map.size(), 3u);
}

TEST(KeySet, IsTheUnionOfItsRanges) {
  for (uint32_t seed = 1; seed <= 50; seed++) {
    std::mt19937 random(seed);
    std::vector<KeyRange> ranges;
    for (size_t n = random() % 8; ranges.size() < n;) ranges.push_back(RandomRange(random));
    const KeySet set(ranges);
    for (int i = 0; i < 200; i++) {
      const std::string key = RandomKey(random);
      const bool wanted = std::any_of(ranges.begin(), ranges.end(), [&](const auto& r) { return r.Contains(key); });
      ASSERT_EQ(set.Contains(key), wanted) << "seed " << seed << " key " << key;
    }
  }
}

}  // namespace
}  // namespace tenon::mvcc
