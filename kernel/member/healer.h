// A member whose state is damaged or lost, while its log is whole, fetches the state of another one.
//
// It votes and appends all the time, and never leads. The state that comes is of an index that the log reaches; once
// that is committed here, the log names it, and the member is opened anew and goes on from there
// (kernel/member/install.h). Until then whatever needs the state is refused, and nothing of it is made durable.
#pragma once
#include <atomic>
#include <functional>
#include <string_view>

#include "kernel/apply/applier.h"
#include "kernel/cluster/membership.h"
#include "kernel/node/node.h"
#include "kernel/ports/executor.h"
#include "kernel/snapshot/state_fetch.h"

namespace tenon {

class Healer {
 public:
  static constexpr uint64_t kRetryNs = 1'000'000'000;

  struct Parts {
    node::Node& node;
    const apply::Applier& applier;
    snapshot::StateFetch& fetch;
    const cluster::Membership& membership;
    Executor& executor;
    std::function<void()> begun;  // the state is not to be used from now on [executor]
  };
  explicit Healer(Parts parts) : p_(std::move(parts)) {}

  // `why`: for the operator. Once is enough. [any]
  void Begin(std::string_view why);
  void Stop() { stopped_ = true; }                                           // [any]
  bool healing() const { return healing_.load(std::memory_order_relaxed); }  // [any]

 private:
  void Fetch();  // [executor]
  MemberId NextSource();

  const Parts p_;
  std::atomic<bool> healing_{false}, stopped_{false};
  MemberId source_ = 0;  // who was asked last [executor]
};

}  // namespace tenon
