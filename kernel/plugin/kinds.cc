#include "kernel/plugin/kinds.h"

#include "tenon/abi/abi.h"

namespace tenon::plugin {
namespace {

#define F(table, function) \
  RequiredFunction { offsetof(table, function), #function }
#define LIFECYCLE(table)                                                            \
  RequiredFunction{offsetof(tenon_module_vt, create), "create"},                    \
      RequiredFunction{offsetof(tenon_module_vt, start), "start"},                  \
      RequiredFunction{offsetof(tenon_module_vt, stop), "stop"}, RequiredFunction { \
    offsetof(tenon_module_vt, destroy), "destroy"                                   \
  }

// persist is required only with TENON_ST_PERSIST: see validate.cc.
using St = tenon_storage_v1;
constexpr RequiredFunction kStorage[] = {
    LIFECYCLE(St),      F(St, open),        F(St, close),       F(St, durable_index), F(St, table),
    F(St, apply),       F(St, snap_open),   F(St, snap_close),  F(St, get),           F(St, multi_get),
    F(St, cursor_open), F(St, cursor_next), F(St, cursor_seek), F(St, cursor_close),  F(St, stats)};
using Tr = tenon_transport_v1;
constexpr RequiredFunction kTransport[] = {LIFECYCLE(Tr), F(Tr, check), F(Tr, listen), F(Tr, bound_url), F(Tr, drain)};
using An = tenon_authn_v1;
constexpr RequiredFunction kAuthn[] = {LIFECYCLE(An), F(An, identify)};
using Az = tenon_authz_v1;
constexpr RequiredFunction kAuthz[] = {LIFECYCLE(Az),          F(Az, recover), F(Az, enabled), F(Az, revision),
                                       F(Az, verify_password), F(Az, check),   F(Az, apply),   F(Az, query)};
using Le = tenon_lease_v1;
constexpr RequiredFunction kLease[] = {LIFECYCLE(Le),     F(Le, recover), F(Le, grant),  F(Le, revoke),
                                       F(Le, checkpoint), F(Le, attach),  F(Le, detach), F(Le, promote),
                                       F(Le, demote),     F(Le, renew),   F(Le, lookup), F(Le, list)};
using Qu = tenon_quota_v1;
constexpr RequiredFunction kQuota[] = {LIFECYCLE(Qu), F(Qu, cost), F(Qu, admit), F(Qu, remaining)};
using Co = tenon_compactor_v1;
constexpr RequiredFunction kCompactor[] = {LIFECYCLE(Co), F(Co, schedule), F(Co, decide), F(Co, result)};
using Pe = tenon_peer_v1;
constexpr RequiredFunction kPeer[] = {LIFECYCLE(Pe),    F(Pe, check),           F(Pe, listen),
                                      F(Pe, bound_url), F(Pe, set_peer),        F(Pe, send),
                                      F(Pe, call),      F(Pe, active_since_ns), F(Pe, drain)};
using Se = tenon_service_v1;
constexpr RequiredFunction kService[] = {LIFECYCLE(Se), F(Se, methods), F(Se, unary)};
using Ob = tenon_observer_v1;
constexpr RequiredFunction kObserver[] = {LIFECYCLE(Ob), F(Ob, call_end)};

constexpr std::string_view kAuthzTables[] = {"auth", "authUsers", "authRoles"};
constexpr std::string_view kLeaseTables[] = {"lease"};

constexpr KindInfo kKinds[] = {
    {"storage", TENON_KIND_STORAGE, sizeof(St), kStorage, OwnTables::kNone, {}},
    {"transport", TENON_KIND_TRANSPORT, sizeof(Tr), kTransport, OwnTables::kNone, {}},
    {"authn", TENON_KIND_AUTHN, sizeof(An), kAuthn, OwnTables::kNone, {}},
    {"authz", TENON_KIND_AUTHZ, sizeof(Az), kAuthz, OwnTables::kListed, kAuthzTables},
    {"lease", TENON_KIND_LEASE, sizeof(Le), kLease, OwnTables::kListed, kLeaseTables},
    {"quota", TENON_KIND_QUOTA, sizeof(Qu), kQuota, OwnTables::kNone, {}},
    {"compactor", TENON_KIND_COMPACTOR, sizeof(Co), kCompactor, OwnTables::kNone, {}},
    {"peer", TENON_KIND_PEER, sizeof(Pe), kPeer, OwnTables::kNone, {}, "transport"},
    {"service", TENON_KIND_SERVICE, sizeof(Se), kService, OwnTables::kAny, {}},
    {"observer", TENON_KIND_OBSERVER, sizeof(Ob), kObserver, OwnTables::kNone, {}},
};

#undef LIFECYCLE
#undef F

}  // namespace

uint32_t KindInfo::required_size() const {
  size_t size = sizeof(tenon_module_vt);
  for (const RequiredFunction& function : required) {
    const size_t end = function.offset + sizeof(void*);
    if (end > size) size = end;
  }
  return static_cast<uint32_t>(size);
}

const KindInfo* FindKind(std::string_view name) {
  for (const KindInfo& kind : kKinds) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

std::span<const KindInfo> AllKinds() { return kKinds; }

}  // namespace tenon::plugin
