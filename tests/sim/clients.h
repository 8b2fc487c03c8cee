// Clients that ask for random things, each one thing at a time, as kernel/api would hand it on.
#pragma once
#include <string>
#include <vector>

#include "tests/sim/checker.h"
#include "tests/sim/lease_holders.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/serving.h"

namespace tenon::sim {

class Clients {
 public:
  Clients(Scheduler& scheduler, Scheduler::Queue& queue, const Serving& serving, Checker& checker,
          const LeaseHolders& leases, Counts& counts, Trace& trace, uint64_t seed);

  void Start();
  void Disconnect(const Machine& machine);  // gone: what was not answered never will be
  void Quiet() { quiet_ = true; }           // no new requests
  // Called when a machine lets go of an acknowledgement.
  void OnAcknowledged(std::function<void(Machine&)> fn) { acknowledged_ = std::move(fn); }
  void Deafen() { deaf_ = true; }  // no answer arrives
  bool idle() const;
  std::string RandomKey(Random& random) const { return KeyOf(random.Below(keys_)); }

 private:
  void Turn(size_t client);
  void Again(size_t client);
  OperationPtr NewOperation(const Machine& to);
  void SendWrite(size_t client, Machine& to);
  void SendCompaction(size_t client, Machine& to);
  void SendRange(size_t client, Machine& to);
  void HoldView(size_t client, Machine& to);
  void Defragment(size_t client, Machine& to);
  // Runs `arrive` when the answer has crossed the network, unless the member dies before it lets go of it.
  void Answer(size_t client, const OperationPtr& op, const Status& status, std::function<void()> arrive);
  apply::Proposal::Done WriteDone(size_t client, const OperationPtr& op, Machine& to);

  std::string KeyOf(uint64_t n) const { return fmt::format("k{:0{}}", n, keys_ > 100 ? 4 : 2); }
  std::string RandomKey() { return KeyOf(random_.Below(keys_)); }
  // The end of the keys that begin as `key` does, up to a random length.
  std::string RandomPrefix(std::string& key);
  std::string NewValue();
  etcdserverpb::PutRequest RandomPut();
  etcdserverpb::DeleteRangeRequest RandomDelete();
  etcdserverpb::TxnRequest RandomTxn();
  etcdserverpb::TxnRequest BulkPut();  // of many keys
  void AddCompares(etcdserverpb::TxnRequest& txn);
  // Random operations on keys of `keys`, each used once at most.
  void FillTxn(etcdserverpb::TxnRequest& txn, std::vector<std::string> keys, int depth);
  etcdserverpb::RangeRequest RandomRange();

  Scheduler& scheduler_;
  Scheduler::Queue& queue_;
  const Serving& serving_;
  Checker& checker_;
  const LeaseHolders& leases_;
  Counts& counts_;
  Trace& trace_;
  Random random_;
  const uint64_t keys_, think_ns_, leased_percent_;
  std::array<uint64_t, 5> weights_;  // write, compaction, range, view, defragment: swarm
  std::vector<OperationPtr> current_;
  uint64_t next_id_ = 0;
  std::function<void(Machine&)> acknowledged_;
  bool quiet_ = false, deaf_ = false;
};

}  // namespace tenon::sim
