// Every header of the ABI alone is enough to compile, as C++20 and without warnings.
#include TENON_HEADER
#include <tenon/abi/abi.h>
