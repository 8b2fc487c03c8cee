// What the storage tests share: the engines under test, a store in a folder of its own, and the model of a table.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernel/storage/engine.h"
#include "tests/abi/fake_host.h"

namespace tenon::testing {

using storage::Cursor;
using storage::DeleteOp;
using storage::DeleteRangeOp;
using storage::Engine;
using storage::PutOp;
using storage::Slice;
using storage::Snapshot;
using storage::View;

using Rows = std::map<std::string, std::string>;  // the model of a table

inline const tenon_storage_v1* EngineTable(const std::string& name) {
  const auto* module = LoadModule(TENON_PLUGIN_DIR "/storage-" + name + ".so", TENON_KIND_STORAGE);
  return reinterpret_cast<const tenon_storage_v1*>(module->vt);
}

inline std::vector<std::string> EngineNames() {
#ifdef TENON_HAS_WIREDTIGER
  return {"memory", "wiredtiger"};
#else
  return {"memory"};
#endif
}

inline std::string NameOf(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

// Removed with its contents when the test ends.
class TempDirectory {
 public:
  TempDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "tenon-storage-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A test over one engine. Open() may be called again after Close().
class StorageTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { table_ = EngineTable(GetParam()); }
  void TearDown() override {
    engine_.reset();
    EXPECT_EQ(host_.Fatals(), std::vector<std::string>());
  }

  std::unique_ptr<Engine> Create() {
    auto engine = Engine::Create(table_, host_.get(), nullptr);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return *std::move(engine);
  }
  // Opens the store and its tables "t" (random) and "log" (append).
  void Open() {
    engine_ = Create();
    const Status opened = engine_->Open(directory_.path());
    ASSERT_TRUE(opened.ok()) << opened;
    t_ = *engine_->Table("t", TENON_TABLE_RANDOM);
    log_ = *engine_->Table("log", TENON_TABLE_APPEND);
  }
  void Apply(std::vector<tenon_op> ops) {
    const Status applied = engine_->Apply(ops, Index(++index_));
    ASSERT_TRUE(applied.ok()) << applied;
  }
  Snapshot Snap() { return *engine_->OpenSnapshot(); }
  bool Persists() const { return (table_->m.features & TENON_ST_PERSIST) != 0; }

  FakeHost host_;
  TempDirectory directory_;
  const tenon_storage_v1* table_ = nullptr;
  std::unique_ptr<Engine> engine_;
  uint32_t t_ = 0, log_ = 0;
  uint64_t index_ = 0;
};

// All rows of the range as the cursor gives them, in its order.
inline std::vector<std::pair<std::string, std::string>> ReadAll(Cursor& cursor, size_t max_rows = 64,
                                                                size_t max_bytes = 1 << 20) {
  std::vector<std::pair<std::string, std::string>> all;
  std::vector<tenon_kv> rows(max_rows);
  while (true) {
    const auto n = cursor.Next(rows, max_bytes);
    EXPECT_TRUE(n.ok()) << n.status();
    if (!n.ok() || *n == 0) return all;
    for (size_t i = 0; i < *n; i++) all.emplace_back(View(rows[i].key), View(rows[i].val));
  }
}

inline Rows ReadTable(Snapshot& snapshot, uint32_t table) {
  Cursor cursor = *snapshot.OpenCursor(table, "", "");
  const auto rows = ReadAll(cursor);
  return Rows(rows.begin(), rows.end());
}

}  // namespace tenon::testing
