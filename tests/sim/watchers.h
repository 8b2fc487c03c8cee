// Clients that watch: streams which come, go and stand still, with watches that outlive them and the member.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/checker.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/serving.h"
#include "tests/sim/watch_log.h"

namespace tenon::sim {

class Watchers {
 public:
  Watchers(Scheduler::Queue& queue, const Serving& serving, Checker& checker, Counts& counts, Trace& trace,
           Mutant mutant, uint64_t seed, std::function<std::string(Random&)> random_key);
  ~Watchers();

  void Start();
  void Serve(Machine& machine);             // some watches come back at once
  void Disconnect(const Machine& machine);  // its member was killed
  // No new watches and no slow streams any more: what is open must come to an end.
  void Quiet();
  // Each watch was told of all that is known, and each stream that asked for progress was promised it.
  bool Complete();
  void CountComplete() { counts_[Check::kWatchComplete] += watches_.size(); }

 private:
  class Stream;
  using StreamPtr = std::shared_ptr<Stream>;
  struct Watch {
    WatchLog log;
    Stream* on = nullptr;
    int64_t id = 0;
    bool created = false, cancel_asked = false;
  };

  void Turn();
  StreamPtr OpenStream();  // null: there is no member
  void NewWatch();
  void Reconnect();
  void Cancel();
  void AskForOneTwice();
  void Leave(const StreamPtr& stream, bool killed);  // its watches wait for another one
  void Got(Stream& stream, const mvcc::WatchResponse& response);
  void GotCreated(Stream& stream, const mvcc::WatchResponse& response);
  void GotCanceled(Stream& stream, const mvcc::WatchResponse& response);
  mvcc::KeyRange RandomRange();
  int64_t RandomStart();

  Scheduler::Queue& queue_;
  const Serving& serving_;
  Checker& checker_;
  Counts& counts_;
  Trace& trace_;
  const Mutant mutant_;
  Random random_;
  const std::function<std::string(Random&)> random_key_;
  const uint64_t think_ns_, most_streams_, most_watches_, slow_percent_;
  std::vector<StreamPtr> streams_;
  std::vector<std::unique_ptr<Watch>> watches_;
  int64_t next_id_ = 1000;
  bool quiet_ = false;
};

}  // namespace tenon::sim
