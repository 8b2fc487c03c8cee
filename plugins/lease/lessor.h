// Leases: who has how long to live, and which keys go with it. kind "tenon.lease/1"; contracts: tenon/abi/lease.h.
//
// What is granted, revoked and attached is replicated state, the same on all members. When a lease ends is known to the
// primary alone: one timer looks at a wheel of leases each tick and proposes what is due. Renewing only writes down the
// new end; the wheel notices when it comes by.
//
// There may be millions, and a renewal waits for none of that: whatever goes through all leases does so a slice at a
// time. A promotion itself only writes down when it was; a lease's end follows from that until the ticks, a slice at a
// time, have put it into the wheel.
#pragma once
#include <tenon/abi/lease.h>
#include <tenon/sdk/sdk.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "plugins/lease/wheel.h"

namespace tenon::lease_module {

// A mutex for those who take it again and again in a loop: whoever waits comes in between. (A std::mutex is taken again
// long before who waited is awake.)
class FairMutex {
 public:
  void lock() {
    std::lock_guard turn(turn_);  // held by the next one while it waits
    mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }

 private:
  std::mutex turn_, mutex_;
};

class Lessor {
 public:
  Lessor(const sdk::Host& host, const sdk::Config& config);
  ~Lessor();

  // As in lease.h, whose status they return.
  void Recover(const tenon_apply_v1& context);
  tenon_status Grant(const tenon_apply_v1& context, int64_t id, int64_t ttl_s, int64_t* granted);
  tenon_status Revoke(const tenon_apply_v1& context, int64_t id, tenon_lease_key_fn key, void* ctx);
  tenon_status Checkpoint(const tenon_apply_v1& context, int64_t id, int64_t remaining_s);
  tenon_status Attach(int64_t id, std::string_view key);
  void Detach(int64_t id, std::string_view key);
  void Promote(uint64_t term, int64_t extend_ns);
  void Demote();
  void Renew(int64_t id, tenon_lease_done done);
  tenon_status Lookup(int64_t id, tenon_lease_info* info, tenon_lease_key_fn key, void* ctx);
  tenon_status List(tenon_status (*row)(void* ctx, const tenon_lease_info*), void* ctx);
  void Stop();

 private:
  using Keys = std::set<std::string, std::less<>>;
  // Its node waits in fresh_, begun_ or the wheel, or in ending_ while it is being revoked; there it stays on a member
  // that is not primary any more.
  struct Lease : Wheel::Node {
    int64_t id = 0, ttl_s = 0;
    int64_t remaining_s = 0;     // what a checkpoint has left of it; 0: all of ttl_s
    uint64_t epoch = 0;          // in which its time began; in a former one: the three below are of then
    int64_t ends_ms = 0;         // on the primary; 0: not known yet, it was granted since the last tick
    int64_t checkpoint_ms = 0;   // when the next one is due; 0: none
    bool ending = false;         // its revoke was proposed, and may be applied whatever became of that
    bool lost = false;           // one has ended without an answer and may still be applied
    bool checkpointing = false;  // one was decided and is not applied: whoever renews it must undo that, too
    std::unique_ptr<Keys> keys;

    // The log says that little is left of it, or may say so.
    bool IsShortened() const { return remaining_s > 0 || checkpointing || lost; }
    int64_t LeftAtPromotion() const { return remaining_s > 0 ? remaining_s : ttl_s; }
    tenon_lease_info Info(int64_t left_s) const;
  };
  // A revoke under way.
  struct Flight {
    Lessor* lessor;
    int64_t id;
    uint64_t epoch;
  };

  // All of these with the mutex held.
  Lease* Find(int64_t id);
  std::unordered_map<int64_t, Lease>& ShardOf(int64_t id);
  void BeginSincePromotion(Lease& lease);                       // unless it has begun
  void Begin(Lease& lease, int64_t now_ms, int64_t extend_ms);  // its time begins to run now
  void BeginAnew(Lease& lease, int64_t now_ms);                 // it was renewed
  void Wait(Lease& lease, int64_t not_before_ms);               // in the wheel, until something is due
  void LookAt(Lease& lease, int64_t now_ms);
  int64_t EndsMs(const Lease& lease, int64_t now_ms) const;
  int64_t LeftSeconds(const Lease& lease, int64_t now_ms) const;
  void Save(const tenon_apply_v1& context, const Lease& lease) const;
  std::vector<tenon_lease_done> TakeWaiting();

  int64_t NowMs() const { return static_cast<int64_t>(exec_->mono_ns(host_.raw()) / 1'000'000); }
  static void OnTimer(void* self, uint64_t) { static_cast<Lessor*>(self)->Tick(); }
  void Tick();
  void ProposeRevokes();
  void RevokeEnded(const Flight& flight, tenon_status status);
  void ProposeCheckpoints(std::vector<std::pair<int64_t, int64_t>> left, uint64_t term);
  void CheckpointsLost(const std::vector<int64_t>& ids);
  void ClearCheckpoint(int64_t id, uint64_t term, tenon_lease_done done);
  void FinishRenew(int64_t id, tenon_lease_done done);

  const sdk::Host host_;
  const tenon_host_exec_v1* const exec_;
  const tenon_host_raft_v1* const raft_;
  const tenon_host_metrics_v1* const metrics_;
  int64_t checkpoint_interval_ms_;
  size_t max_revokes_;
  uint32_t granted_ = 0, revoked_ = 0, renewed_ = 0, ttls_ = 0, expired_ = 0;  // metrics

  FairMutex mutex_;  // of all below; held neither while the host is called nor while somebody is answered
  // In shards, so that neither a list nor a table that grows holds the mutex for all of them.
  std::array<std::unordered_map<int64_t, Lease>, 1024> shards_;
  Wheel wheel_;
  Wheel::List fresh_;   // granted or promoted since the last tick began: [apply] must not look at the clock
  Wheel::List begun_;   // what was fresh then, on its way to the wheel
  Wheel::List ending_;  // being revoked
  bool primary_ = false;
  uint64_t term_ = 0;
  int64_t promoted_ms_ = 0, extend_ms_ = 0;
  uint64_t epoch_ = 0;  // counts promotions and demotions: what was decided in another one is void
  uint64_t timer_ = 0;
  std::deque<int64_t> ended_;  // to be revoked
  size_t revoking_ = 0;
  bool more_posted_ = false;
  std::vector<std::pair<int64_t, int64_t>> checkpoints_;                 // to be proposed: id, seconds left
  std::unordered_map<int64_t, std::vector<tenon_lease_done>> renewals_;  // of leases that are being revoked
};

}  // namespace tenon::lease_module
