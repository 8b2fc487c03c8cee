#include "kernel/storage/schema.h"

#include "kernel/storage/engine.h"

namespace tenon::storage {

std::span<const TableSpec> AllTables() {
  static constexpr TableSpec kAll[] = {
      {"alarm", TENON_TABLE_SMALL},     {"auth", TENON_TABLE_SMALL},    {"authRoles", TENON_TABLE_SMALL},
      {"authUsers", TENON_TABLE_SMALL}, {"cluster", TENON_TABLE_SMALL}, {"key", TENON_TABLE_APPEND},
      {"lease", TENON_TABLE_RANDOM},    {"members", TENON_TABLE_SMALL}, {"members_removed", TENON_TABLE_SMALL},
      {"meta", TENON_TABLE_SMALL},
  };
  return kAll;
}

Result<Tables> Tables::Open(Engine& engine) {
  Tables t{};
  ASSIGN_OR_RETURN(t.key, engine.Table("key", TENON_TABLE_APPEND));
  ASSIGN_OR_RETURN(t.meta, engine.Table("meta", TENON_TABLE_SMALL));
  ASSIGN_OR_RETURN(t.alarm, engine.Table("alarm", TENON_TABLE_SMALL));
  ASSIGN_OR_RETURN(t.cluster, engine.Table("cluster", TENON_TABLE_SMALL));
  ASSIGN_OR_RETURN(t.members, engine.Table("members", TENON_TABLE_SMALL));
  ASSIGN_OR_RETURN(t.members_removed, engine.Table("members_removed", TENON_TABLE_SMALL));
  return t;
}

}  // namespace tenon::storage
