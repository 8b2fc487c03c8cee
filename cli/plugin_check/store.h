// A storage module with a store in the case's folder, driven as the kernel does it, and what the cases compare with.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/plugin_check/case.h"
#include "kernel/storage/engine.h"

namespace tenon::plugin_check {

using storage::Cursor;
using storage::DeleteOp;
using storage::DeleteRangeOp;
using storage::Engine;
using storage::PutOp;
using storage::Slice;
using storage::Snapshot;
using storage::View;
using testing::Config;

using Rows = std::map<std::string, std::string>;  // the model of a table

// What a function that may not fail here gave.
template <class T>
T Must(Result<T> result, std::string_view what) {
  Want(result.ok(), "{} failed: {}", what, Message(result.status()));
  return *std::move(result);
}
inline void Must(const Status& status, std::string_view what) {
  Want(status.ok(), "{} failed: {}", what, Message(status));
}

class Store {
 public:
  // Opens the store in `folder`, which is made in the working directory if it is absent, and its two tables.
  Store(const void* table, const Config& config, std::string folder = "store");
  ~Store();
  Store(const Store&) = delete;

  // Another instance of the module on the same folder: what its open says.
  Status OpenAgain();
  // Destroys the instance; wants that it called host->fatal for nothing.
  void Close();
  // The next index, with these operations.
  void Apply(const std::vector<tenon_op>& ops);
  Snapshot Snap() { return Must(engine->OpenSnapshot(), "snap_open"); }
  uint64_t Persist() { return Must(engine->Persist(true), "persist").value; }
  bool persists() const { return (table->m.features & TENON_ST_PERSIST) != 0; }

  const tenon_storage_v1* const table;
  std::unique_ptr<Engine> engine;
  uint32_t t = 0, log = 0;  // tables: of random keys, and one that mostly grows at its end
  uint64_t index = 0;       // of the last apply

 private:
  struct Host;
  std::unique_ptr<Engine> Create();

  const Config config_;
  const std::string folder_;
  std::unique_ptr<Host> host_;
};

// Rows as a cursor gives them, in its order.
std::vector<std::pair<std::string, std::string>> ReadAll(Cursor& cursor, size_t max_rows = 64,
                                                         size_t max_bytes = 1 << 20);
std::vector<std::pair<std::string, std::string>> ReadRange(Snapshot& snapshot, uint32_t table, std::string_view low,
                                                           std::string_view high, uint32_t flags = 0);
// What they must be.
std::vector<std::pair<std::string, std::string>> Expected(const Rows& model, const std::string& low,
                                                          const std::string& high, uint32_t flags);
// Wants that the table has the rows, told apart by how many there are and which is the first other one.
void WantRows(Snapshot& snapshot, uint32_t table, const Rows& model, std::string_view when);

// Bytes that show a part missing or out of order.
std::string Noise(size_t n, uint64_t seed);
// A key or value for a message: short, printable.
std::string Shown(std::string_view bytes);

std::vector<Case> StorageDataCases();
std::vector<Case> StorageReadCases();
std::vector<Case> StorageLifeCases();

}  // namespace tenon::plugin_check
