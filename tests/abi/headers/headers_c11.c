// Every header of the ABI alone is enough to compile, as C11 and without warnings; the layouts that must never change.
#include TENON_HEADER
#include <tenon/abi/abi.h>

_Static_assert(sizeof(tenon_slice) == 16 && sizeof(tenon_kv) == 32 && sizeof(tenon_range) == 32, "passed by value");
_Static_assert(sizeof(tenon_op) == 40, "passed in arrays");
_Static_assert(offsetof(tenon_module_vt, create) == 16 && sizeof(tenon_module_vt) == 72, "head of every table");
_Static_assert(sizeof(tenon_error) == 256, "allocated by the caller");
