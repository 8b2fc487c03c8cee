// transport-h2.so: kind "tenon.transport/1" on nghttp2 and epoll.
#include "plugins/transport-h2/transport.h"

extern "C" const tenon_plugin* tenon_plugin_query_v1(void) TENON_NOEXCEPT { return &tenon::transport_h2::kPlugin; }
