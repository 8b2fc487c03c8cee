// Judges the members' logs: what is on their disks, what they have applied, and who leads.
//
// A member's log is read from its segments each time one of them was synced: so it is known what would survive the loss
// of power everywhere, whatever the members believe.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "kernel/base/ids.h"
#include "tests/sim/faults.h"

namespace tenon::sim {

class LogWatch {
 public:
  LogWatch(Counts& counts, size_t machines) : counts_(counts), logs_(machines) {}

  void Fail(std::string what) {
    if (wrong_.empty()) wrong_ = std::move(what);
  }
  const std::string& wrong() const { return wrong_; }

  // A segment of this machine's log is durable up to its end. `read`: n bytes from an offset on, or fewer.
  using Reader = absl::FunctionRef<std::string(uint64_t offset, size_t n)>;
  void Synced(size_t machine, const std::string& path, Reader read);
  // Whoever says that it leads.
  void Leads(Term term, MemberId member);
  // A machine has applied everything up to there, and is at this revision.
  void Applied(size_t machine, Index index, Term term, int64_t revision);
  // A write was acknowledged by a machine that has applied up to `index`: `quorum` of the machines must have that on
  // disk.
  void Acknowledged(size_t machine, Index index, Term term, size_t quorum);

 private:
  struct Log {
    std::map<std::string, uint64_t> read;  // by path
    std::map<uint64_t, uint64_t> terms;    // durable: index -> term
  };
  struct State {
    uint64_t term;
    int64_t revision;
    size_t machine;
  };
  Counts& counts_;
  std::string wrong_;
  std::vector<Log> logs_;
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> entries_;  // (index, term) -> hash, of everybody
  std::map<uint64_t, MemberId> leaders_;
  std::map<uint64_t, State> applied_;
};

}  // namespace tenon::sim
