// What the kernel requires of each kind of module: its id, the part of its table that must be there, its tables.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tenon::plugin {

// A function pointer of a table that a module must set.
struct RequiredFunction {
  size_t offset;
  const char* name;
};

enum class OwnTables { kNone, kListed, kAny };

struct KindInfo {
  std::string_view name;  // as in the configuration and in file names: "storage"
  std::string_view id;    // as in tenon_module_desc.kind: "tenon.storage/1"
  uint32_t table_size;    // of this kernel's build
  std::span<const RequiredFunction> required;
  OwnTables tables;
  std::span<const std::string_view> listed_tables;  // with kListed

  // The kind whose plugins may hold such modules too: a peer `h2` is in transport-h2.so. Empty: none.
  std::string_view lodger_of = {};

  // Bytes that the oldest acceptable table has: up to the last required function.
  uint32_t required_size() const;
};

// Null: no such kind.
const KindInfo* FindKind(std::string_view name);
std::span<const KindInfo> AllKinds();

}  // namespace tenon::plugin
