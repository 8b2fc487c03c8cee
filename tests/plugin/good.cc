// The smallest observer in C++ over the raw headers: shows that no C++ type has to cross.
#include <atomic>
#include <new>

#include "tenon/abi/abi.h"

namespace {

struct Audit {
  std::atomic<int> calls{0};
};

tenon_status Create(const tenon_host*, const tenon_cfg*, void** self, tenon_error*) {
  *self = new (std::nothrow) Audit;
  return *self == nullptr ? TENON_EXHAUSTED : TENON_OK;
}
tenon_status Start(void*, tenon_error*) { return TENON_OK; }
void Stop(void*) {}
void Destroy(void* self) { delete static_cast<Audit*>(self); }
void CallEnd(void* self, const tenon_call_record*) { static_cast<Audit*>(self)->calls++; }

const tenon_observer_v1 observer = {
    .m = {.size = sizeof(tenon_observer_v1), .create = Create, .start = Start, .stop = Stop, .destroy = Destroy},
    .call_end = CallEnd,
};
const tenon_module_desc modules[] = {
    {.size = sizeof(tenon_module_desc), .kind = TENON_KIND_OBSERVER, .name = "count", .vt = &observer.m}};
const tenon_plugin plugin = {.size = sizeof(tenon_plugin),
                             .abi_major = TENON_ABI_MAJOR,
                             .abi_minor = TENON_ABI_MINOR,
                             .id = "org.example.cpp",
                             .version = "0.1.0",
                             .module_desc_size = sizeof(tenon_module_desc),
                             .module_count = 1,
                             .modules = modules};

}  // namespace

extern "C" const tenon_plugin* tenon_plugin_query_v1() noexcept { return &plugin; }
