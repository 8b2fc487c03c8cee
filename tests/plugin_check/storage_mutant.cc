// An engine with one planted mistake, for tenon-plugin-check to find: storage-memory, but for a function or two of its
// table. MUTANT chooses which.
#include <fcntl.h>

#include <string>

#include "plugins/storage-memory/storage_memory.h"
#include "tests/plugin_check/mutant.h"

#define TEARS_BATCHES 1      // apply is done operation by operation
#define MOVES_SNAPSHOTS 2    // get shows the newest state
#define EMPTY_IS_ABSENT 3    // multi_get answers an empty value with p == NULL
#define INCLUDES_HIGH 4      // a range ends behind its upper bound
#define FORGETS 5            // persist says OK and keeps nothing
#define LEAKS_DESCRIPTORS 6  // each open leaves one behind

namespace {

const tenon_storage_v1& Original() { return *tenon::storage_memory::Vtable(); }

uint64_t applied = 0;  // of the one instance that FORGETS needs

tenon_status Open(void* self, const tenon_storage_open* how, tenon_error* error) {
  applied = 0;
  if (MUTANT == LEAKS_DESCRIPTORS && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) return TENON_IO;
  return Original().open(self, how, error);
}

tenon_status Apply(void* self, const tenon_op* ops, size_t n, uint64_t index, tenon_error* error) {
  applied = index;
  if (MUTANT != TEARS_BATCHES) return Original().apply(self, ops, n, index, error);
  tenon_status status = TENON_OK;
  for (size_t i = 0; i < n && status == TENON_OK; i++) status = Original().apply(self, ops + i, 1, index, error);
  return status;
}

tenon_status Get(void* self, tenon_snap* snap, uint32_t table, tenon_slice key, tenon_slice* val) {
  // Never closed: the value must live.
  if (MUTANT == MOVES_SNAPSHOTS && Original().snap_open(self, &snap, nullptr) != TENON_OK) return TENON_IO;
  return Original().get(self, snap, table, key, val);
}

tenon_status MultiGet(void* self, tenon_snap* snap, uint32_t table, const tenon_slice* keys, size_t n, size_t max_bytes,
                      tenon_slice* vals, size_t* done) {
  const tenon_status status = Original().multi_get(self, snap, table, keys, n, max_bytes, vals, done);
  for (size_t i = 0; MUTANT == EMPTY_IS_ABSENT && status == TENON_OK && i < *done; i++) {
    if (vals[i].n == 0) vals[i].p = nullptr;
  }
  return status;
}

tenon_status CursorOpen(void* self, tenon_snap* snap, uint32_t table, tenon_range range, uint32_t flags,
                        tenon_cursor** cursor, tenon_error* error) {
  std::string high(reinterpret_cast<const char*>(range.hi.p), range.hi.n);
  if (MUTANT == INCLUDES_HIGH && !high.empty()) high.push_back('\0');
  range.hi = {reinterpret_cast<const uint8_t*>(high.data()), high.size()};
  return Original().cursor_open(self, snap, table, range, flags, cursor, error);
}

}  // namespace

TENON_EXPORT const tenon_plugin* tenon_plugin_query_v1(void) TENON_NOEXCEPT {
  static const tenon_storage_v1 table = [] {
    tenon_storage_v1 mutant = Original();
    mutant.open = Open;
    mutant.apply = Apply;
    mutant.get = Get;
    mutant.multi_get = MultiGet;
    mutant.cursor_open = CursorOpen;
    if (MUTANT == FORGETS) {
      mutant.m.features |= TENON_ST_PERSIST;
      mutant.durable_index = [](void*) { return applied; };
      mutant.persist = [](void*, uint32_t, uint64_t* durable_index, tenon_error*) -> tenon_status {
        *durable_index = applied;
        return TENON_OK;
      };
    }
    return mutant;
  }();
  return MutantPlugin(TENON_KIND_STORAGE, &table.m);
}
