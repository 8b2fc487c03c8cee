// Method name -> handler, behind tenon.host.dispatch/1: what every transport calls.
//
// The services are registered once, before a transport starts; from then on all of it is read only. [any]
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "kernel/api/call_metrics.h"
#include "kernel/api/responder.h"
#include "kernel/api/server_call.h"
#include "kernel/base/bufs.h"
#include "kernel/base/status.h"
#include "kernel/metrics/metrics.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"
#include "tenon/abi/host.h"
#include "tenon/abi/service.h"
#include "tenon/abi/transport.h"

namespace tenon::api {

class Http;

class Dispatcher : public CallObserver {
 public:
  // Serves one call; `request` is borrowed for the call.
  using Unary = std::function<void(std::string_view request, Responder respond)>;
  // Makes the server's end of a stream.
  using Stream = std::function<std::shared_ptr<ServerCall>()>;
  // Is there a leader? For calls that ask for one (metadata hasleader).
  using HasLeader = std::function<bool()>;

  // `extensive` metrics: also how long the calls of each method take. `timers` ends the calls whose time is over.
  Dispatcher(Clock& clock, Executor& timers, metrics::Registry& metrics, uint64_t warning_ns, HasLeader has_leader,
             bool extensive = false);

  void AddUnary(std::string name, Unary handler);
  void AddStream(std::string name, uint32_t flags, Stream handler);
  // All methods of a service module, whose self outlives the calls. FailedPrecondition: somebody has one of the names,
  // or the module wants what this version has not got; nothing was added.
  Status AddService(const std::string& module, const tenon_service_v1& table, void* self);
  // Every method of `service` (full name) that nobody has answers UNIMPLEMENTED with this sentence.
  void AddAbsent(std::string_view service, std::string sentence);
  // Who answers plain HTTP; without it every request is refused. Before the first request.
  void SetHttp(Http* http) { http_ = http; }
  // Is this member a learner? Then clients get what etcd's learners answer, and no more. Before the first call. [main]
  void SetLearner(std::function<bool()> is_learner) { is_learner_ = std::move(is_learner); }
  // Is this member's state not to be trusted? Then whatever needs it is refused. Before the first call. [main]
  void SetDamaged(std::function<bool()> is_damaged) { is_damaged_ = std::move(is_damaged); }
  metrics::Registry& metrics() { return metrics_; }
  // The names of the services, sorted; for reflection.
  std::vector<std::string> Services() const;

  // No more calls of clients: new ones are refused with `why`; streams, and calls that wait in service modules, end
  // with it. The server's own unary calls end by themselves. [any]
  void Stop(const Status& why);
  // Once in an election timeout. When there was no leader three times, streams that asked for one (metadata hasleader)
  // end: opening them anew costs more than refusing a call, so etcd has patience too. [one thread]
  void WatchLeader();

  // Serialized FileDescriptorSet of all that is served, those of service modules included.
  const std::string& descriptors() const { return descriptors_; }

  // The tables for Host::Provide; the host's context must be this dispatcher. The second is for modules that call the
  // server themselves: the same handlers, but such calls are not counted as clients' calls, as in etcd.
  static const tenon_host_dispatch_v1 kTable;
  static const tenon_host_call_v1 kCallTable;

 private:
  struct Method {
    std::string name;  // "/etcdserverpb.KV/Put"
    uint32_t flags = 0;
    Unary unary;    // or
    Stream stream;  // or
    Status absent;
    MethodMetrics* metrics = nullptr;
    const tenon_service_v1* service = nullptr;  // or a module's
    void* service_self = nullptr;
    uint32_t service_method = 0;
  };
  struct ServiceCall;
  struct UnderWay {
    const Method* method;
    bool late = false;  // its time is over
  };
  class ServiceStream;
  enum class Caller { kClient, kModule };

  void Add(Method method);
  const Method* Find(uint32_t id) const { return id == 0 || id > methods_.size() ? nullptr : &methods_[id - 1]; }
  // What the interceptors of etcd check before any handler.
  static bool IsForLearners(const Method& method, const Bufs& request);
  static bool NeedsState(const Method& method);
  // Why this member cannot answer a client's call, as a learner or with a damaged state. `request` null: a stream.
  Status NotHere(const Method& method, const Bufs* request) const;
  Status Admit(const tenon_call_info& info, bool stream);
  uint64_t CallUnary(const tenon_call_info& info, Bufs request, tenon_done done, Caller caller);
  uint64_t CallService(const Method& method, const tenon_call_info& info, Bufs request, int64_t timeout_ns,
                       Responder respond);
  void CancelUnary(uint64_t handle, bool late = false);
  // For a call that gets an answer after this time at the latest: what its handler calls in place of `done`.
  tenon_done Within(int64_t timeout_ns, tenon_done done);
  tenon_status CallStream(const tenon_call_info& info, tenon_call_out out, tenon_call_in* in, Caller caller);
  Status AddDescriptors(std::string_view set);
  void CallEnded(uint32_t method, uint64_t started_ns, const Status& status, size_t answer_bytes) override;

  Clock& clock_;
  Executor& timers_;
  metrics::Registry& metrics_;
  const uint64_t warning_ns_;
  const HasLeader has_leader_;
  std::function<bool()> is_learner_, is_damaged_;  // null: never
  Http* http_ = nullptr;
  std::vector<Method> methods_;  // id - 1
  absl::flat_hash_map<std::string, uint32_t> ids_;
  std::deque<tenon_service_v1> services_;
  std::string descriptors_;
  // Calls that service modules have under way, by handle: whom to tell when the client goes.
  std::mutex service_calls_mutex_;
  absl::flat_hash_map<uint64_t, UnderWay> service_calls_;
  CallMetrics calls_;
  // Clients' streams, by whether they need a leader.
  OpenStreams streams_, streams_with_leader_;
  int times_without_leader_ = 0;
  std::atomic<bool> stopping_{false};
  Status stopped_;  // what for; written before stopping_
  metrics::Counter slow_requests_;
};

}  // namespace tenon::api
