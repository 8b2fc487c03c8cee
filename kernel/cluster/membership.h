// Who is in the cluster, by what names and addresses, who was removed from it, and the cluster's version; stored as
// etcd stores them. Source: etcd server/etcdserver/api/membership.
#pragma once
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/base/mutex.h"
#include "kernel/base/status.h"
#include "kernel/base/version.h"
#include "kernel/cluster/member_change.h"
#include "kernel/storage/batch.h"
#include "kernel/storage/engine.h"
#include "kernel/storage/schema.h"

namespace tenon::cluster {

class Membership {
 public:
  static constexpr size_t kMaxLearners = 1;  // etcd's

  Membership(uint64_t cluster_id, MemberId self, Version server = OwnVersion())
      : cluster_id_(cluster_id), self_(self), server_version_(server) {}

  // FailedPrecondition: the cluster has left this version behind.
  Status Restore(storage::Engine& engine, const storage::Tables& tables);  // [main]

  // What others say of the members, for who has lost its state: to be reached, and no more. [main]
  void Assume(const std::vector<Member>& members);

  // ---- [apply] ----
  // Carries out a change that Validate let through.
  void Apply(const MemberChange& change, storage::Batch& batch);
  void SetAttributes(MemberId id, std::string name, std::vector<std::string> client_urls, storage::Batch& batch);
  // A version lower than the one there is changes nothing. FailedPrecondition: no server of this version may go on.
  Status SetVersion(Version version, storage::Batch& batch);

  // ---- [any] ----
  uint64_t cluster_id() const { return cluster_id_; }
  MemberId self() const { return self_; }
  std::vector<Member> List() const;  // ascending ids
  std::vector<Member> Voters() const;
  std::optional<Member> Find(MemberId id) const;
  bool IsRemoved(MemberId id) const;
  bool is_learner() const { return is_learner_.load(std::memory_order_relaxed); }  // this member itself
  // Does the change fit? As it is now; members apply one only after asking this. FailedPrecondition, NotFound with
  // etcd's words. Source: etcd RaftCluster.ValidateConfigurationChange.
  Status Validate(const MemberChange& change) const;
  // Whether a quorum of the voters that there would be has ever started: a change must not leave the cluster to members
  // that perhaps never come (--strict-reconfig-check).
  bool IsReadyToAddVoter() const;
  bool IsReadyToRemove(MemberId voter) const;
  bool IsReadyToPromote(MemberId learner) const;
  Version server_version() const { return server_version_; }
  std::optional<Version> version() const;  // the cluster's; nullopt: not decided yet

 private:
  const uint64_t cluster_id_;
  const MemberId self_;
  const Version server_version_;
  storage::Tables tables_{};
  mutable Mutex mutex_;
  std::map<MemberId, Member> members_;
  std::set<MemberId> removed_;
  std::atomic<bool> is_learner_{false};
  std::optional<Version> version_;
};

}  // namespace tenon::cluster
