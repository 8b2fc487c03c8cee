// Clients that ask for random things, each one thing at a time, as kernel/api would hand it on.
#pragma once
#include <string>
#include <vector>

#include "tests/sim/checker.h"
#include "tests/sim/disk.h"
#include "tests/sim/member.h"
#include "tests/sim/scheduler.h"

namespace tenon::sim {

class Clients {
 public:
  Clients(Scheduler& scheduler, Scheduler::Queue& queue, SimDisk& disk, Checker& checker, Counts& counts, Trace& trace,
          uint64_t seed, uint64_t view_max_age_ns);

  void Start();
  void Serve(Member& member, int life);  // ready for requests
  void Disconnect();                     // gone: what was not answered never will be
  void Quiet() { quiet_ = true; }        // no new requests
  bool idle() const;

 private:
  void Turn(size_t client);
  void Again(size_t client);
  OperationPtr NewOperation();
  void SendWrite(size_t client);
  void SendCompaction(size_t client);
  void SendRange(size_t client);
  void HoldView(size_t client);
  // Runs `arrive` when the answer has crossed the network, unless the member dies before it lets go of it.
  void Answer(size_t client, const OperationPtr& op, const Status& status, std::function<void()> arrive);
  apply::Proposal::Done WriteDone(size_t client, const OperationPtr& op);

  std::string RandomKey() { return fmt::format("k{:02}", random_.Below(keys_)); }
  std::string NewValue();
  etcdserverpb::PutRequest RandomPut();
  etcdserverpb::DeleteRangeRequest RandomDelete();
  etcdserverpb::TxnRequest RandomTxn();
  etcdserverpb::RangeRequest RandomRange();

  Scheduler& scheduler_;
  Scheduler::Queue& queue_;
  SimDisk& disk_;
  Checker& checker_;
  Counts& counts_;
  Trace& trace_;
  Random random_;
  const uint64_t view_max_age_ns_;
  const uint64_t keys_, think_ns_;
  std::array<uint64_t, 4> weights_;  // write, compaction, range, view: swarm
  std::vector<OperationPtr> current_;
  Member* member_ = nullptr;
  int life_ = 0;
  uint64_t next_id_ = 0;
  bool quiet_ = false;
};

}  // namespace tenon::sim
