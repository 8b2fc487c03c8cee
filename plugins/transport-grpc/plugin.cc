// What transport-grpc.so offers: clients' transport, and members' to each other.
#include "plugins/transport-grpc/options.h"
#include "plugins/transport-grpc/peer_module.h"
#include "plugins/transport-grpc/transport.h"

namespace tenon::transport_grpc {
namespace {

const tenon_module_desc kModules[] = {
    {.size = sizeof(tenon_module_desc),
     .flags = 0,
     .kind = TENON_KIND_TRANSPORT,
     .name = "grpc",
     .summary = "gRPC for clients, on gRPC C++ completion queues; no TLS, no plain HTTP",
     .config_schema = kConfigSchema,
     .vt = &kTransportTable.m,
     .tables = nullptr},
    {.size = sizeof(tenon_module_desc),
     .flags = 0,
     .kind = TENON_KIND_PEER,
     .name = "grpc",
     .summary = "raft's messages and calls between members as gRPC, on gRPC C++ completion queues; no TLS",
     .config_schema = R"({"type": "object", "additionalProperties": false})",
     .vt = &kPeerTable.m,
     .tables = nullptr},
};

}  // namespace

const tenon_plugin kPlugin = {
    .size = sizeof(tenon_plugin),
    .abi_major = TENON_ABI_MAJOR,
    .abi_minor = TENON_ABI_MINOR,
    .id = "io.tenon.transport-grpc",
    .version = "0.1.0",
    .vendor = "Tenon",
    .license = "Apache-2.0",
    .build = "",
    .module_desc_size = sizeof(tenon_module_desc),
    .module_count = std::size(kModules),
    .modules = kModules,
    .load = nullptr,
};

}  // namespace tenon::transport_grpc
