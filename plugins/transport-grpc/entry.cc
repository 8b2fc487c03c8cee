// transport-grpc.so: kind "tenon.transport/1" on gRPC's completion queues.
#include "plugins/transport-grpc/transport.h"

extern "C" const tenon_plugin* tenon_plugin_query_v1(void) TENON_NOEXCEPT { return &tenon::transport_grpc::kPlugin; }
