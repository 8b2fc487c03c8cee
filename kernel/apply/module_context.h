// The apply context that a module's [apply] functions get: tenon_apply_v1 over the turn's batch.
//
// Writes go into the batch of the turn, so those of one entry land in the engine with its applied index, whoever made
// them. Reads see the engine and, over it, what the batch holds by now. A call that fails leaves nothing behind.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "kernel/apply/leases.h"
#include "kernel/base/status.h"
#include "kernel/storage/batch.h"
#include "kernel/storage/engine.h"
#include "tenon/abi/host.h"

namespace tenon::apply {

// The tables of one module. One thread at a time: [main] at the start, then [apply].
class ModuleTables {
 public:
  // `tables`: ids in the engine, in the order of tenon_module_desc.tables.
  ModuleTables(storage::Engine& engine, std::vector<uint32_t> tables) : engine_(engine), tables_(std::move(tables)) {}
  ModuleTables(const ModuleTables&) = delete;

  using Fn = absl::FunctionRef<tenon_status(const tenon_apply_v1*)>;
  // Calls fn with a context that is valid until it returns; unless it returns OK, its writes are dropped.
  tenon_status Apply(EntryContext entry, Fn fn);
  // The same for `recover`: it may only read, and only the engine is there.
  tenon_status Recover(Fn fn);

 private:
  friend struct ModuleContext;
  using Name = std::pair<uint32_t, std::string_view>;  // the engine's table, key: the batch's own bytes

  tenon_status Call(storage::Batch* batch, Index index, Term term, Fn fn);
  tenon_status Write(uint32_t table, tenon_slice key, const tenon_slice* value);
  tenon_status Get(uint32_t table, tenon_slice key, tenon_slice* value);
  tenon_status Scan(uint32_t table, tenon_range range, bool reverse, tenon_row_fn fn, void* ctx);
  // What the batch holds of our tables by now: the newest operation on each key.
  const std::map<Name, tenon_op>& Pending();
  Result<storage::Snapshot*> Snapshot();

  storage::Engine& engine_;
  const std::vector<uint32_t> tables_;
  storage::Batch* batch_ = nullptr;  // of the call under way
  // Made when somebody reads: most entries only write.
  std::map<Name, tenon_op> pending_;
  size_t seen_ = 0;
  uint64_t generation_ = 0;
  std::optional<storage::Snapshot> snapshot_;  // of the call under way
};

}  // namespace tenon::apply
