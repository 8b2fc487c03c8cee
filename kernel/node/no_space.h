// The alarm NOSPACE of this member, and who holds it up: a full disk, the quota, or somebody else.
//
// What the member raised is its own to take back, also after a restart: an empty file, a mark, stands for each that
// holds the alarm up, from before it is proposed until it is gone. It goes with the last of them, so a disk that has
// space again does not take back what the quota raised, nor the other way round. A proposal whose answer was lost may
// be applied late, behind the one that takes it back: the mark stays until that is ruled out. An alarm that was there
// already is an operator's and stays.
//
// The disk is a state: while it is full the alarm is raised again if somebody disarms it. The quota is an event: a
// write was refused; if an operator disarms the alarm, the next refusal raises it again, as in etcd.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/apply/alarms.h"
#include "kernel/cluster/ids.h"
#include "kernel/node/node.h"
#include "kernel/ports/disk.h"
#include "kernel/ports/executor.h"

namespace tenon::node {

class NoSpace {
 public:
  struct Parts {
    Disk& disk;
    std::string disk_mark, quota_mark;  // paths of the marks
    Executor& executor;                 // may block on the disk
    Node& node;
    cluster::RequestIds& ids;
    MemberId self;
    const apply::Alarms& alarms;
    std::function<bool()> quota_recovered = nullptr;  // is what the quota raised over? None: there is no quota
  };
  explicit NoSpace(Parts parts) : p_(std::move(parts)) {}

  void Start();                     // reads the marks [main]
  void Stop() { stopped_ = true; }  // [any]

  // The disk is full, or is not. To be called again at each look: a proposal may be lost. [executor]
  void TellDisk(bool full);
  // The quota refused a write: `done` is called when the alarm is up, or cannot be raised now. [any]
  void RaiseForQuota(absl::AnyInvocable<void()> done);

 private:
  enum Holder : uint8_t { kDisk = 1, kQuota = 2 };
  static constexpr uint64_t kLookNs = 500'000'000;
  static constexpr uint64_t kSettleNs = 15'000'000'000;  // two request timeouts: no proposal is under way for longer
  bool IsUp() const { return p_.alarms.Has(etcdserverpb::NOSPACE); }
  void Raise(Holder holder, absl::AnyInvocable<void()> done);
  void TakeBack(Holder holder);
  void LookAtQuota();
  void HoldWithDisk();
  void Settle();
  void Propose(bool raise, absl::AnyInvocable<void(bool done)> then);
  bool Mark(Holder holder, bool holds);  // false: not noted on disk; tried again at the next look
  Status WriteMark(const std::string& path, bool exists);

  const Parts p_;
  std::atomic<bool> stopped_{false};
  std::atomic<uint8_t> holders_{0};  // by whom it was raised, or perhaps; as the marks say. Written on the executor
  // [executor]
  unsigned unsure_ = 0;                              // whose marks may not be as holders_ says: a write failed
  bool disk_full_ = false;                           // as told last
  bool looking_ = false;                             // a look at the quota is posted
  size_t raises_ = 0;                                // proposals without an answer,
  size_t settling_ = 0;                              // and times that one may still come true without one
  std::vector<absl::AnyInvocable<void()>> waiting_;  // for the quota's
};

}  // namespace tenon::node
