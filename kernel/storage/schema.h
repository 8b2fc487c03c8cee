// The tables, with etcd's bucket names and key names (etcd server/storage/schema).
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "kernel/base/status.h"

namespace tenon::storage {

class Engine;

struct TableSpec {
  std::string_view name;
  uint32_t hint;  // TENON_TABLE_*
};
// Every table that there may be: what a stream of the whole store holds (kernel/snapshot). A table that is missing here
// does not survive a restart on an engine that keeps nothing on disk.
std::span<const TableSpec> AllTables();

struct Tables {
  uint32_t key;    // revision -> KeyValue
  uint32_t meta;   // the names below -> numbers and small records
  uint32_t alarm;  // pb AlarmMember -> nothing
  uint32_t cluster;
  uint32_t members;
  uint32_t members_removed;

  // Opens them, makes those that do not exist. [main]
  static Result<Tables> Open(Engine& engine);
};

namespace meta {
inline constexpr std::string_view kConsistentIndex = "consistent_index";      // applied index, 8 bytes big-endian
inline constexpr std::string_view kTerm = "term";                             // of that entry, 8 bytes big-endian
inline constexpr std::string_view kConfState = "confState";                   // JSON, as etcd writes it
inline constexpr std::string_view kScheduledCompact = "scheduledCompactRev";  // revision key
inline constexpr std::string_view kFinishedCompact = "finishedCompactRev";    // revision key
inline constexpr std::string_view kRowSum =
    "tenon_row_sum";  // of the table key: count and sum, 8 bytes each, big-endian
// kernel/apply/state_hash.h, as of the applied index; 8 bytes big-endian.
inline constexpr std::string_view kStateHash = "tenon_state_hash";
inline constexpr std::string_view kStorageVersion = "storageVersion";  // "3.7.0"
}  // namespace meta

}  // namespace tenon::storage
