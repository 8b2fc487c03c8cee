// Engines of the build, each over a folder of its own, and their tables as maps.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "kernel/base/coding.h"
#include "kernel/storage/schema.h"
#include "tests/abi/storage_fixture.h"

namespace tenon::snapshot {

using AllRows = std::map<std::string, tenon::testing::Rows, std::less<>>;  // by table

class TestEngine {
 public:
  explicit TestEngine(const std::string& kind) : kind_(kind) { Open(); }

  storage::Engine& operator*() { return *engine_; }
  storage::Engine* operator->() { return engine_.get(); }

  void Open() {
    engine_ = *storage::Engine::Create(tenon::testing::EngineTable(kind_), host_.get(), nullptr);
    const Status opened = engine_->Open(directory_.path());
    ASSERT_TRUE(opened.ok()) << opened;
  }
  // The memory engine forgets everything.
  void Reopen() {
    engine_.reset();
    Open();
  }
  void Put(std::string_view table, std::string_view key, std::string_view value, uint64_t index) {
    char applied[8];
    PutBigEndian64(applied, index);
    const uint32_t meta = *engine_->Table("meta", TENON_TABLE_SMALL);
    const tenon_op ops[] = {storage::PutOp(*engine_->Table(table, TENON_TABLE_RANDOM), key, value),
                            storage::PutOp(meta, storage::meta::kConsistentIndex, {applied, 8})};
    ASSERT_TRUE(engine_->Apply(ops, Index(index)).ok());
  }
  AllRows Rows() {
    AllRows all;
    storage::Snapshot snapshot = *engine_->OpenSnapshot();
    for (const storage::TableSpec& spec : storage::AllTables()) {
      const auto table = engine_->FindTable(spec.name);
      if (table.ok()) all[std::string(spec.name)] = tenon::testing::ReadTable(snapshot, *table);
    }
    return all;
  }

 private:
  const std::string kind_;
  tenon::testing::FakeHost host_;
  tenon::testing::TempDirectory directory_;
  std::unique_ptr<storage::Engine> engine_;
};

}  // namespace tenon::snapshot
