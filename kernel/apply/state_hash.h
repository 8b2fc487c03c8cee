// H(i) = mix(H(i-1), i, what entry i changed): equal on all members that applied the same log to the same state, for
// ever different once one of them changed something else.
//
// It covers every operation that an entry puts into the engine, of the kernel and of modules. What members do by
// themselves (the removal of compacted rows, the applied index) is no part of it. Stored in each turn's batch.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/base/mutex.h"
#include "kernel/base/status.h"
#include "kernel/storage/engine.h"

namespace tenon::apply {

class StateHash {
 public:
  static constexpr uint64_t kMarkEvery = 64;
  struct Mark {
    Index index;
    uint64_t hash;
  };

  // Goes on from `stored`; 0: a state that nothing was applied to. Tables that an engine names otherwise count the
  // same.
  explicit StateHash(uint64_t stored) : hash_(stored) {}
  Status Open(storage::Engine& engine);  // [main]

  void Extend(Index index, std::span<const tenon_op> ops);  // [apply]
  uint64_t value() const { return hash_; }                  // [apply]

  // ---- marks: H of each 64th index, the newest thousand [any] ----
  // Taken by the applier once the entries are in the engine: up to `applied`.
  std::optional<Mark> Newest(Index applied) const;
  // That of the applied index itself: members that rest can be compared too.
  Mark Now() const;
  void Publish(Index applied);  // what Extend has come to counts for that index [apply]
  std::optional<uint64_t> At(Index index) const;

 private:
  static constexpr size_t kMarks = 1024;

  uint64_t hash_;
  std::unordered_map<uint32_t, uint32_t> tables_;  // the engine's id -> a number that is the same everywhere
  mutable Mutex mutex_;
  Mark now_{};
  std::vector<Mark> marks_ = std::vector<Mark>(kMarks);  // that of index i at i / 64 % kMarks
};

}  // namespace tenon::apply
