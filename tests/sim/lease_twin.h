// The lease module of one life: plugins/lease on a host over the simulated clock, watched by the ledger.
//
// The member sees the module through a table that notes what passes; mutants misbehave there.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "kernel/lease/module.h"
#include "kernel/member/raft_host.h"
#include "kernel/plugin/host.h"
#include "tests/sim/faults.h"
#include "tests/sim/lease_ledger.h"

namespace tenon::sim {

class LeaseTwin {
 public:
  LeaseTwin(Clock& clock, Executor& pool, LeaseLedger& ledger, int64_t checkpoint_interval_s, Mutant mutant);
  ~LeaseTwin();  // after the member, as in kernel.cc
  LeaseTwin(const LeaseTwin&) = delete;

  lease::Module& module() { return *module_; }
  bool primary() const { return primary_; }  // by its clock leases end
  // The member was opened with this state: compares it with the ledger's, and starts the module.
  void Start(tenon::Member& member);

 private:
  static tenon_lease_v1 MakeTable();
  static LeaseTwin& Of(void* self) { return *static_cast<LeaseTwin*>(self); }
  void Note(const tenon_apply_v1& context, LeaseLedger::Operation operation);
  void FinishDetach();

  LeaseLedger& ledger_;
  const Mutant mutant_;
  RaftHost raft_;
  plugin::Host host_;
  void* inner_ = nullptr;
  std::optional<lease::Module> module_;
  LeaseLedger::Leases leases_;  // by what was applied
  Index index_;                 // of the last operation, and how many its entry had before
  size_t nth_ = 0;
  bool primary_ = false;
  std::optional<std::pair<int64_t, std::string>> detached_;  // mutant: not told to the module yet
};

}  // namespace tenon::sim
