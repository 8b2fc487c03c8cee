// Which version the cluster as a whole has: the least of its members', so that nobody is sent what it does not know.
// It only rises, and who is older than it is kept out. Source: etcd server/etcdserver/version.
#pragma once
#include <optional>
#include <span>

#include "kernel/base/status.h"
#include "kernel/base/version.h"

namespace tenon::cluster {

// Of a cluster whose members have not all answered yet: that of the first Tenon.
inline constexpr Version kLeastVersion{3, 7};

// What the leader makes of its members' versions (nullopt: did not answer), its own among them, when the cluster's is
// `current` (nullopt: not decided yet); nullopt: it stays.
std::optional<Version> DecideVersion(std::optional<Version> current, std::span<const std::optional<Version>> members);

// May a server of version `own` be a member? FailedPrecondition, in etcd's words.
Status MayServe(Version own, Version cluster);

}  // namespace tenon::cluster
