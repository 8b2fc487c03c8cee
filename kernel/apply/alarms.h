// Raised alarms: which member has which trouble. Stored in the table `alarm`, as etcd stores them.
#pragma once
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "kernel/base/mutex.h"
#include "kernel/base/status.h"
#include "kernel/storage/batch.h"
#include "kernel/storage/engine.h"
#include "proto/rpc.pb.h"

namespace tenon::apply {

class Alarms {
 public:
  // Reads the table. [main]
  Status Restore(storage::Engine& engine, uint32_t table);

  // Carries out GET, ACTIVATE or DEACTIVATE and returns the alarms that etcd answers with. [apply]
  std::vector<etcdserverpb::AlarmMember> Apply(const etcdserverpb::AlarmRequest& request, storage::Batch& batch);

  bool Has(etcdserverpb::AlarmType type) const;                                     // of any member. [any]
  std::vector<etcdserverpb::AlarmMember> List(etcdserverpb::AlarmType type) const;  // NONE: all. [any]

 private:
  mutable Mutex mutex_;
  std::set<std::pair<int, uint64_t>> raised_;  // type, member
  uint32_t table_ = 0;
};

}  // namespace tenon::apply
