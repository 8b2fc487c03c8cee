// What a member that never ran asks the others before it begins: may it found the cluster, or whom does it join?
// Source: etcd server/etcdserver/bootstrap.go, cluster_util.go.
#pragma once
#include <functional>

#include "kernel/base/status.h"
#include "kernel/config/config.h"
#include "kernel/member/member.h"
#include "kernel/ports/disk.h"
#include "kernel/ports/peers.h"

namespace tenon {

// Fills in founders or join of `options`, from --initial-cluster and --initial-cluster-state, or from a replacement
// that is under way (kernel/member/replacement.h), which goes before them; asks other members, for a second each, only
// if this one never ran. A log that is lost is refused with the command that replaces the member. Errors are sentences
// for the operator, in etcd's words where it has some. [main]
Status PrepareFirstStart(const Config& config, Disk& disk, Peers* peers, Member::Options& options);

// After a start that failed with `why`, a DataLoss: if the log is whole, asks the others of --initial-cluster until one
// says who they are, and fills in state_lost: the next Member::Open fetches the state. Else `why`, with what may help:
// a member whose log is not whole is to be replaced. Cancelled: `interrupted` (null: never) became true. [main]
Status PrepareWithoutState(const Config& config, Disk& disk, Peers& peers, const Status& why,
                           const std::function<bool()>& interrupted, Member::Options& options);

}  // namespace tenon
