// How a cluster begins: its founders know each other by name and address, and all write the same first entries.
// Source: etcd server/etcdserver/bootstrap.go, api/membership/cluster.go.
#pragma once
#include <string>
#include <vector>

#include "kernel/cluster/member_change.h"
#include "kernel/raft/types.h"

namespace tenon::cluster {

struct Founder {
  std::string name;
  std::vector<std::string> peer_urls;
};

// With their ids, ascending; they have not started. `token` keeps clusters of the same addresses apart.
std::vector<Member> FoundingMembers(const std::vector<Founder>& founders, const std::string& token);
// One kConfChange each, in order, from index 1 on, in term 1.
std::vector<raft::Entry> FoundingEntries(const std::vector<Member>& members);
// `conf` and what the changes among `entries` behind `behind` make of it. DataLoss: one cannot be read.
Result<raft::ConfState> ConfAfter(raft::ConfState conf, Index behind, const std::vector<raft::Entry>& entries);
// For --force-new-cluster: changes behind `last`, in `term`, that leave `self`, a voter or a learner of `conf`, alone.
// Nothing if it is alone already.
std::vector<raft::Entry> EntriesToBeAlone(const raft::ConfState& conf, MemberId self, Index last, Term term);
raft::ConfState FoundingConf(const std::vector<Member>& members);

}  // namespace tenon::cluster
