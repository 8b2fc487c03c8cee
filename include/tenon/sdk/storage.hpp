// storage.hpp - a storage engine as a C++ class.
//
// The contracts are in tenon/abi/storage.h; a method here has the name and meaning of the table's function.
// Methods may throw. Reads return a tenon_status, because NOT_FOUND is an answer and not an exception.
#pragma once
#include <tenon/sdk/sdk.hpp>

#include <concepts>
#include <span>

namespace tenon::sdk {

template <class T>
concept StorageEngine = requires(T& t, typename T::Snap& snap, typename T::Cursor& cursor, std::string_view bytes,
                                 tenon_slice* val, size_t n, std::span<const tenon_slice> keys, tenon_kv* rows,
                                 tenon_storage_stats& stats) {
  { T::kFeatures } -> std::convertible_to<uint64_t>;
  t.Open(std::declval<const tenon_storage_open&>());
  t.Close();
  { t.DurableIndex() }
  noexcept->std::same_as<uint64_t>;
  { t.Table(bytes, uint32_t{}, bool{}) } -> std::same_as<uint32_t>;
  t.Apply(std::span<const tenon_op>(), uint64_t{});
  { t.SnapOpen() } -> std::same_as<typename T::Snap*>;
  { t.SnapClose(&snap) }
  noexcept;
  { t.Get(snap, uint32_t{}, bytes, val) } -> std::same_as<tenon_status>;
  { t.MultiGet(snap, uint32_t{}, keys, n, val, &n) } -> std::same_as<tenon_status>;
  { t.CursorOpen(snap, uint32_t{}, bytes, bytes, uint32_t{}) } -> std::same_as<typename T::Cursor*>;
  { t.CursorNext(cursor, rows, n, n, &n) } -> std::same_as<tenon_status>;
  { t.CursorSeek(cursor, bytes) } -> std::same_as<tenon_status>;
  { t.CursorClose(&cursor) }
  noexcept;
  { t.Stats(stats) }
  noexcept;
};

namespace internal {
// What the opaque pointers of the table stand for.
template <class T>
struct StorageCasts {
  static T& Self(void* self) { return *static_cast<T*>(self); }
  static auto& Snap(tenon_snap* s) { return *reinterpret_cast<typename T::Snap*>(s); }
  static auto& Cursor(tenon_cursor* c) { return *reinterpret_cast<typename T::Cursor*>(c); }
};
}  // namespace internal

// The table of T. Persist(flags) -> durable index, Compact(deadline_ns) -> status, and Fault(point, action) are
// optional.
template <StorageEngine T>
constexpr tenon_storage_v1 StorageTable() {
  using To = internal::StorageCasts<T>;
  tenon_storage_v1 t{};
  t.m = ModuleVt<T>(sizeof(tenon_storage_v1), T::kFeatures);
  t.open = [](void* self, const tenon_storage_open* how, tenon_error* error) noexcept -> tenon_status {
    return Guard(error, [&] { To::Self(self).Open(*how); });
  };
  t.close = [](void* self, tenon_error* error) noexcept -> tenon_status {
    return Guard(error, [&] { To::Self(self).Close(); });
  };
  t.durable_index = [](void* self) noexcept -> uint64_t { return To::Self(self).DurableIndex(); };
  t.table = [](void* self, tenon_slice name, uint32_t hint, int create, uint32_t* id,
               tenon_error* error) noexcept -> tenon_status {
    return Guard(error, [&] { *id = To::Self(self).Table(View(name), hint, create != 0); });
  };
  t.apply = [](void* self, const tenon_op* ops, size_t n, uint64_t index, tenon_error* error) noexcept -> tenon_status {
    return Guard(error, [&] { To::Self(self).Apply({ops, n}, index); });
  };
  if constexpr (requires(T & e) { e.Persist(uint32_t{}); }) {
    t.persist = [](void* self, uint32_t flags, uint64_t* durable, tenon_error* error) noexcept -> tenon_status {
      return Guard(error, [&] { *durable = To::Self(self).Persist(flags); });
    };
  }
  t.snap_open = [](void* self, tenon_snap** out, tenon_error* error) noexcept -> tenon_status {
    return Guard(error, [&] { *out = reinterpret_cast<tenon_snap*>(To::Self(self).SnapOpen()); });
  };
  t.snap_close = [](void* self, tenon_snap* s) noexcept { To::Self(self).SnapClose(&To::Snap(s)); };
  t.get = [](void* self, tenon_snap* s, uint32_t table, tenon_slice key, tenon_slice* val) noexcept -> tenon_status {
    return Guard(nullptr, [&] { return To::Self(self).Get(To::Snap(s), table, View(key), val); });
  };
  t.multi_get = [](void* self, tenon_snap* s, uint32_t table, const tenon_slice* keys, size_t n, size_t max_bytes,
                   tenon_slice* vals, size_t* done) noexcept -> tenon_status {
    return Guard(nullptr, [&] {
      return To::Self(self).MultiGet(To::Snap(s), table, std::span<const tenon_slice>(keys, n), max_bytes, vals, done);
    });
  };
  t.cursor_open = [](void* self, tenon_snap* s, uint32_t table, tenon_range range, uint32_t flags, tenon_cursor** out,
                     tenon_error* error) noexcept -> tenon_status {
    return Guard(error, [&] {
      *out = reinterpret_cast<tenon_cursor*>(
          To::Self(self).CursorOpen(To::Snap(s), table, View(range.lo), View(range.hi), flags));
    });
  };
  t.cursor_next = [](void* self, tenon_cursor* c, tenon_kv* out, size_t max_rows, size_t max_bytes,
                     size_t* n) noexcept -> tenon_status {
    return Guard(nullptr, [&] { return To::Self(self).CursorNext(To::Cursor(c), out, max_rows, max_bytes, n); });
  };
  t.cursor_seek = [](void* self, tenon_cursor* c, tenon_slice key) noexcept -> tenon_status {
    return Guard(nullptr, [&] { return To::Self(self).CursorSeek(To::Cursor(c), View(key)); });
  };
  t.cursor_close = [](void* self, tenon_cursor* c) noexcept { To::Self(self).CursorClose(&To::Cursor(c)); };
  t.stats = [](void* self, tenon_storage_stats* out) noexcept { To::Self(self).Stats(*out); };
  if constexpr (requires(T & e) { e.Compact(uint64_t{}); }) {
    t.compact = [](void* self, uint64_t deadline_ns, tenon_error* error) noexcept -> tenon_status {
      return Guard(error, [&] { return To::Self(self).Compact(deadline_ns); });
    };
  }
  if constexpr (requires(T & e, const char* point) { e.Fault(point, uint32_t{}); }) {
    t.fault = [](void* self, const char* point, uint32_t action) noexcept -> uint32_t {
      return To::Self(self).Fault(point, action);
    };
  }
  return t;
}

}  // namespace tenon::sdk
