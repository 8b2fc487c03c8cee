// How it is read: get, multi_get, cursors, and random batches compared with a model.
#include <algorithm>
#include <random>

#include "cli/plugin_check/store.h"
#include "kernel/base/crc32c.h"

namespace tenon::plugin_check {
namespace {

void MultiGet(const void* table, const Config& config) {
  Store s(table, config);
  const std::string big = Noise(20'000, 1);
  s.Apply({PutOp(s.t, "a", "1"), PutOp(s.t, "b", ""), PutOp(s.t, "d", big), PutOp(s.t, "e", "5")});
  Snapshot snapshot = s.Snap();
  const std::vector<tenon_slice> keys = {Slice("a"), Slice("b"), Slice("c"), Slice("d"), Slice("e"), Slice("f")};
  tenon_slice values[6];
  const auto ask = [&](size_t max_bytes) { return Must(snapshot.MultiGet(s.t, keys, max_bytes, values), "multi_get"); };
  Want(ask(1 << 20) == keys.size(), "multi_get within max_bytes did not answer all keys");
  Want(values[1].p != nullptr && values[1].n == 0, "an empty value came as absent: p == NULL");
  Want(values[2].p == nullptr && values[5].p == nullptr, "an absent key came with p != NULL");
  Want(View(values[0]) == "1" && View(values[3]) == big && View(values[4]) == "5", "multi_get gives other values");
  size_t n = ask(0);
  Want(n == 1, "multi_get answered {} keys with max_bytes 0, wanted the one that exceeds it", n);
  n = ask(1000);
  Want(n == 4, "multi_get answered {} keys, wanted the 4 up to the value that exceeds max_bytes", n);
  Want(View(values[3]) == big, "the value that exceeds max_bytes did not come whole");
}

void Limits(const void* table, const Config& config) {
  Store s(table, config);
  for (int i = 0; i < 9; i++) s.Apply({PutOp(s.t, "k" + std::to_string(i), Noise(100, static_cast<uint64_t>(i)))});
  Snapshot snapshot = s.Snap();
  Cursor cursor = Must(snapshot.OpenCursor(s.t, "", ""), "cursor_open");
  std::vector<tenon_kv> rows(9);
  const auto next = [&](size_t max_rows, size_t max_bytes, size_t wanted) {
    const size_t n = Must(cursor.Next(std::span(rows).first(max_rows), max_bytes), "cursor_next");
    Want(n == wanted, "cursor_next with max_rows {} and max_bytes {} gave {} rows, wanted {}", max_rows, max_bytes, n,
         wanted);
  };
  next(4, 1 << 20, 4);
  next(9, 0, 1);
  Want(View(rows[0].key) == "k4", "the fifth row is {}, wanted \"k4\"", Shown(View(rows[0].key)));
  next(9, 150, 2);
  next(9, 1 << 20, 2);
  next(9, 1 << 20, 0);
  next(9, 1 << 20, 0);
  Must(cursor.Seek("k8"), "cursor_seek after the end");
  next(9, 1 << 20, 1);
}

void Ranges(const void* table, const Config& config) {
  Store s(table, config);
  Rows model;
  for (const char* key : {"b", "c", "cc", "d", "f"}) s.Apply({PutOp(s.t, key, model[key] = std::string("v") + key)});
  Snapshot snapshot = s.Snap();
  const std::vector<std::string> bounds = {"", "a", "b", "bb", "c", "cc", "d", "e", "f", "g"};
  for (const uint32_t flags : {0u, uint32_t{TENON_CUR_REVERSE}, uint32_t{TENON_CUR_KEYS_ONLY},
                               uint32_t{TENON_CUR_REVERSE | TENON_CUR_KEYS_ONLY | TENON_CUR_NO_FILL}}) {
    const bool reverse = (flags & TENON_CUR_REVERSE) != 0;
    for (const std::string& low : bounds) {
      for (const std::string& high : bounds) {
        const auto rows = ReadRange(snapshot, s.t, low, high, flags);
        Want(rows == Expected(model, low, high, flags), "the range [{}, {}) with flags {} gives {} rows from {}",
             Shown(low), Shown(high), flags, rows.size(), rows.empty() ? "nowhere" : Shown(rows[0].first));
        Cursor cursor = Must(snapshot.OpenCursor(s.t, low, high, flags), "cursor_open");
        for (const std::string& to : bounds) {  // goes either way, also after the end
          Must(cursor.Seek(to), "cursor_seek");
          const std::string from = reverse ? low : std::max(low, to);
          const std::string until = !reverse || to.empty() ? high : high.empty() ? to : std::min(high, to);
          Want(ReadAll(cursor, 2) == Expected(model, from, until, flags),
               "after cursor_seek to {} the range [{}, {}) with flags {} gives other rows", Shown(to), Shown(low),
               Shown(high), flags);
        }
      }
    }
  }
}

// Keys that share prefixes, with bytes at both ends of the order.
std::string RandomKey(std::mt19937_64& rng) {
  static const char alphabet[] = {'\0', '\1', 'a', 'b', '\xff'};
  std::string key(rng() % 50 == 0 ? 480 + rng() % 32 : 1 + rng() % 4, '\0');
  for (char& c : key) c = alphabet[rng() % sizeof alphabet];
  return key;
}

std::string RandomValue(std::mt19937_64& rng) {
  static const size_t sizes[] = {0, 1, 30, 300, 3000, 16'384, 100'000};
  return Noise(sizes[rng() % (rng() % 8 == 0 ? 7 : 5)], rng() % 1000);
}

void Compare(Snapshot& snapshot, uint32_t table, const Rows& model, std::mt19937_64& rng) {
  const auto bound = [&] { return rng() % 4 == 0 ? std::string() : RandomKey(rng); };
  const std::string low = bound(), high = bound();
  const auto flags = static_cast<uint32_t>(rng() % 8);
  Cursor cursor = Must(snapshot.OpenCursor(table, low, high, flags), "cursor_open");
  const auto rows = ReadAll(cursor, 1 + rng() % 70, rng() % 3 == 0 ? rng() % 5000 : 1 << 20);
  Want(rows == Expected(model, low, high, flags), "the range [{}, {}) with flags {} gives other rows", Shown(low),
       Shown(high), flags);
  std::vector<std::string> keys;
  for (int i = 0; i < 20; i++) keys.push_back(RandomKey(rng));
  for (auto it = model.begin(); it != model.end() && keys.size() < 60; ++it) keys.push_back(it->first);
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::vector<tenon_slice> slices, values(keys.size());
  for (const std::string& key : keys) slices.push_back(Slice(key));
  for (size_t from = 0; from < keys.size();) {
    const size_t done =
        Must(snapshot.MultiGet(table, std::span(slices).subspan(from), 20'000, values.data()), "multi_get");
    Want(done > 0, "multi_get answered no key");
    for (size_t i = 0; i < done; i++) {
      const auto row = model.find(keys[from + i]);
      Want((values[i].p != nullptr) == (row != model.end()), "multi_get: {} is {}", Shown(keys[from + i]),
           row == model.end() ? "not absent" : "absent");
      Want(row == model.end() || View(values[i]) == row->second, "multi_get: {} has another value",
           Shown(keys[from + i]));
    }
    from += done;
  }
}

void Random(const void* table, const Config& config) {
  Store s(table, config);
  const uint32_t tables[2] = {s.t, s.log};
  std::mt19937_64 rng(1);
  Rows model[2];
  struct Kept {
    Snapshot snapshot;
    Rows model[2];
  };
  std::vector<Kept> kept;
  for (int batch = 0; batch < 600; batch++) {
    std::vector<std::string> bytes(200);  // what the operations borrow
    size_t used = 0;
    const auto keep = [&](std::string text) -> const std::string& { return bytes[used++] = std::move(text); };
    std::vector<tenon_op> ops;
    const size_t n = rng() % 3 == 0 ? rng() % 60 : 1 + rng() % 4;
    for (size_t i = 0; i < n; i++) {
      const size_t which = rng() % 2;
      Rows& rows = model[which];
      const std::string& key = keep(RandomKey(rng));
      const uint64_t kind = rng() % 40;
      if (kind < 28) {
        ops.push_back(PutOp(tables[which], key, keep(rows[key] = RandomValue(rng))));
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
    s.Apply(ops);
    if (rng() % 4 == 0) kept.push_back({s.Snap(), {model[0], model[1]}});
    if (kept.size() > 5) kept.erase(kept.begin() + static_cast<long>(rng() % kept.size()));
    if (!kept.empty()) {
      Kept& one = kept[rng() % kept.size()];
      const size_t which = rng() % 2;
      Compare(one.snapshot, tables[which], one.model[which], rng);
    }
    if (s.persists() && rng() % 40 == 0) s.Persist();
  }
}

void Hash(const void* table, const Config& config) {
  Store s(table, config);
  if (s.table->hash == nullptr) throw NotApplicable{"the module leaves hash to the kernel"};
  const std::string big = Noise(100'000, 2);
  s.Apply({PutOp(s.t, "a", "1"), PutOp(s.t, "b", big), PutOp(s.t, "c", "3")});
  Snapshot snapshot = s.Snap();
  const auto is = [&](const char* low, const char* high, const std::string& bytes) {
    const uint32_t got = Must(snapshot.Hash(s.t, low, high), "hash"), wanted = Crc32c(0, bytes);
    Want(got == wanted, "hash of [{}, {}) is {:08x}, wanted the CRC32C of key, val, key, val: {:08x}", low, high, got,
         wanted);
  };
  is("", "", "a1b" + big + "c3");
  is("a", "c", "a1b" + big);
  is("x", "", "");
}

}  // namespace

std::vector<Case> StorageReadCases() {
  return {
      {"read.multi-get", "multi_get tells absent from empty and stops at max_bytes", MultiGet},
      {"read.limits", "a cursor respects max_rows and max_bytes, ends twice, and seeks after the end", Limits},
      {"read.ranges", "bounds, REVERSE, KEYS_ONLY and seeks inside the range", Ranges},
      {"read.random", "600 random batches, snapshots and reads agree with a model", Random},
      {"read.hash", "hash is the CRC32C of the rows", Hash},
  };
}

}  // namespace tenon::plugin_check
