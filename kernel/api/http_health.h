// The checks behind /health, /livez and /readyz, in etcd's words.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/base/status.h"
#include "kernel/metrics/metrics.h"
#include "kernel/ports/executor.h"
#include "proto/rpc.pb.h"

namespace tenon::api {

// What the checks ask the member. [any]
struct HealthSources {
  std::function<std::vector<etcdserverpb::AlarmType>()> alarms;
  std::function<bool()> has_leader;
  std::function<bool()> is_learner;
  // Reads one key the way a client's range does; answers on any thread, perhaps never.
  std::function<void(bool serializable, absl::AnyInvocable<void(Status)> done)> read;
};

class Health {
 public:
  struct Verdict {
    bool healthy = false;
    std::string reason;  // /health: why not. Else a line for each check
  };
  using Done = absl::AnyInvocable<void(Verdict)>;

  // A read that takes longer than `timeout_ns` has failed; `timers` tells.
  Health(HealthSources sources, Executor& timers, uint64_t timeout_ns, metrics::Registry& metrics);

  // /health. `excluded`: names of alarms that do not count. `done` runs once, here or on another thread. [any]
  void Check(const std::vector<std::string>& excluded, bool serializable, Done done);

  enum class Group { kLivez, kReadyz };
  static std::string_view NameOf(Group group);
  // The names of a group's checks, in the order in which they run (etcd's order changes from call to call).
  static std::vector<std::string_view> ChecksOf(Group group);
  // Runs these checks of a group one after the other. [any]
  void Run(Group group, std::vector<std::string_view> checks, Done done);

 private:
  struct Round;
  void Next(std::unique_ptr<Round> round);
  void Ended(std::unique_ptr<Round> round, const Status& status);
  void Read(bool serializable, absl::AnyInvocable<void(Status)> done);

  const HealthSources sources_;
  Executor& timers_;
  const uint64_t timeout_ns_;
  metrics::Registry& metrics_;
  metrics::Counter successes_, failures_;
};

}  // namespace tenon::api
