// The simulated engines: storage-memory, wrapped so that it survives crashes as the ABI allows.
//
//   kVolatile   does not claim TENON_ST_PERSIST: after a crash it is empty, and the log is replayed from its start
//   kPrefix     claims it: after a crash it shows a prefix of the applies, at least what persist answered for.
//               persist without FORCE may do less than all; now and then it persists by itself and tells nobody
//
// What an engine's own disk holds is kept here as operations; a file on the seeded disk stands for it, so that a
// persist meets that disk's faults.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "include/tenon/abi/storage.h"
#include "tests/sim/disk.h"
#include "tests/sim/faults.h"
#include "tests/sim/random.h"

namespace tenon::sim {

enum class EngineKind { kVolatile, kPrefix };

// What survives the process.
class EngineDisk {
 public:
  EngineDisk(EngineKind kind, uint64_t seed, Mutant mutant) : kind_(kind), random_(seed), mutant_(mutant) {}

  EngineKind kind() const { return kind_; }
  // The process died: of the applies a prefix is left, the durable ones at least.
  void Crash();
  // Its files were removed.
  void Wipe();
  // While nobody runs: a row that is no key's newest has another value, as in a history that was another one, and the
  // sums and hashes are that history's. False: there is no such row.
  bool Differ(Random& random);

 private:
  friend class SimEngine;
  struct Op {
    uint32_t type, table;
    std::string key, value;
  };
  struct Batch {
    uint64_t index;
    std::vector<Op> ops;
  };
  void Fold(size_t batches);  // the first ones become part of the base

  const EngineKind kind_;
  Random random_;
  const Mutant mutant_;
  std::vector<std::string> tables_;
  std::map<std::pair<uint32_t, std::string>, std::string> base_;  // durable
  uint64_t base_index_ = 0;
  std::vector<Batch> tail_;  // not durable
};

// One life of an engine; table() and self() are what storage::Engine takes.
class SimEngine {
 public:
  SimEngine(EngineDisk& disk, SimDisk& files, std::string directory);
  ~SimEngine();
  SimEngine(const SimEngine&) = delete;

  const tenon_storage_v1* table() const { return &table_; }
  void* self() { return this; }

 private:
  static tenon_storage_v1 MakeTable(EngineKind kind, bool hold_deletes);
  static SimEngine& Of(void* self) { return *static_cast<SimEngine*>(self); }
  tenon_status Open(const tenon_storage_open* how, tenon_error* error);
  tenon_status Apply(const tenon_op* ops, size_t n, uint64_t index, tenon_error* error);
  tenon_status Take(const std::vector<EngineDisk::Op>& ops, uint64_t index, tenon_error* error);
  tenon_status Persist(uint32_t flags, uint64_t* durable_index, tenon_error* error);
  std::vector<EngineDisk::Op> Mutated(std::vector<EngineDisk::Op> ops);

  EngineDisk& disk_;
  SimDisk& files_;
  const std::string directory_;
  const tenon_storage_v1 table_;
  void* inner_ = nullptr;
  bool failed_ = false;

  // For mutants.
  uint32_t key_table_ = UINT32_MAX, meta_table_ = UINT32_MAX;
};

}  // namespace tenon::sim
