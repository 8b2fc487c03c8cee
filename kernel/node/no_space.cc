#include "kernel/node/no_space.h"

#include "kernel/apply/request.h"
#include "kernel/base/log.h"

namespace tenon::node {

void NoSpace::Start() {
  p_.executor.Post([this] {
    for (const auto& [holder, path] : {std::pair(kDisk, p_.disk_mark), std::pair(kQuota, p_.quota_mark)}) {
      const Result<bool> marked = p_.disk.Exists(path);
      if (!marked.ok()) LOG_WARN("cannot see whether this member raised NOSPACE", {"error", marked.status()});
      if (marked.value_or(false)) holders_ |= holder;
    }
    if (holders_ != 0) Settle();  // what the former process proposed may still be under way
    if (holders_ & kQuota) LookAtQuota();
  });
}

void NoSpace::Settle() {
  settling_++;
  p_.executor.PostAfter(kSettleNs, [this] { settling_--; });
}

void NoSpace::TellDisk(bool full) {
  if (stopped_) return;
  disk_full_ = full;
  if (full) {
    if (!IsUp()) Raise(kDisk, [] {});
  } else if (holders_ & kDisk) {
    // Not only while the alarm is seen: one that was proposed may still be on its way, and this goes behind it.
    TakeBack(kDisk);
  }
}

void NoSpace::RaiseForQuota(absl::AnyInvocable<void()> done) {
  if (IsUp()) {
    // Somebody else's stays theirs, but the disk shall not take it back before the quota does.
    if (holders_ == kDisk) p_.executor.Post([this] { HoldWithDisk(); });
    return done();
  }
  p_.executor.Post([this, done = std::move(done)]() mutable {
    if (stopped_ || IsUp()) return done();
    waiting_.push_back(std::move(done));
    if (waiting_.size() > 1) return;  // a proposal is on its way
    LOG_WARN("the quota is used up: writes are refused, and the alarm NOSPACE is raised");
    Raise(kQuota, [this] {
      for (auto& waiting : std::exchange(waiting_, {})) waiting();
      LookAtQuota();
    });
  });
}

void NoSpace::HoldWithDisk() {
  if (stopped_ || holders_ != kDisk || !IsUp()) return;
  Mark(kQuota, true);
  LookAtQuota();
}

void NoSpace::LookAtQuota() {
  if (stopped_ || std::exchange(looking_, true)) return;
  p_.executor.PostAfter(kLookNs, [this] {
    looking_ = false;
    if (stopped_ || !(holders_ & kQuota)) return;
    if (!IsUp()) {
      // Disarmed by an operator, unless it may still come up.
      if (raises_ == 0 && settling_ == 0) Mark(kQuota, false);
    } else if (p_.quota_recovered != nullptr && p_.quota_recovered()) {
      TakeBack(kQuota);
    }
    LookAtQuota();
  });
}

void NoSpace::Raise(Holder holder, absl::AnyInvocable<void()> done) {
  // First, so that no crash leaves an alarm that nobody knows to be ours. Tried again at the next look, or refusal.
  if (!Mark(holder, true)) return done();
  raises_++;
  Propose(true, [this, done = std::move(done)](bool raised) mutable {
    raises_--;
    if (!raised) Settle();
    done();
  });
}

void NoSpace::TakeBack(Holder holder) {
  if (holder == kQuota && disk_full_) Mark(kDisk, true);  // found it up when it needed it
  if (holders_ != holder) {
    Mark(holder, false);
    return;
  }
  // Another member leads, perhaps: a proposal that has no answer yet may stand behind this one in the log.
  if (raises_ > 0 || (settling_ > 0 && !IsUp())) return;
  Propose(false, [this, holder](bool taken) {
    if (!taken || stopped_ || raises_ > 0 || settling_ > 0 || (holder == kDisk && disk_full_)) return;
    if (holder == kQuota) LOG_INFO("the quota has room again: took the alarm NOSPACE back");
    Mark(holder, false);
  });
}

// `then` runs on the executor; it is told whether the proposal was applied.
void NoSpace::Propose(bool raise, absl::AnyInvocable<void(bool)> then) {
  etcdserverpb::AlarmRequest request;
  request.set_action(raise ? etcdserverpb::AlarmRequest::ACTIVATE : etcdserverpb::AlarmRequest::DEACTIVATE);
  request.set_memberid(p_.self);
  request.set_alarm(etcdserverpb::NOSPACE);
  auto done = [this, then = std::move(then)](const Status& status, Bufs) mutable {
    p_.executor.Post([then = std::move(then), ok = status.ok()]() mutable { then(ok); });
  };
  p_.node.Propose(
      apply::MakeProposal(p_.ids.Next(), apply::Field::kAlarm, request.SerializeAsString(), request, std::move(done)));
}

bool NoSpace::Mark(Holder holder, bool holds) {
  if (((holders_ & holder) != 0) == holds && (unsure_ & holder) == 0) return true;
  const Status written = WriteMark(holder == kDisk ? p_.disk_mark : p_.quota_mark, holds);
  if (!written.ok()) {
    unsure_ |= holder;
    LOG_WARN("cannot note who holds the alarm NOSPACE up, so it stays as it is", {"error", written});
    return false;
  }
  unsure_ &= ~holder;
  holders_ = static_cast<uint8_t>(holds ? holders_ | holder : holders_ & ~holder);
  return true;
}

Status NoSpace::WriteMark(const std::string& path, bool exists) {
  if (exists) {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, p_.disk.OpenFile(path, Disk::Open::kCreateOrTruncate));
    RETURN_IF_ERROR(file->Sync());
  } else {
    ASSIGN_OR_RETURN(const bool there, p_.disk.Exists(path));
    if (there) RETURN_IF_ERROR(p_.disk.Remove(path));
  }
  return p_.disk.SyncDirectory(path.substr(0, path.rfind('/')));
}

}  // namespace tenon::node
