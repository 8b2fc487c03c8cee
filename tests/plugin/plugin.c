// A storage plugin in C that stores nothing, and, with one BAD_* switch each, the many ways to get a plugin wrong.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tenon/abi/abi.h"

typedef struct Self {
  const tenon_host* host;
  int64_t size;
} Self;

static int instances;  // how many live in this DSO

static tenon_status Create(const tenon_host* host, const tenon_cfg* config, void** self, tenon_error* error) {
#ifdef BAD_CREATE
  (void)host, (void)config, (void)self;
  strcpy(error->msg, "size: 0 is too small");
  return TENON_INVALID;
#else
  (void)error;
  const tenon_host_config_v1* reader = host->get(host, TENON_HOST_CONFIG);
  if (reader == NULL) {
    strcpy(error->msg, "this kernel has no tenon.host.config/1");
    return TENON_PRECONDITION;
  }
  Self* made = calloc(1, sizeof *made);
  made->host = host;
  reader->i64(reader->find(config, "size"), &made->size);
  instances++;
  *self = made;
  return TENON_OK;
#endif
}
static tenon_status Start(void* self, tenon_error* error) {
  (void)self, (void)error;
#ifdef BAD_START
  error->sys_errno = 2;
  return TENON_IO;
#else
  return TENON_OK;
#endif
}
static void Stop(void* self) { (void)self; }
static void Destroy(void* self) { instances--, free(self); }
// Tests look inside through this: instances of the DSO, and the configured size.
typedef struct Inside {
  uint32_t size;
  int (*instances)(void);
  int64_t (*configured)(void* self);
} Inside;
static int Instances(void) { return instances; }
static int64_t Configured(void* self) { return ((Self*)self)->size; }
static const void* Extension(void* self, const char* id) {
  static const Inside inside = {sizeof(Inside), Instances, Configured};
  (void)self;
  return strcmp(id, "org.example.inside/1") == 0 ? &inside : NULL;
}
static tenon_status Reconfigure(void* self, const tenon_cfg* config, tenon_error* error) {
  Self* me = self;
  const tenon_host_config_v1* reader = me->host->get(me->host, TENON_HOST_CONFIG);
  if (reader->i64(reader->find(config, "size"), &me->size) == TENON_OK) return TENON_OK;
  strcpy(error->msg, "size: not a number");
  return TENON_INVALID;
}

static tenon_status Open(void* s, const tenon_storage_open* o, tenon_error* e) {
  (void)s, (void)o, (void)e;
  return TENON_OK;
}
static tenon_status Close(void* s, tenon_error* e) {
  (void)s, (void)e;
  return TENON_OK;
}
static uint64_t DurableIndex(void* s) {
  (void)s;
  return 7;
}
static tenon_status Table(void* s, tenon_slice n, uint32_t h, int c, uint32_t* id, tenon_error* e) {
  (void)s, (void)n, (void)h, (void)c, (void)e;
  *id = 1;
  return TENON_OK;
}
__attribute__((unused))  // by the variant that leaves it out
static tenon_status
Apply(void* s, const tenon_op* o, size_t n, uint64_t i, tenon_error* e) {
  (void)s, (void)o, (void)n, (void)i, (void)e;
  return TENON_OK;
}
static tenon_status SnapOpen(void* s, tenon_snap** p, tenon_error* e) {
  (void)e;
  *p = s;
  return TENON_OK;
}
static void SnapClose(void* s, tenon_snap* p) { (void)s, (void)p; }
static tenon_status Get(void* s, tenon_snap* p, uint32_t t, tenon_slice k, tenon_slice* v) {
  (void)s, (void)p, (void)t, (void)k, (void)v;
  return TENON_NOT_FOUND;
}
static tenon_status MultiGet(void* s, tenon_snap* p, uint32_t t, const tenon_slice* k, size_t n, size_t m,
                             tenon_slice* v, size_t* d) {
  (void)s, (void)p, (void)t, (void)k, (void)m;
  memset(v, 0, n * sizeof *v);
  *d = n;
  return TENON_OK;
}
static tenon_status CursorOpen(void* s, tenon_snap* p, uint32_t t, tenon_range r, uint32_t f, tenon_cursor** c,
                               tenon_error* e) {
  (void)p, (void)t, (void)r, (void)f, (void)e;
  *c = s;
  return TENON_OK;
}
static tenon_status CursorNext(void* s, tenon_cursor* c, tenon_kv* o, size_t r, size_t b, size_t* n) {
  (void)s, (void)c, (void)o, (void)r, (void)b;
  *n = 0;
  return TENON_OK;
}
static tenon_status CursorSeek(void* s, tenon_cursor* c, tenon_slice k) {
  (void)s, (void)c, (void)k;
  return TENON_OK;
}
static void CursorClose(void* s, tenon_cursor* c) { (void)s, (void)c; }
static void Stats(void* s, tenon_storage_stats* o) { (void)s, (void)o; }

#define LIFECYCLE(table, feature_bits)                                                               \
  {                                                                                                  \
    .size = sizeof(table), .features = feature_bits, .create = Create, .start = Start, .stop = Stop, \
    .destroy = Destroy, .get_extension = Extension, .reconfigure = Reconfigure                       \
  }

static const tenon_storage_v1 storage = {
#if defined BAD_SHORT_TABLE
    .m = {.size = 100, .create = Create, .start = Start, .stop = Stop, .destroy = Destroy},
#elif defined BAD_NULL_PERSIST
    .m = LIFECYCLE(tenon_storage_v1, TENON_ST_PERSIST),
#elif defined GOOD_OLD_TABLE  // as if built before `hash` and what follows was there
    .m = {.size = offsetof(tenon_storage_v1, hash),
          .create = Create,
          .start = Start,
          .stop = Stop,
          .destroy = Destroy,
          .get_extension = Extension},
#else
    .m = LIFECYCLE(tenon_storage_v1, 0),
#endif
    .open = Open,
    .close = Close,
    .durable_index = DurableIndex,
    .table = Table,
    .snap_open = SnapOpen,
    .snap_close = SnapClose,
    .get = Get,
    .multi_get = MultiGet,
    .cursor_open = CursorOpen,
    .cursor_next = CursorNext,
    .cursor_seek = CursorSeek,
    .cursor_close = CursorClose,
    .stats = Stats,
#ifndef BAD_NULL_APPLY
    .apply = Apply,
#endif
#ifdef GOOD_OLD_TABLE
    .hash = (void*)1,  // behind the end of what it claims to be: nobody may look
#endif
};

static void Ended(void* s, const tenon_call_record* r) { (void)s, (void)r; }
static const tenon_observer_v1 observer = {.m = LIFECYCLE(tenon_observer_v1, 0), .call_end = Ended};

static void Any(void) {}
#define ANY (void*)Any
static const tenon_lease_v1 lease = {.m = LIFECYCLE(tenon_lease_v1, 0),
                                     .recover = ANY,
                                     .grant = ANY,
                                     .revoke = ANY,
                                     .checkpoint = ANY,
                                     .attach = ANY,
                                     .detach = ANY,
                                     .promote = ANY,
                                     .demote = ANY,
                                     .renew = ANY,
                                     .lookup = ANY,
                                     .list = ANY};
static const tenon_service_v1 service = {
    .m = LIFECYCLE(tenon_service_v1, 0),
    .methods = ANY,
    .unary = ANY,
#ifdef BAD_NO_RECOVER
    .apply = ANY,
#endif
};

static const char* const no_table_of_its_own[] = {"key", NULL};
static const char* const bad_table_name[] = {"jobs", "a b", NULL};
static const char* const table_twice[] = {"jobs", "done", "jobs", NULL};
static const char* const lease_table[] = {"lease", NULL};

#define DESC .size = sizeof(tenon_module_desc)
static const tenon_module_desc modules[] = {
#if defined BAD_NO_SUCH_KIND
    {DESC, .kind = TENON_KIND_OBSERVER, .name = "audit", .vt = &observer.m},
#elif defined BAD_FUTURE_KIND
    {DESC, .kind = "tenon.storage/2", .name = "null", .vt = &storage.m},
#elif defined BAD_SAME_NAME
    {DESC, .kind = TENON_KIND_STORAGE, .name = "null", .vt = &storage.m},
    {DESC, .kind = TENON_KIND_STORAGE, .name = "null", .vt = &storage.m},
#elif defined GOOD_TWO
    {DESC, .kind = TENON_KIND_STORAGE, .name = "left", .vt = &storage.m},
    {DESC, .kind = "tenon.weather/1", .name = "rain", .vt = &storage.m},
    {DESC, .kind = TENON_KIND_STORAGE, .name = "right", .vt = &storage.m},
#elif defined BAD_TABLE_OF_STORAGE
    {DESC, .kind = TENON_KIND_STORAGE, .name = "null", .vt = &storage.m, .tables = no_table_of_its_own},
#elif defined BAD_TABLE_OF_LEASE
    {DESC, .kind = TENON_KIND_LEASE, .name = "lease", .vt = &lease.m, .tables = no_table_of_its_own},
#elif defined GOOD_LEASE
    {DESC, .kind = TENON_KIND_LEASE, .name = "lease", .vt = &lease.m, .tables = lease_table},
#elif defined BAD_TABLE_NAME
    {DESC, .kind = TENON_KIND_SERVICE, .name = "queue", .vt = &service.m, .tables = bad_table_name},
#elif defined BAD_TABLE_TWICE
    {DESC, .kind = TENON_KIND_SERVICE, .name = "queue", .vt = &service.m, .tables = table_twice},
#elif defined BAD_NO_RECOVER
    {DESC, .kind = TENON_KIND_SERVICE, .name = "queue", .vt = &service.m},
#elif defined BAD_EMPTY_NAME
    {DESC, .kind = TENON_KIND_STORAGE, .name = "", .vt = &storage.m},
#elif defined BAD_NO_VT
    {DESC, .kind = TENON_KIND_STORAGE, .name = "null"},
#elif defined BAD_WILD_POINTER
    {DESC, .kind = TENON_KIND_STORAGE, .name = (const char*)16, .vt = &storage.m},
#elif defined BAD_LONG_DESC
    {.size = sizeof(tenon_module_desc) + 8, .kind = TENON_KIND_STORAGE, .name = "null", .vt = &storage.m},
#else
    {DESC, .kind = TENON_KIND_STORAGE, .name = "null", .summary = "stores nothing",
     .config_schema = "{\"type\":\"object\",\"properties\":{\"size\":{\"type\":\"integer\"}}}", .vt = &storage.m},
#endif
};

static int loads;
static tenon_status Load(const tenon_host* host, tenon_error* error) {
  (void)host;
#ifdef BAD_LOAD
  strcpy(error->msg, "no licence file in /etc/acme");
  return TENON_DENIED;
#else
  if (++loads == 1) return TENON_OK;
  strcpy(error->msg, "loaded twice");
  return TENON_INTERNAL;
#endif
}

static const tenon_plugin plugin = {
    .size = sizeof(tenon_plugin),
    .abi_major = TENON_ABI_MAJOR,
    .abi_minor = TENON_ABI_MINOR,
    .id = "org.example.null",
    .version = "1.2.3",
    .vendor = "Example",
    .license = "Apache-2.0",
    .build = "test",
    .module_desc_size = sizeof(tenon_module_desc),
    .module_count = sizeof modules / sizeof *modules,
    .modules = modules,
    .load = Load,
#if defined BAD_ABI
    .abi_major = 2,
#elif defined BAD_SHORT_PLUGIN
    .size = 16,
#elif defined BAD_TINY_PLUGIN
    .size = 4,
#elif defined BAD_SHORT_DESC
    .module_desc_size = 24,
#elif defined BAD_NO_ID
    .id = NULL,
#elif defined BAD_NO_MODULE
    .module_count = 0,
#elif defined BAD_MANY_MODULES
    .module_count = 1u << 30,
#endif
};

#if defined BAD_ABORT
__attribute__((constructor)) static void Early(void) {
  static const char words[] = "the moon is in the wrong house\n";
  if (write(2, words, sizeof words - 1) >= 0) abort();
}
#elif defined BAD_HANG
__attribute__((constructor)) static void Early(void) {
  for (;;) pause();
}
#elif defined BAD_EXIT
__attribute__((constructor)) static void Early(void) { _exit(3); }
#elif defined BAD_TEXTREL
__asm__(".text\n.quad lease_table_in_text\n.data\nlease_table_in_text: .quad 0\n.text\n");
#elif defined BAD_UNIQUE
__asm__(
    ".data\n.globl shared_by_all\n.type shared_by_all, @gnu_unique_object\nshared_by_all: .quad 0\n.size "
    "shared_by_all, 8\n.text\n");
#elif defined GOOD_MORE_EXPORTS
TENON_EXPORT int something_else(void) { return 1; }
#endif
#ifdef BAD_UNRESOLVED
int function_that_nobody_has(void);
#endif

#ifndef BAD_NO_ENTRY
const tenon_plugin* tenon_plugin_query_v1(void) {
#if defined BAD_NULL_QUERY
  return NULL;
#elif defined BAD_CRASH
  const tenon_plugin* const* volatile nowhere = (const tenon_plugin* const*)(uintptr_t)16;
  return *nowhere;
#elif defined BAD_UNSTABLE
  static tenon_plugin copies[2];
  static int calls;
  copies[calls & 1] = plugin;
  return &copies[calls++ & 1];
#elif defined BAD_UNRESOLVED
  return function_that_nobody_has() ? &plugin : NULL;
#else
  return &plugin;
#endif
}
#endif

// What a variant leaves out of use must not be a warning.
const void* tenon_test_unused(void);
const void* tenon_test_unused(void) {
  static const void* all[] = {&observer,   &lease,  &service, no_table_of_its_own, bad_table_name, table_twice,
                              lease_table, &plugin, &storage};
  return all[loads];
}
