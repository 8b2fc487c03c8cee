// What a member that never ran asks the others before it begins: may it found the cluster, or whom does it join?
// Source: etcd server/etcdserver/bootstrap.go, cluster_util.go.
#pragma once
#include "kernel/base/status.h"
#include "kernel/config/config.h"
#include "kernel/member/member.h"
#include "kernel/ports/disk.h"
#include "kernel/ports/peers.h"

namespace tenon {

// Fills in founders or join of `options`, from --initial-cluster and --initial-cluster-state; asks other members, for a
// second each, only if this one never ran. Errors are sentences for the operator, in etcd's words where it has some.
// [main]
Status PrepareFirstStart(const Config& config, Disk& disk, Peers* peers, Member::Options& options);

}  // namespace tenon
