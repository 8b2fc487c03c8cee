#include "kernel/api/http_health.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "kernel/base/errors.h"
#include "kernel/base/log.h"

namespace tenon::api {
namespace {

using namespace etcdserverpb;  // NOLINT: the alarms' names, all over this file

std::string NameOfAlarm(AlarmType alarm) {
  return AlarmType_IsValid(alarm) ? AlarmType_Name(alarm) : std::to_string(alarm);
}

}  // namespace

Health::Health(HealthSources sources, Executor& timers, uint64_t timeout_ns, metrics::Registry& metrics)
    : sources_(std::move(sources)),
      timers_(timers),
      timeout_ns_(timeout_ns),
      metrics_(metrics),
      successes_(metrics.NewCounter("etcd_server_health_success", "The total number of successful health checks")),
      failures_(metrics.NewCounter("etcd_server_health_failures", "The total number of failed health checks")) {}

void Health::Check(const std::vector<std::string>& excluded, bool serializable, Done done) {
  const auto unhealthy = [&](std::string reason) {
    LOG_WARN("serving /health false", {"reason", reason});
    failures_.Add();
    done({false, std::move(reason)});
  };
  for (const AlarmType alarm : sources_.alarms()) {
    if (std::find(excluded.begin(), excluded.end(), NameOfAlarm(alarm)) != excluded.end()) continue;
    const bool known = alarm == NOSPACE || alarm == CORRUPT;
    return unhealthy(fmt::format("ALARM {}", known ? AlarmType_Name(alarm) : "UNKNOWN"));
  }
  if (!serializable && !sources_.has_leader()) return unhealthy("RAFT NO LEADER");
  Read(serializable, [this, done = std::move(done)](const Status& status) mutable {
    if (status.ok()) {
      successes_.Add();
      return done({true, ""});
    }
    LOG_WARN("serving /health false; Range fails", {"error", status});
    failures_.Add();
    done({false, fmt::format("RANGE ERROR:{}", Message(status))});
  });
}

// ---- /livez, /readyz ----

std::string_view Health::NameOf(Group group) { return group == Group::kLivez ? "livez" : "readyz"; }

std::vector<std::string_view> Health::ChecksOf(Group group) {
  if (group == Group::kLivez) return {"serializable_read"};
  return {"data_corruption", "serializable_read", "linearizable_read", "non_learner"};
}

struct Health::Round {
  Group group;
  std::vector<std::string_view> checks;
  Done done;
  size_t at = 0;
  Verdict verdict{true, ""};
};

void Health::Run(Group group, std::vector<std::string_view> checks, Done done) {
  Next(std::make_unique<Round>(Round{group, std::move(checks), std::move(done)}));
}

void Health::Next(std::unique_ptr<Round> round) {
  if (round->at == round->checks.size()) return round->done(std::move(round->verdict));
  const std::string_view name = round->checks[round->at];
  if (name == "data_corruption") {
    const std::vector<AlarmType> alarms = sources_.alarms();
    const bool corrupt = std::find(alarms.begin(), alarms.end(), CORRUPT) != alarms.end();
    return Ended(std::move(round), corrupt ? absl::DataLossError("alarm activated: CORRUPT") : Ok());
  }
  if (name == "non_learner") {
    return Ended(std::move(round), sources_.is_learner() ? absl::UnavailableError("not supported for learner") : Ok());
  }
  Read(name == "serializable_read",
       [this, round = std::move(round)](const Status& status) mutable { Ended(std::move(round), status); });
}

void Health::Ended(std::unique_ptr<Round> round, const Status& status) {
  const std::string name(round->checks[round->at++]), group(NameOf(round->group));
  if (status.ok()) {
    round->verdict.reason += fmt::format("[+]{} ok\n", name);
  } else {
    round->verdict.healthy = false;
    round->verdict.reason += fmt::format("[-]{} failed: {}\n", name, Message(status));
  }
  // As in etcd a check has a series once it ran: a gauge of 0 would say that it failed.
  metrics_
      .NewGauge("etcd_server_healthcheck", "The result of each kind of healthcheck.", {{"type", group}, {"name", name}})
      .Set(status.ok());
  metrics_
      .NewCounter("etcd_server_healthchecks_total", "The total number of each kind of healthcheck.",
                  {{"type", group}, {"name", name}, {"status", status.ok() ? "success" : "error"}})
      .Add();
  Next(std::move(round));
}

void Health::Read(bool serializable, absl::AnyInvocable<void(Status)> done) {
  // Whoever comes first, the read or the clock, answers.
  struct Race {
    std::atomic<bool> over{false};
    absl::AnyInvocable<void(Status)> done;
    void Answer(const Status& status) {
      if (!over.exchange(true)) std::exchange(done, nullptr)(status);
    }
  };
  auto race = std::make_shared<Race>();
  race->done = std::move(done);
  sources_.read(serializable, [race](const Status& status) { race->Answer(status); });
  if (race->over) return;
  timers_.PostAfter(timeout_ns_, [race] { race->Answer(errors::Timeout()); });
}

}  // namespace tenon::api
