// What is stored: batches, keys, values, and what a snapshot shows of them.
#include <algorithm>
#include <filesystem>
#include <random>

#include "cli/plugin_check/store.h"

namespace tenon::plugin_check {
namespace {

void Empty(const void* table, const Config& config) {
  Store s(table, config);
  Want(s.engine->DurableIndex() == Index(0), "durable_index of a new store is {}", s.engine->DurableIndex().value);
  Snapshot snapshot = s.Snap();
  Want(snapshot.Get(s.t, "a").status().code() == StatusCode::kNotFound, "get in an empty table is not NOT_FOUND");
  WantRows(snapshot, s.t, {}, "in a new store");
  Want(s.engine->FindTable("absent").status().code() == StatusCode::kNotFound,
       "table without create did not answer NOT_FOUND for a name that nobody made");
  Want(Must(s.engine->FindTable("t"), "table") == s.t, "the id of a table changed");
  Want(Must(s.engine->Table("t", TENON_TABLE_SMALL), "table") == s.t, "the id of a table depends on the hint");
  Must(s.engine->Table("a-Z_0/9.", TENON_TABLE_SMALL), "table with a name of all allowed characters");
  Must(s.engine->Table(std::string(64, 'n'), TENON_TABLE_SMALL), "table with a name of 64 bytes");
}

void Snapshots(const void* table, const Config& config) {
  Store s(table, config);
  Snapshot before = s.Snap();
  s.Apply({PutOp(s.t, "a", "1"), PutOp(s.log, "a", "x")});
  Snapshot middle = s.Snap();
  s.Apply({PutOp(s.t, "a", "2"), DeleteOp(s.log, "a"), PutOp(s.t, "b", "2")});
  Snapshot after = s.Snap();
  Want(!before.Get(s.t, "a").ok(), "a snapshot shows a row that was applied after it");
  Want(Must(middle.Get(s.t, "a"), "get") == "1", "a snapshot shows a value that was applied after it");
  WantRows(middle, s.t, {{"a", "1"}}, "in a snapshot before the second batch");
  WantRows(middle, s.log, {{"a", "x"}}, "in a snapshot before the row was deleted");
  WantRows(after, s.t, {{"a", "2"}, {"b", "2"}}, "in a snapshot after the second batch");
  WantRows(after, s.log, {}, "in a snapshot after the row was deleted");
}

void Batch(const void* table, const Config& config) {
  Store s(table, config);
  const auto is = [&](const Rows& model, const char* when) {
    Snapshot snapshot = s.Snap();
    WantRows(snapshot, s.t, model, when);
  };
  s.Apply({PutOp(s.t, "a", "1"), PutOp(s.t, "b", "1"), PutOp(s.t, "c", "1"), DeleteRangeOp(s.t, "a", "c"),
           PutOp(s.t, "b", "2")});
  is({{"b", "2"}, {"c", "1"}}, "a, b, c put, [a, c) deleted, b put");
  s.Apply({DeleteOp(s.t, "absent"), DeleteRangeOp(s.t, "x", "b"), DeleteRangeOp(s.t, "b", "b")});
  is({{"b", "2"}, {"c", "1"}}, "an absent key and empty ranges deleted");
  s.Apply({PutOp(s.t, "d", ""), DeleteRangeOp(s.t, "c", "")});
  is({{"b", "2"}}, "a range without end deleted");
  s.Apply({PutOp(s.t, "a", "3"), DeleteRangeOp(s.t, "", "b")});
  is({{"b", "2"}}, "a range without begin deleted");
  s.Apply({});
  is({{"b", "2"}}, "an empty batch applied");
  s.Apply({DeleteRangeOp(s.t, "", "")});
  is({}, "everything deleted");
}

void Keys(const void* table, const Config& config) {
  Store s(table, config);
  Rows model;
  for (const std::string& key :
       {std::string(1, '\0'), std::string(2, '\0'), std::string(511, '\0'), std::string("\0\1", 2), std::string("a"),
        std::string("a\0", 2), std::string("a\0\0", 3), std::string("a\0\0\1", 4), std::string("a\1", 2),
        std::string("aa"), std::string("\x7f"), std::string("\x80"), std::string(510, '\xff'),
        std::string(511, '\xff')}) {
    model[key] = "v" + key;
    s.Apply({PutOp(s.t, key, model[key])});
  }
  Snapshot snapshot = s.Snap();
  WantRows(snapshot, s.t, model, "keys of 1 to 511 bytes with any bytes");
  for (const auto& [key, value] : model) {
    Want(Must(snapshot.Get(s.t, key), "get") == value, "get of {} gives another row", Shown(key));
  }
}

void Values(const void* table, const Config& config) {
  Store s(table, config);
  Rows model;
  uint64_t seed = 0;
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{511}, size_t{4095}, size_t{4096}, size_t{8192}, size_t{16384}, size_t{16385},
        size_t{65535}, size_t{65536}, size_t{65537}, size_t{5} << 20, size_t{64} << 20}) {
    const std::string key = "k" + std::to_string(size) + std::string(size % 2 != 0 ? 500 : 0, '\0');
    model[key] = Noise(size, ++seed);
    s.Apply({PutOp(s.t, key, model[key])});
  }
  {
    Snapshot snapshot = s.Snap();
    for (const auto& [key, value] : model) {
      const std::string_view got = Must(snapshot.Get(s.t, key), "get");
      Want(got == value, "get of a value of {} bytes gives {} other bytes", value.size(), got.size());
      Want(got.data() != nullptr, "get of an empty value gives p == NULL, which means absent");
    }
    WantRows(snapshot, s.t, model, "values of 0 bytes to 64 MiB");
  }
  // Each large value becomes small, each small one large, and half of them empty.
  std::vector<tenon_op> ops;
  size_t i = 0;
  for (auto& [key, value] : model) {
    value = i % 2 == 0 ? "" : Noise(value.size() > 10'000 ? i % 3 : 100'000 + i, ++seed);
    i++;
    ops.push_back(PutOp(s.t, key, value));
  }
  s.Apply(ops);
  Snapshot snapshot = s.Snap();
  WantRows(snapshot, s.t, model, "large values become small and small ones large");
}

void Borrowed(const void* table, const Config& config) {
  Store s(table, config);
  std::string key = "key", value(10'000, 'v'), low = "x", high = "y";
  std::vector<tenon_op> ops = {PutOp(s.t, key, value), PutOp(s.t, "x1", "1"), DeleteRangeOp(s.t, low, high)};
  s.Apply(ops);
  std::fill(key.begin(), key.end(), '!');
  std::fill(value.begin(), value.end(), '!');
  low = high = "!";
  std::fill(ops.begin(), ops.end(), tenon_op{});
  Snapshot snapshot = s.Snap();
  WantRows(snapshot, s.t, {{"key", std::string(10'000, 'v')}}, "the caller's bytes have changed after apply");
  std::string from = "k", to = "l";
  Cursor cursor = Must(snapshot.OpenCursor(s.t, from, to), "cursor_open");
  from = to = "!";
  Want(ReadAll(cursor).size() == 1, "cursor_open kept the range's bytes, which are the caller's");
}

void Many(const void* table, const Config& config) {
  Store s(table, config);
  std::mt19937_64 rng(7);
  Rows model;
  std::vector<uint32_t> order(20'000);
  for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
  const auto key = [](uint32_t i) { return fmt::format("{:08}", i); };
  for (const bool shuffled : {false, true}) {
    if (shuffled) std::shuffle(order.begin(), order.end(), rng);
    for (size_t i = 0; i < order.size(); i += 100) {
      std::vector<std::string> keys;
      for (size_t j = i; j < i + 100; j++) keys.push_back(key(order[j]));
      std::vector<tenon_op> ops;
      for (const std::string& k : keys) ops.push_back(PutOp(s.log, k, model[k] = Noise(20, rng() % 99)));
      s.Apply(ops);
    }
    Snapshot full = s.Snap();
    WantRows(full, s.log, model, "20,000 rows");
    for (int i = 0; i < 200; i++) {
      const auto from = static_cast<uint32_t>(rng() % order.size());
      const std::string low = key(from), high = key(from + static_cast<uint32_t>(rng() % 150));
      model.erase(model.lower_bound(low), model.lower_bound(high));
      s.Apply({DeleteRangeOp(s.log, low, high)});
    }
    Snapshot holes = s.Snap();
    WantRows(holes, s.log, model, "20,000 rows, and 200 ranges deleted");
    for (const uint32_t i : order) {
      if (rng() % 10 == 0) continue;
      model.erase(key(i));
      s.Apply({DeleteOp(s.log, key(i))});
    }
    Snapshot few = s.Snap();
    WantRows(few, s.log, model, "nine of ten rows deleted one by one");
  }
}

void Instances(const void* table, const Config& config) {
  Store one(table, config), two(table, config, "elsewhere");
  one.Apply({PutOp(one.t, "a", "first")});
  two.Apply({PutOp(two.t, "a", "second"), PutOp(two.t, "b", "second")});
  Snapshot first = one.Snap(), second = two.Snap();
  WantRows(first, one.t, {{"a", "first"}}, "beside a second instance on another folder");
  WantRows(second, two.t, {{"a", "second"}, {"b", "second"}}, "in the second instance");
}

void UnknownTable(const void* table, const Config& config) {
  Store s(table, config);
  const std::vector<tenon_op> bad = {PutOp(s.t, "a", "1"), PutOp(s.t + s.log + 1000, "a", "1")};
  Want(!s.engine->Apply(bad, Index(1)).ok(), "apply took an operation on a table that does not exist");
  {
    Snapshot snapshot = s.Snap();
    Want(!snapshot.Get(s.t, "a").ok(), "an operation of a refused batch is visible: all of ops or nothing");
  }
  const std::vector<tenon_op> good = {PutOp(s.t, "a", "1")};
  Want(!s.engine->Apply(good, Index(2)).ok(), "apply works again after it failed: any error of it is final");
}

}  // namespace

std::vector<Case> StorageDataCases() {
  return {
      {"data.empty", "a new store has no rows, index 0, and the tables that were made", Empty},
      {"data.snapshots", "a snapshot shows all that was applied before it and nothing else", Snapshots},
      {"data.batch", "later operations of a batch see earlier ones; ranges may be open or empty", Batch},
      {"data.keys", "keys of 1 to 511 bytes hold any bytes, in bytewise unsigned order", Keys},
      {"data.values", "values of 0 bytes to 64 MiB come back whole", Values},
      {"data.borrowed", "the bytes of operations and ranges are the caller's again after the call", Borrowed},
      {"data.many", "20,000 rows in order, in random order, with ranges and most rows deleted", Many},
      {"data.instances", "two instances on different folders do not know each other", Instances},
      {"data.refused-batch", "a refused batch leaves nothing, and is the end of apply", UnknownTable},
  };
}

}  // namespace tenon::plugin_check
