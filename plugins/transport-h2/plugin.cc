// What transport-h2.so offers: clients' transport, and members' to each other.
#include "plugins/transport-h2/options.h"
#include "plugins/transport-h2/peer_module.h"
#include "plugins/transport-h2/transport.h"

namespace tenon::transport_h2 {
namespace {

const tenon_module_desc kModules[] = {
    {.size = sizeof(tenon_module_desc),
     .flags = 0,
     .kind = TENON_KIND_TRANSPORT,
     .name = "h2",
     .summary = "gRPC and HTTP for clients on one port, on nghttp2 and epoll; no TLS",
     .config_schema = kConfigSchema,
     .vt = &kTransportTable.m,
     .tables = nullptr},
    {.size = sizeof(tenon_module_desc),
     .flags = 0,
     .kind = TENON_KIND_PEER,
     .name = "h2",
     .summary = "raft's messages and calls between members as gRPC, on nghttp2 and epoll; no TLS",
     .config_schema = R"({"type": "object", "additionalProperties": false})",
     .vt = &kPeerTable.m,
     .tables = nullptr},
};

}  // namespace

const tenon_plugin kPlugin = {
    .size = sizeof(tenon_plugin),
    .abi_major = TENON_ABI_MAJOR,
    .abi_minor = TENON_ABI_MINOR,
    .id = "io.tenon.transport-h2",
    .version = "0.1.0",
    .vendor = "Tenon",
    .license = "Apache-2.0",
    .build = "",
    .module_desc_size = sizeof(tenon_module_desc),
    .module_count = std::size(kModules),
    .modules = kModules,
    .load = nullptr,
};

}  // namespace tenon::transport_h2
