// Who is in the cluster, by what names and addresses, and the cluster's version; stored as etcd stores them.
// Source: etcd server/etcdserver/api/membership.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/base/mutex.h"
#include "kernel/base/status.h"
#include "kernel/storage/batch.h"
#include "kernel/storage/engine.h"
#include "kernel/storage/schema.h"

namespace tenon::cluster {

struct Member {
  MemberId id = 0;
  std::string name;  // empty: it never started
  std::vector<std::string> peer_urls, client_urls;
  bool learner = false;
};

// JSON with etcd's keys, as a row of the table members holds it and a membership change carries it.
std::string ToJson(const Member& member);
Result<Member> FromJson(std::string_view json);  // InvalidArgument

class Membership {
 public:
  Membership(uint64_t cluster_id, MemberId self) : cluster_id_(cluster_id), self_(self) {}

  Status Restore(storage::Engine& engine, const storage::Tables& tables);  // [main]

  // ---- [apply] ----
  void Add(Member member, storage::Batch& batch);
  void SetAttributes(MemberId id, std::string name, std::vector<std::string> client_urls, storage::Batch& batch);
  void SetVersion(std::string version, storage::Batch& batch);

  // ---- [any] ----
  uint64_t cluster_id() const { return cluster_id_; }
  MemberId self() const { return self_; }
  std::vector<Member> List() const;  // ascending ids
  std::string version() const;       // "3.7.0"; empty: not decided yet

 private:
  const uint64_t cluster_id_;
  const MemberId self_;
  storage::Tables tables_{};
  mutable Mutex mutex_;
  std::map<MemberId, Member> members_;
  std::string version_;
};

}  // namespace tenon::cluster
